/**
 * A statechart as one flat deterministic automaton: a state per configuration (a leaf, or one leaf per parallel region), an event
 * per (event, guard outcome). What a monitor without data can follow.
 */
import type { Chart, ChartEdge } from "./chart.ts";
import { stateAt, withParents } from "./chart.ts";

/** A transition of the automaton. */
export interface FlatEdge {
	readonly from: string;
	readonly to: string;
	/** `DONE`, or `DONE__moreToDrop` where a guard chooses, or `DONE__otherwise` for the last choice. */
	readonly event: string;
}
/** A deterministic automaton: no state has two edges of one event. */
export interface FlatChart {
	readonly initial: string;
	readonly states: readonly string[];
	/** States that nothing leaves, or that are declared final; the initial one when there is none. */
	readonly final: readonly string[];
	readonly edges: readonly FlatEdge[];
}

/** Thrown when the product of parallel regions is too large to be of use. */
export class TooManyStatesError extends Error {
	override readonly name = "TooManyStatesError";
}
/** Configurations at most. */
export const CONFIGURATIONS_MAX = 2000;

type Configuration = string[];

/** Flattens a chart, from its initial configuration on: what cannot be reached is not in the result. */
export function flattened(chart: Chart): FlatChart {
	const start = leavesFrom(chart, "");
	const names = new Map([[nameOf(start), start]]);
	const edges: FlatEdge[] = [];
	for (const [name, configuration] of names)
		for (const { event, next } of stepsOf(chart, configuration)) {
			const target = nameOf(next);
			if (!names.has(target)) {
				if (names.size >= CONFIGURATIONS_MAX)
					throw new TooManyStatesError(
						`${chart.id} has more than ${CONFIGURATIONS_MAX} configurations`,
					);
				names.set(target, next);
			}
			edges.push({ from: name, to: target, event });
		}
	const states = [...names.keys()];
	const isFinal = (name: string): boolean =>
		(names.get(name) as Configuration).every(
			(path) => stateAt(chart, path).kind === "final",
		) || !edges.some((edge) => edge.from === name);
	const final = states.filter(isFinal);
	return {
		initial: nameOf(start),
		states,
		final: final.length > 0 ? final : [nameOf(start)],
		edges,
	};
}

const nameOf = (configuration: Configuration): string =>
	configuration.join("|") || "machine";

/** The leaves that are entered with a state. */
function leavesFrom(chart: Chart, path: string): string[] {
	const children = chart.states.filter((state) => state.parent === path);
	if (children.length === 0) return path === "" ? [] : [path];
	if (stateAt(chart, path).kind === "parallel")
		return children.flatMap((child) => leavesFrom(chart, child.path));
	const initial = stateAt(chart, path).initial ?? children[0]?.path ?? "";
	return leavesFrom(chart, initial);
}

/** Innermost state first, then outwards; per event the choices in order. */
function stepsOf(
	chart: Chart,
	configuration: Configuration,
): { event: string; next: Configuration }[] {
	const steps = new Map<string, Configuration>();
	for (const leaf of configuration) {
		const claimed = new Set<string>();
		for (const path of [...withParents(leaf), ""]) {
			const own = chart.edges.filter((edge) => edge.from === path);
			const events = [...new Set(own.map((edge) => occasion(edge)))];
			for (const event of events) {
				if (claimed.has(event)) continue;
				const choices = own.filter((edge) => occasion(edge) === event);
				for (const choice of choices) {
					const name = eventName(event, choice, choices);
					if (!steps.has(name))
						steps.set(name, after(chart, configuration, leaf, choice));
				}
				if (choices.some((choice) => choice.guard === undefined))
					claimed.add(event);
			}
		}
	}
	return [...steps].map(([event, next]) => ({ event, next }));
}

const occasion = (edge: ChartEdge): string =>
	edge.trigger === "event" ? edge.event : `${edge.trigger}_${edge.event}`;

function eventName(
	event: string,
	edge: ChartEdge,
	choices: readonly ChartEdge[],
): string {
	const name = event === "*" ? "any_other" : event;
	if (edge.guard !== undefined) return `${name}__${edge.guard}`;
	return choices.length > 1 ? `${name}__otherwise` : name;
}

function after(
	chart: Chart,
	configuration: Configuration,
	leaf: string,
	edge: ChartEdge,
): Configuration {
	if (edge.to === undefined) return configuration;
	const entered = leavesFrom(chart, edge.to);
	if (configuration.length === 1) return entered;
	const region = configuration.indexOf(leaf);
	const replaced = configuration.flatMap((path, i) =>
		i === region ? entered : entered.includes(path) ? [] : [path],
	);
	return [...new Set(replaced)];
}
