/**
 * Where an operation stands in its statechart. Records name facts, not states; which state asks for which step is read off the
 * definition itself (its entry actions are pure functions: they are run on the start context and their `ask` is looked at).
 * Between two records the shortest way through the chart is assumed, so states that leave no record are passed silently.
 */
import type { AnyDefinition } from "../../../machines/define.ts";
import type { Chart, ChartEdge } from "./chart.ts";
import { chartOfDefinition } from "./chart.ts";

/** One record of the operation, as far as it matters here. */
export interface StepRecord {
	/** The record's type; `obj.ref+` and `obj.ref-` for counts going up and down. */
	readonly type: string;
	readonly undo: boolean;
}
/** The place reached. */
export interface TransactionState {
	readonly state: string;
	/** The last transition taken; undefined before the first. */
	readonly last: ChartEdge | undefined;
	/** All states passed, in order. */
	readonly passed: readonly string[];
}

/** Records that the answer to a step leaves, where they are not called as the step is. */
const RECORDS: Readonly<Record<string, readonly string[]>> = {
	"resv.add": ["resv.added"],
	"resv.drop": ["resv.dropped"],
	"call.switch": [
		"hw.attach",
		"hw.attach.failed",
		"grp.domain.set",
		"grp.handle.set",
		"grp.handle.cleared",
	],
	"obj.get": ["obj.ref+"],
	"obj.put": ["obj.ref-"],
	"ig.hwpt.clear": ["ig.hwpt.cleared"],
	"ig.get": ["ig.created", "ig.ref"],
	"ig.put": ["ig.freed", "ig.ref"],
	"dev.attach": ["dev.attached"],
	"dev.detach": ["dev.detached"],
	"dev.bind": ["dev.bound"],
	"dev.unbind": ["dev.unbound"],
	"grp.claim": ["grp.owner.claimed"],
	"grp.own": ["grp.owner.claimed"],
	"grp.release": ["grp.owner.released"],
	"grp.handle.clear": ["grp.handle.cleared"],
	"dom.create": ["dom.created"],
	"dom.cc": ["dom.cc.set"],
	"dom.free": ["dom.freed"],
	"iopt.add": ["pages.pinned", "dom.map", "iopt.dom.added"],
	"iopt.remove": [
		"dom.unmap",
		"iotlb.synced",
		"pages.unpinned",
		"iopt.dom.removed",
	],
	"hwpt.reserve": ["hwpt.reserved"],
	"hwpt.publish": ["hwpt.live"],
	"hwpt.unlink": ["hwpt.unlinked"],
	"hwpt.destroy": ["hwpt.autodestroyed"],
	"hwpt.gone": ["obj.gone"],
	"ioas.create": ["ioas.created"],
	"ioas.gone": ["obj.gone"],
	"fault.answer": ["fault.answered"],
	"call.put": ["obj.ref-", "hwpt.autodestroyed", "hwpt.unlinked", "dom.freed"],
	"destroy.refused": ["obj.destroy.refused"],
};

/** The step that a state asks for on entry. */
function stepOf(
	definition: AnyDefinition,
	entry: readonly string[],
): string | undefined {
	for (const name of entry)
		try {
			const changed = definition.actions[name]?.(definition.start(undefined), {
				type: "DONE",
				value: {},
			}) as { ask?: { type?: string } } | undefined;
			if (changed?.ask?.type !== undefined) return changed.ask.type;
		} catch {}
	return undefined;
}

/** Follows one machine. */
export class TransactionTracker {
	readonly chart: Chart;
	readonly #states = new Map<string, readonly string[]>();

	constructor(definition: AnyDefinition) {
		this.chart = chartOfDefinition(definition);
		for (const { path, entry } of this.chart.states) {
			const step = stepOf(definition, entry);
			if (step !== undefined) this.#states.set(path, RECORDS[step] ?? [step]);
		}
	}

	/** The state after these records of one operation (`op.begin` first). */
	after(records: readonly StepRecord[]): TransactionState {
		let here = this.chart.states[0]?.initial ?? "";
		let last: ChartEdge | undefined;
		const passed = [here];
		let isCounted = false;
		for (const record of records) {
			const way = this.#wayFor(here, record, isCounted);
			isCounted = record.type.startsWith("obj.ref");
			for (const edge of way) {
				last = edge;
				here = edge.to as string;
				passed.push(here);
			}
		}
		return { state: here, last, passed };
	}

	/** `isCounted`: this state has changed a count already, and a step changes one count only. */
	#wayFor(
		here: string,
		record: StepRecord,
		isCounted: boolean,
	): readonly ChartEdge[] {
		if (record.type === "op.begin")
			return this.#way(here, (path) => path !== here && path !== "");
		if (record.type === "op.commit")
			return this.#way(here, (path) => path === "Committed");
		if (record.type === "op.fail")
			return this.#way(here, (path) => path === "Failed");
		const matches = (path: string): boolean =>
			(this.#states.get(path) ?? []).includes(record.type);
		if (record.undo) {
			const undoing = this.#way(
				here,
				(path) => path.startsWith("unwinding") && matches(path),
			);
			if (undoing.length > 0) return undoing;
		}
		const stays =
			matches(here) && !(isCounted && record.type.startsWith("obj.ref"));
		return stays ? [] : this.#way(here, matches);
	}

	/** The shortest way to a state that is wanted; empty when there is none. BEGIN is never taken in the middle. */
	#way(from: string, isWanted: (path: string) => boolean): ChartEdge[] {
		const came = new Map<string, ChartEdge | undefined>([[from, undefined]]);
		for (const path of came.keys()) {
			if (path !== from && isWanted(path)) return wayBack(came, path);
			for (const edge of this.chart.edges) {
				const isStart = edge.event === "BEGIN" && path !== "Idle";
				if (edge.from !== path || edge.to === undefined || isStart) continue;
				if (!came.has(edge.to)) came.set(edge.to, edge);
			}
		}
		return [];
	}
}

function wayBack(
	came: ReadonlyMap<string, ChartEdge | undefined>,
	end: string,
): ChartEdge[] {
	const way: ChartEdge[] = [];
	for (let edge = came.get(end); edge !== undefined; edge = came.get(edge.from))
		way.unshift(edge);
	return way;
}
