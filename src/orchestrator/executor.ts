/**
 * Runs transactions: takes the step a transaction asks for, has it done by the entity that owns the data (or by another transaction, or
 * by the outside), and sends the outcome back. It knows who is who; what happens in which order is the machines' affair.
 */
import type { AnyDefinition } from "../../machines/define.ts";
import type { DeviceContext } from "../../machines/device.ts";
import { device } from "../../machines/device.ts";
import type { DomainContext } from "../../machines/domain.ts";
import { domain } from "../../machines/domain.ts";
import { host } from "../../machines/host.ts";
import type { HwptContext } from "../../machines/hwpt.ts";
import { hwpt } from "../../machines/hwpt.ts";
import { ioas } from "../../machines/ioas.ts";
import type { GroupContext, GroupInput } from "../../machines/iommu-group.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { iommufdCtx } from "../../machines/iommufd-ctx.ts";
import type { Mem } from "../../machines/iopt-pages.ts";
import type {
	Answer,
	Answering,
	HwptView,
	Step,
} from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import type {
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	HwptId,
} from "../vocabulary/ids.ts";
import { contextOf } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { beginCall } from "./begin.ts";
import type { Engine, Runner } from "./engine.ts";
import type { Role, Transactions } from "./flows.ts";
import type { Outside } from "./outside.ts";
import { enrich } from "./enrich.ts";

/** How a transaction or a step ended. */
export type Outcome = Extract<Step<"return">, { ok: boolean }>;
type Said =
	| { readonly ok: true; readonly value: unknown }
	| {
			readonly ok: false;
			readonly errno: Extract<Answer, { ok: false }>["errno"];
			readonly step: string;
	  };

const DONE: Said = { ok: true, value: undefined };

/** Everything an executor is made of. `definition` lets a test put a changed machine in the place of another. */
export interface ExecutorParts {
	/** Runs the entities. */
	readonly engine: Engine;
	/** Runs the transactions. */
	readonly txEngine: Engine;
	readonly transactions: Transactions;
	readonly outside: Outside;
	readonly emit: (fact: Fact) => void;
	readonly definition?: (definition: AnyDefinition) => AnyDefinition;
}

/** The actors of one system, and the loop that runs transactions on them. */
export class Executor {
	readonly parts: ExecutorParts;
	readonly actors = new Map<ActorId, Runner>();
	/** By owner, then by role: no name is put together on the way of a command. */
	readonly #running = new Map<ActorId, Map<Role, Runner>>();
	readonly #define: (definition: AnyDefinition) => AnyDefinition;

	constructor(parts: ExecutorParts) {
		this.parts = parts;
		this.#define = parts.definition ?? ((definition) => definition);
		this.spawn("host", host, undefined);
	}

	/** Starts an actor under its parent in the tree. */
	spawn(
		id: ActorId,
		definition: AnyDefinition,
		input: unknown,
		parent?: ActorId,
	): Runner {
		const above = parent === undefined ? undefined : this.actors.get(parent);
		const runner = this.parts.engine.spawn(
			this.#define(definition),
			input,
			id,
			above,
		);
		this.actors.set(id, runner);
		return runner;
	}
	/** Starts a group with its devices. */
	spawnGroup(input: GroupInput, coherent: (dev: DeviceId) => boolean): void {
		this.spawn(input.group, iommuGroup, input, "host");
		for (const { dev, requireDirect } of input.members)
			this.spawn(
				dev,
				device,
				{ dev, requireDirect, cc: coherent(dev) },
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
		return this.context<GroupContext>(id);
	}
	device(id: ActorId): DeviceContext {
		return this.context<DeviceContext>(id);
	}
	domainOf(id: DomainId): DomainContext {
		return this.context<DomainContext>(id);
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
			case "bind.isolated":
				return DONE;
			case "resp":
				return outside.resultWritable
					? DONE
					: { ok: false, errno: "EFAULT", step: "resp" };
			case "bind.coherent":
				return outside.device(step.to as DeviceId).topology.caps?.[
					"coherent"
				] === false
					? { ok: false, errno: "EINVAL", step: step.type }
					: DONE;
			default:
				return this.#tell(step);
		}
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
		for (const tell of answer.tells ?? []) this.actors.get(tell.to)?.send(tell);
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
	/** Asks an entity something that is no transaction's step: map and unmap. */
	ask(to: ActorId, event: object & { readonly type: string }): Outcome {
		return this.#tell({ ...event, to } as Step) as Outcome;
	}
}
