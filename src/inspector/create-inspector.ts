/**
 * Watching any XState v5 actor system, ours or not:
 *
 *     const inspector = createInspector({ name: "traffic" });
 *     const actor = createActor(machine, { inspect: inspector.inspect });
 *     actor.start();
 *     const { url } = await inspector.open();
 *
 * XState's inspection events have no number, no time and hold live references (field-notes §2.5): they are turned into numbered
 * plain records at once. An event and everything it causes in its target is one operation, so the page's timeline, sequence
 * diagram and statecharts work as they do for our own logs.
 */
import type { InspectionEvent } from "xstate";
import { chartOfMachine, type XMachine } from "./model/chart.ts";
import { plainOf } from "./plain.ts";
import { type Inspector, startInspector } from "./server.ts";
import { LIVE_BYTES_MAX, LiveLog } from "./source.ts";

/** The format of such a log, in its header. */
export const INSPECTION_FORMAT = "xstate-inspection";

/** How to watch. */
export interface CreateInspectorOptions {
	/** What the page calls the system. */
	readonly name?: string;
	/** Nanoseconds; default: since the inspector was made. */
	readonly clock?: () => number;
	/** Room for the log in memory; what comes later is dropped and counted. */
	readonly limitBytes?: number;
}
/** Watches one or several actor systems. */
export interface SystemInspector {
	/** Give this to `createActor(…, { inspect })`. Never throws, never waits. */
	readonly inspect: (event: InspectionEvent) => void;
	/** The log so far: serve it with `startInspector`, or write a report of it. */
	readonly log: LiveLog;
	/** Serves the page, live. */
	open(options?: { readonly port?: number }): Promise<Inspector>;
	/** The system has ended: pages that follow are told so. */
	end(): void;
}

/** Makes an inspector. */
export function createInspector(
	options: CreateInspectorOptions = {},
): SystemInspector {
	const name = options.name ?? "actor system";
	const log = new LiveLog(name, options.limitBytes ?? LIVE_BYTES_MAX);
	const recorder = new Recorder(log, options.clock ?? clockFromNow());
	log.append(
		JSON.stringify({
			format: INSPECTION_FORMAT,
			version: 1,
			clock: "run",
			source: { name },
		}),
	);
	return {
		inspect: (event) => recorder.take(event as unknown as Inspected),
		log,
		open: (where = {}) => startInspector({ logs: [log], ...where }),
		end: () => log.end(),
	};
}

function clockFromNow(): () => number {
	const start = performance.now();
	return () => Math.round((performance.now() - start) * 1e6);
}

/** What is read of an actor reference. */
interface Ref {
	readonly id: string;
	readonly sessionId: string;
	readonly src?: unknown;
	readonly logic?: unknown;
	readonly _parent?: Ref;
}
/** What is read of an inspection event. */
interface Inspected {
	readonly type: string;
	readonly actorRef: Ref;
	readonly sourceRef?: Ref;
	readonly event?: { readonly type: string };
	readonly snapshot?: Snapshot;
	readonly action?: { readonly type: string; readonly params?: unknown };
	readonly _transitions?: readonly StepTransition[];
}
interface Snapshot {
	readonly status: string;
	readonly value?: unknown;
	readonly context?: unknown;
	readonly error?: unknown;
}
interface StepTransition {
	readonly source: { readonly path: readonly string[] };
	readonly target?: readonly { readonly path: readonly string[] }[];
	readonly eventType: string;
}
/** An event on its way to an actor. */
interface Pending {
	readonly op: number;
	readonly event: object;
}

/** The innermost states of a state value: `{a: {b: {}}, c: "d"}` → a.b, c.d. */
export function statePaths(value: unknown): string[] {
	if (typeof value === "string") return [value];
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, inner]) => {
		const below = statePaths(inner);
		return below.length === 0 ? [key] : below.map((path) => `${key}.${path}`);
	});
}

class Recorder {
	readonly #log: LiveLog;
	readonly #clock: () => number;
	#seq = 0;
	readonly #names = new Map<string, string>();
	readonly #taken = new Set<string>();
	readonly #pending = new Map<string, Pending[]>();
	readonly #machines = new Map<object, string>();

	constructor(log: LiveLog, clock: () => number) {
		this.#log = log;
		this.#clock = clock;
	}

