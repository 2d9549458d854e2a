/**
 * Runs transactions: takes the step a transaction asks for, has it done by the entity that owns the data (or by another transaction, or
 * by the outside), and sends the outcome back. It knows who is who; what happens in which order is the machines' affair.
 */
import type { AnyDefinition } from "../../machines/define.ts";
import type { DeviceContext } from "../../machines/device.ts";
import { device } from "../../machines/device.ts";
import type { DomainContext, DomainShape } from "../../machines/domain.ts";
import { domain } from "../../machines/domain.ts";
import { host } from "../../machines/host.ts";
import type { HwptContext } from "../../machines/hwpt.ts";
import { hwpt } from "../../machines/hwpt.ts";
import { ioas } from "../../machines/ioas.ts";
import type { GroupContext, GroupInput } from "../../machines/iommu-group.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { idGet } from "../../machines/id-table.ts";
import type { CtxContext } from "../../machines/iommufd-ctx.ts";
import { iommufdCtx } from "../../machines/iommufd-ctx.ts";
import type { Mem } from "../../machines/iopt-pages.ts";
import { hwptAnswers } from "../../machines/ops/answers-iommufd.ts";
import type {
	Answer,
	Answering,
	HwptView,
	Step,
} from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import type {
	AccessId,
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IoasId,
} from "../vocabulary/ids.ts";
import { contextOf, kernelNumber } from "../vocabulary/ids.ts";
import { u64 } from "../vocabulary/fields.ts";
import { fact } from "../vocabulary/records.ts";
import { beginCall } from "./begin.ts";
import type { Runner, Standing } from "./engine.ts";
import type { Role } from "./flows.ts";
import { enrich } from "./enrich.ts";
import {
	DONE,
	type ExecutorParts,
	type Outcome,
	type Said,
} from "./executor-parts.ts";
import { type Legacy, NO_LEGACY } from "./legacy.ts";
import type { Beside } from "./plain.ts";
import { emptySlot, onPlain } from "./plain.ts";

/** The actors of one system, and the loop that runs transactions on them. */
export class Executor {
	readonly parts: ExecutorParts;
	readonly actors = new Map<ActorId, Runner>();
	/** What is kept of contexts beside their actors (plain.ts). */
	readonly beside = new Map<CtxId, Beside>();
	/** Accesses whose user does not let go when it is asked to (scenario deaf-access). */
	readonly deaf = new Set<AccessId>();
	/** Contexts that were ever opened. */
	contexts = 0;
	/** Legacy containers (legacy.ts). */
	legacy: Legacy = NO_LEGACY;
	/** By owner, then by role: no name is put together on the way of a command. */
	readonly #running = new Map<ActorId, Map<Role, Runner>>();
	readonly #define: (definition: AnyDefinition) => AnyDefinition;
	/** What the driver made for the dom.create that is under way; null for the core's own domains. */
	newShape: DomainShape | null = null;

	constructor(parts: ExecutorParts) {
		this.parts = parts;
		this.#define = parts.definition ?? ((one) => one);
		this.spawn("host", host, undefined);
	}

	/** Starts an actor under its parent in the tree. */
	spawn(
		id: ActorId,
		definition: AnyDefinition,
		input: unknown,
		parent?: ActorId,
		at?: Standing,
	): Runner {
		const above = parent === undefined ? undefined : this.actors.get(parent);
		const defined = this.#define(definition);
		const runner = this.parts.engine.spawn(defined, input, id, above, at);
		this.actors.set(id, runner);
		if (definition === iommufdCtx) this.contexts++;
		return runner;
	}
	/** Starts a group with its devices, those that are absent as yet too. */
	spawnGroup(
		input: GroupInput,
		able: (dev: DeviceId) => { readonly cc: boolean; readonly dirty: boolean },
		devices = input.members,
	): void {
		this.spawn(input.group, iommuGroup, input, "host");
		for (const { dev, requireDirect } of devices)
			this.spawn(
				dev,
				device,
				{ dev, requireDirect, ...able(dev) },
				input.group,
			);
	}
	/** Starts a context. */
	spawnCtx(ctx: CtxId): void {
		this.spawn(ctx, iommufdCtx, { ctx }, "host");
	}

	/** The context of an actor. Throws when there is no such actor: callers ask for what the log says exists. */
	context<T>(id: ActorId): T {
		const runner = this.actors.get(id);
		if (runner === undefined) throw new Error(`no actor ${id}`);
		return runner.context as T;
	}
	group(id: ActorId): GroupContext {
		return this.context(id);
	}
	device(id: ActorId): DeviceContext {
		return this.context(id);
	}
	domainOf(id: DomainId): DomainContext {
		return this.context(id);
	}
	/** What transactions know of a hwpt; undefined when it does not exist (any more). */
	hwptView(id: HwptId): HwptView | undefined {
		const c = this.actors.get(id)?.context as HwptContext | undefined;
		if (c?.dom == null || c.ioas === null) return undefined;
		return { hwpt: id, dom: c.dom, ioas: c.ioas, auto: c.auto, fault: c.fault };
	}

