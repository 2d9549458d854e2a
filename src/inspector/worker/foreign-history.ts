/** Charts and states in a log of a watched actor system (create-inspector.ts). */
import type { Chart } from "../model/chart.ts";
import type { LogIndex } from "../model/log-index.ts";
import type { ChartPlace } from "./protocol.ts";

interface Stay {
	readonly since: number;
	readonly states: readonly string[];
	readonly last: { readonly from: string; readonly to: string } | undefined;
	readonly note: string;
}

/** Charts of one log at most, and states of one chart: a log may come from anywhere. */
const CHARTS_MAX = 500;

/** Reads the records that matter as the index grows. */
export class ForeignHistory {
	readonly charts = new Map<string, Chart>();
	readonly #index: LogIndex;
	readonly #machineOf = new Map<string, string>();
	readonly #stays = new Map<string, Stay[]>();
	#seen = 0;

	constructor(index: LogIndex) {
		this.#index = index;
	}

	/** Tells whether the log is of that kind. */
	get isForeign(): boolean {
		return this.#index.header?.["format"] === "xstate-inspection";
	}

	/** Reads what was added since the last call. */
	update(): void {
		const index = this.#index;
		const { names } = index.types;
		for (; this.#seen < index.count; this.#seen++) {
			const type = names[index.type[this.#seen] as number] as string;
			if (/^(?:machine\.defined|actor\.(?:created|stepped|state))$/.test(type))
				this.#read(type, this.#seen);
		}
	}

	/** Where an actor stands at a position; without one, the actor of the record there. */
	at(position: number, actor: string | undefined): ChartPlace | undefined {
		const index = this.#index;
		const name =
			actor ?? index.actors.names[index.actor[position] as number] ?? "";
		const machine = this.#machineOf.get(name);
		const stay = this.#stays
			.get(name)
			?.findLast((one) => one.since <= position);
		if (machine === undefined || stay === undefined) return undefined;
		return {
			machine,
			flow: "",
			subject: name,
			states: stay.states,
			last: stay.last,
			since: stay.since,
			passed: [],
			note: stay.note,
		};
	}

	#read(type: string, at: number): void {
		let data: Record<string, unknown>;
		try {
			data = (JSON.parse(this.#index.textAt(at)) as { data: typeof data }).data;
		} catch {
			return;
		}
		const actor = this.#index.actors.names[
			this.#index.actor[at] as number
		] as string;
		if (type === "machine.defined") this.#chart(data);
		else if (type === "actor.created") {
			if (typeof data["machine"] === "string")
				this.#machineOf.set(actor, data["machine"]);
		} else this.#stay(actor, at, data);
	}

	#chart({ id, chart }: Record<string, unknown>): void {
		if (typeof id !== "string" || this.charts.size >= CHARTS_MAX) return;
		if (isChart(chart)) this.charts.set(id, chart);
	}

	#stay(actor: string, at: number, data: Record<string, unknown>): void {
		const states = texts(data["states"]);
		const stays = this.#stays.get(actor) ?? [];
		this.#stays.set(actor, stays);
		const steps = Array.isArray(data["transitions"]) ? data["transitions"] : [];
		const step = (steps as { from?: unknown; to?: unknown }[]).findLast(
			(one) => typeof one?.from === "string" && typeof one?.to === "string",
		);
		const before = stays.at(-1);
		const isSame = before?.states.join() === states.join();
		if (isSame && step === undefined) return;
		const status = data["status"];
		stays.push({
			since: at,
			states,
			last:
				step === undefined
					? undefined
					: { from: step.from as string, to: step.to as string },
			note: typeof status === "string" && status !== "active" ? status : "",
		});
	}
}

const texts = (value: unknown): string[] =>
	Array.isArray(value)
		? value.filter((item): item is string => typeof item === "string")
		: [];

/** A log is input: its chart is taken only when it has the shape that the layout relies on. */
function isChart(value: unknown): value is Chart {
	const chart = value as Partial<Chart> | null;
	if (typeof chart !== "object" || chart === null) return false;
	if (!Array.isArray(chart.states) || !Array.isArray(chart.edges)) return false;
	const paths = new Set(chart.states.map((state) => state?.path));
	const areStates = chart.states.every(
		(state) =>
			typeof state?.path === "string" &&
			typeof state.name === "string" &&
			Array.isArray(state.entry) &&
			Array.isArray(state.exit) &&
			Array.isArray(state.invokes) &&
			(state.parent === undefined
				? state.path === ""
				: paths.has(state.parent) && isBelow(state.path, state.parent)),
	);
	const areEdges = chart.edges.every(
		(edge) =>
			paths.has(edge?.from) &&
			(edge.to === undefined || paths.has(edge.to)) &&
			typeof edge.event === "string" &&
			Array.isArray(edge.actions),
	);
	return (
		areStates && areEdges && paths.has("") && paths.size === chart.states.length
	);
}

/** The parent is the path up to the last dot: no cycles. */
const isBelow = (path: string, parent: string): boolean =>
	path !== "" && path.slice(0, Math.max(0, path.lastIndexOf("."))) === parent;