	take(event: Inspected): void {
		const ref = event.actorRef;
		switch (event.type) {
			case "@xstate.actor":
				this.#actor(ref);
				return;
			case "@xstate.event":
				this.#event(event);
				return;
			case "@xstate.microstep":
				this.#put("actor.stepped", ref, this.#opOf(event), {
					states: statePaths(event.snapshot?.value),
					transitions: (event._transitions ?? []).map((step) => ({
						from: step.source.path.join("."),
						to: step.target?.[0]?.path.join(".") ?? null,
						event: step.eventType,
					})),
				});
				return;
			case "@xstate.action":
				this.#put("actor.acted", ref, this.#currentOp(ref), {
					action: event.action?.type ?? "?",
					params: plainOf(event.action?.params),
				});
				return;
			case "@xstate.snapshot":
				this.#snapshot(event);
				return;
			default:
		}
	}

	/** A name that is unique in the log: actor ids need not be. */
	#name(ref: Ref): string {
		let name = this.#names.get(ref.sessionId);
		if (name === undefined) {
			name = this.#taken.has(ref.id) ? `${ref.id} (${ref.sessionId})` : ref.id;
			this.#taken.add(name);
			this.#names.set(ref.sessionId, name);
		}
		return name;
	}

	#put(type: string, ref: Ref, op: number, data: object): number {
		const seq = ++this.#seq;
		const t = this.#clock();
		this.#log.append(
			JSON.stringify({ seq, t, type, actor: this.#name(ref), op, data }),
		);
		return seq;
	}

	#actor(ref: Ref): void {
		const { logic } = ref;
		let machine: string | null = null;
		if (typeof logic === "object" && logic !== null && "root" in logic)
			machine = this.#machine(ref, logic as XMachine);
		this.#put("actor.created", ref, 0, {
			machine,
			parent: ref._parent === undefined ? null : this.#name(ref._parent),
			src: typeof ref.src === "string" ? ref.src : "inline",
		});
	}

	/** Writes a machine's chart down once. Machines of one id stay apart. */
	#machine(ref: Ref, machine: XMachine): string {
		const known = this.#machines.get(machine);
		if (known !== undefined) return known;
		const isTaken = [...this.#machines.values()].includes(machine.id);
		const id = isTaken ? `${machine.id} ${this.#machines.size}` : machine.id;
		this.#machines.set(machine, id);
		this.#put("machine.defined", ref, 0, {
			id,
			chart: { ...chartOfMachine(machine), id } as object,
		});
		return id;
	}

	#event(event: Inspected): void {
		const ref = event.actorRef;
		const sent = event.event ?? { type: "?" };
		const op = this.#seq + 1;
		const { type, ...payload } = sent as { type: string };
		this.#put("op.begin", ref, op, {
			op: type,
			args: plainOf(payload),
			task:
				event.sourceRef === undefined ? "outside" : this.#name(event.sourceRef),
		});
		const pending = this.#pending.get(ref.sessionId) ?? [];
		pending.push({ op, event: sent });
		this.#pending.set(ref.sessionId, pending);
	}

	/** The operation that an event began; events that were never announced (`xstate.init`) belong to none. */
	#opOf(event: Inspected): number {
		const pending = this.#pending.get(event.actorRef.sessionId) ?? [];
		return (
			pending.find((one) => one.event === event.event)?.op ??
			this.#currentOp(event.actorRef)
		);
	}

	#currentOp(ref: Ref): number {
		return this.#pending.get(ref.sessionId)?.[0]?.op ?? 0;
	}

	#snapshot(event: Inspected): void {
		const ref = event.actorRef;
		const { snapshot } = event;
		const op = this.#opOf(event);
		this.#put("actor.state", ref, op, {
			status: snapshot?.status ?? "?",
			states: statePaths(snapshot?.value),
			context: plainOf(snapshot?.context),
		});
		const pending = this.#pending.get(ref.sessionId) ?? [];
		const at = pending.findIndex((one) => one.op === op);
		if (at < 0) return;
		pending.splice(at, 1);
		if (snapshot?.status === "error")
			this.#put("op.fail", ref, op, {
				errno: "error",
				step: String(plainOf(snapshot.error)),
			});
		else this.#put("op.commit", ref, op, {});
	}
}