	/** The hwpt whose domain this is. */
	hwptByDomain(dom: DomainId): HwptId | undefined {
		for (const [id, runner] of this.actors)
			if (id.includes("/hwpt:") && (runner.context as HwptContext).dom === dom)
				return id as HwptId;
		return undefined;
	}

	/** Runs the transaction of a role for an owner, to its end. */
	run(role: Role, owner: ActorId, begin: { readonly type: "BEGIN" }): Outcome {
		const tx = this.#transaction(role, owner);
		let { ask } = tx.context as TxContext;
		let event: { readonly type: string } = begin;
		for (;;) {
			tx.send(event);
			const asked = (tx.context as TxContext).ask;
			if (asked === ask)
				throw new Error(
					`${role} did not take ${event.type} in state ${tx.state}: the definition has a hole`,
				);
			ask = asked;
			if (ask.type === "return") return ask as Outcome;
			const said = this.#perform(ask);
			event = said.ok
				? ({ type: "DONE", value: said.value } as { type: string })
				: ({ type: "FAILED", errno: said.errno, step: said.step } as {
						type: string;
					});
		}
	}

	#transaction(role: Role, owner: ActorId): Runner {
		let own = this.#running.get(owner);
		if (own === undefined) this.#running.set(owner, (own = new Map()));
		let tx = own.get(role);
		if (tx === undefined) {
			const definition = this.#define(this.parts.transactions[role]);
			const above = this.actors.get(owner);
			tx = this.parts.txEngine.spawn(
				definition,
				undefined,
				`${role} of ${owner}`,
				above,
			);
			own.set(role, tx);
		}
		return tx;
	}
	/** Every transaction that ever ran, named "role of owner". */
	transactionStates(): readonly (readonly [string, Runner])[] {
		return [...this.#running].flatMap(([owner, own]) =>
			[...own].map(([role, tx]) => [`${role} of ${owner}`, tx] as const),
		);
	}

	#perform(step: Step): Said {
		const { outside } = this.parts;
		if (step.failable !== undefined && outside.failsNow())
			return { ok: false, errno: step.failable, step: step.type };
		if (step.type.startsWith("call.")) return this.#call(step);
		switch (step.type) {
			case "handle.alloc":
			case "handle.free":
				return DONE;
			case "bind.isolated":
				return this.#isolated(step.to as GroupId)
					? DONE
					: { ok: false, errno: "EPERM", step: step.type };
			case "dom.create":
				return this.#createDomain(step);
			case "dom.msi.cookie":
				return this.#setCookie(step);
			case "dev.unbind":
				outside.irqs.delete(step.to as DeviceId);
				return this.#tell(step);
			case "fault.answer":
				return this.#answerFaults(step);
			case "fault.iopf.on": {
				const { ops, dev } = outside.device(step.to as DeviceId);
				const alone =
					outside.switches.pageRequestsInAnyGroup ||
					this.group(dev.group).members.length === 1;
				const errno = alone ? ops.enablePageRequests(dev) : "EINVAL";
				return errno === undefined
					? this.#tell(step)
					: { ok: false, errno, step: step.type };
			}
			case "resp":
				return outside.resultWritable
					? DONE
					: { ok: false, errno: "EFAULT", step: "resp" };
			case "bind.coherent": {
				const { ops, dev } = outside.device(step.to as DeviceId);
				return ops.cacheCoherent(dev)
					? DONE
					: { ok: false, errno: "EINVAL", step: step.type };
			}
			default:
				return this.#tell(step);
		}
	}

	/** Open faults whose handle is not installed any more are answered INVALID; without a queue the hwpt just agrees. */
	#answerFaults(step: Step<"fault.answer">): Said {
		const hwpt = step.to as HwptId;
		if (this.hwptView(hwpt)?.fault === true)
			onPlain(this, contextOf(hwpt), (exec) => {
				const { facts } = hwptAnswers["fault.answer"]!(exec, step);
				exec.facts.push(...facts);
				return {};
			});
		return this.#tell(step);
	}

	/** Interrupts of every member are isolated (facts §2.1). */
	#isolated(group: GroupId): boolean {
		return this.group(group).members.every(({ dev }) => {
			const { ops, dev: device } = this.parts.outside.device(dev);
			return ops.isSelftest || ops.isolatedMsi(device);
		});
	}

	/** With the cookie a domain can map doorbells; A7 mended: those of live interrupts are mapped at once. */
	#setCookie(step: Step<"dom.msi.cookie">): Said {
		const dom = this.#pagingDomain(step.to) as DomainId;
		const said = this.#tell({ ...step, to: dom });
		const { irqs, switches } = this.parts.outside;
		if (said.ok && !switches.doorbellsLost)
			for (const iova of irqs.values()) this.mapDoorbell(dom, iova);
		return said;
	}

	/** Maps the doorbell in a domain that can and has it not yet (dma-iommu.c:iommu_dma_get_msi_page). */
	mapDoorbell(dom: DomainId, iova: bigint): void {
		const { doorbells } = this.parts.outside;
		if (!this.domainOf(dom).cookie || doorbells.has(dom)) return;
		doorbells.add(dom);
		this.parts.emit(fact("dom.msi.mapped", dom, { dom, iova: u64(iova) }));
	}
	/** Sets up a device's interrupts; the doorbell's IOVA where its group has a software MSI window. */
	requestInterrupts(dev: DeviceId): bigint | undefined {
		const { dom, msi } = this.group(this.parts.outside.groupOf(dev));
		if (msi === null || dom === null) return undefined;
		const iova = BigInt(msi);
		this.mapDoorbell(this.#pagingDomain(dom) as DomainId, iova);
		this.parts.outside.irqs.set(dev, iova);
		this.parts.emit(fact("irq.requested", dev, { dev, doorbell: u64(iova) }));
		return iova;
	}

	/** A nested hwpt's MSI cookie is its parent's domain's (facts §2.9.2). */
	#pagingDomain(dom: ActorId): ActorId {
		const owner = this.hwptByDomain(dom as DomainId);
		if (owner === undefined) return dom;
		const ctx = contextOf(owner);
		const parent = this.beside
			.get(ctx)
			?.nested.get(kernelNumber(owner))?.parent;
		if (parent === undefined) return dom;
		const { ids } = this.context<CtxContext>(ctx);
		return this.hwptView(idGet(ids, parent) as HwptId)?.dom ?? dom;
	}

	#createDomain(step: Step<"dom.create">): Said {
		const made =
			step.dev === undefined
				? null
				: this.parts.outside.makeDomain(step.to as DomainId, step.dev);
		if (typeof made === "string")
			return { ok: false, errno: made, step: step.type };
		this.newShape = made;
		return this.#tell(step);
	}

	#call(step: Step): Said {
		const call = beginCall(this, step);
		if (!("role" in call)) return { ...call, step: step.type };
		const outcome = this.run(call.role, call.owner, call.begin);
		return outcome.ok
			? { ok: true, value: outcome.value }
			: { ok: false, errno: outcome.errno, step: outcome.step };
	}

	/** Sends a step to the entity it is for, writes down what it says, and passes on what it tells others. */
	#tell(step: Step): Said {
		const runner = this.actors.get(step.to) ?? this.#create(step);
		const before = (runner.context as Answering).answer;
		runner.send(enrich(this, step));
		const { answer } = runner.context as Answering;
		if (answer === before && answer.facts.length > 0)
			throw new Error(
				`${step.to} left ${step.type} unanswered in state ${runner.state}`,
			);
		for (const fact of answer.facts) this.parts.emit(fact);
		this.#remember(step, answer);
		if (answer.tells !== undefined)
			for (const tell of answer.tells) this.actors.get(tell.to)?.send(tell);
		if (answer.ok) return { ok: true, value: answer.value };
		return { ok: false, errno: answer.errno, step: answer.at ?? step.type };
	}

	/** Some steps bring the entity they name into being. */
	#create(step: Step): Runner {
		const id = step.to;
		switch (step.type) {
			case "dom.create":
				this.parts.outside.countDomain();
				return this.spawn(id, domain, { dom: id }, "host");
			case "hwpt.reserve":
				return this.spawn(id, hwpt, { hwpt: id }, step.ctx);
			case "ioas.create":
				return this.spawn(id, ioas, { ioas: id }, contextOf(id as HwptId));
			default:
				throw new Error(`${step.type} for ${id}, which does not exist`);
		}
	}

	/** New memory is kept; what is gone leaves the tree. */
	#remember(step: Step, answer: Answer): void {
		const mem = (answer.value as { readonly mem?: Mem } | undefined)?.mem;
		if (mem !== undefined)
			this.parts.outside.setMem(contextOf(step.to as HwptId), mem);
		if (!answer.ok) return;
		if (step.type === "ioas.gone") emptySlot(this, step.to as IoasId);
		const { outside } = this.parts;
		if (step.type === "dom.free") outside.dropDomain(step.to as DomainId);
		else if (step.type === "dom.cc") {
			const made = outside.domains.get(step.to as DomainId);
			if (made !== undefined) outside.putDomain({ ...made, cc: true });
		}
		if (
			step.type !== "hwpt.gone" &&
			step.type !== "ioas.gone" &&
			step.type !== "dom.free"
		)
			return;
		this.actors.get(step.to)?.stop();
		this.actors.delete(step.to);
	}

	/** Has one step done outside any transaction (boot, open, and the calls of commands). */
	perform(step: Step): Outcome {
		return this.#perform(step) as Outcome;
	}
	tell(step: Step): Outcome {
		return this.#tell(step) as Outcome;
	}
	/** Tells an actor what an operation on plain state decided; what it says is on record already. */
	mirror(
		to: ActorId,
		event: { readonly type: string; readonly [field: string]: unknown },
	): void {
		this.actors.get(to)!.send(event);
	}
	/** Asks an entity something that is no transaction's step: map and unmap. */
	ask(
		to: ActorId,
		event: { readonly type: string; readonly [field: string]: unknown },
	): Outcome {
		return this.#tell({ ...event, to } as Step) as Outcome;
	}
}
