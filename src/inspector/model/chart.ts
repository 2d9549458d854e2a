/**
 * A statechart as plain data: what is drawn, highlighted and exported. Read from our own definitions (machines/) or from any
 * XState v5 machine by walking `machine.root` (XState's own directed graph omits `always` transitions and initial states,
 * field-notes §2.6).
 */
import type {
	AnyDefinition,
	Edge,
	StateNode,
} from "../../../machines/define.ts";
import { resolveTarget } from "../../../machines/define.ts";

/** What a state is. */
export type StateKind =
	| "atomic"
	| "compound"
	| "parallel"
	| "final"
	| "history";
/** A state. `path` is its name from the top, "" for the machine itself. */
export interface ChartState {
	readonly path: string;
	readonly name: string;
	/** Path of the state around it; undefined for the machine. */
	readonly parent: string | undefined;
	readonly kind: StateKind;
	/** Path of the child that is entered first. */
	readonly initial: string | undefined;
	readonly entry: readonly string[];
	readonly exit: readonly string[];
	/** Names of invoked actors. */
	readonly invokes: readonly string[];
	readonly description: string | undefined;
}
/** Why a transition is taken: an event by name, or one of XState's own occasions. */
export type Trigger = "event" | "always" | "after" | "done" | "error";
/** A transition. */
export interface ChartEdge {
	readonly from: string;
	/** Undefined: the state stays (an internal transition). */
	readonly to: string | undefined;
	readonly trigger: Trigger;
	/** The event's name; for `after` the delay; empty for `always`. */
	readonly event: string;
	readonly guard: string | undefined;
	readonly actions: readonly string[];
	readonly reenter: boolean;
}
/** A machine. Edges of one state are in the order in which they are tried. */
export interface Chart {
	readonly id: string;
	readonly about: string;
	readonly states: readonly ChartState[];
	readonly edges: readonly ChartEdge[];
}

const join = (path: string, name: string): string =>
	path === "" ? name : `${path}.${name}`;

/** The chart of one of our definitions. */
export function chartOfDefinition(definition: AnyDefinition): Chart {
	const states: ChartState[] = [];
	const edges: ChartEdge[] = [];
	const walk = (
		node: StateNode,
		path: string,
		name: string,
		parent: string | undefined,
	): void => {
		const children = Object.keys(node.states ?? {});
		states.push({
			path,
			name,
			parent,
			kind: node.type ?? (children.length > 0 ? "compound" : "atomic"),
			initial:
				node.initial === undefined ? undefined : join(path, node.initial),
			entry: node.entry ?? [],
			exit: [],
			invokes: [],
			description: node.description,
		});
		for (const [event, value] of Object.entries(node.on ?? {}))
			for (const edge of [value].flat() as readonly Edge[])
				edges.push({
					from: path,
					to:
						edge.target === undefined
							? undefined
							: resolveTarget(path, edge.target),
					trigger: "event",
					event,
					guard: edge.guard,
					actions: edge.actions ?? [],
					reenter: edge.reenter === true,
				});
		for (const child of children)
			walk(
				(node.states as Record<string, StateNode>)[child] as StateNode,
				join(path, child),
				child,
				path,
			);
	};
	walk(definition.config, "", definition.id, undefined);
	return { id: definition.id, about: definition.about, states, edges };
}

/** What is read of an XState v5 state node: its public shape, so that any 5.x machine will do. */
interface XNode {
	readonly id: string;
	readonly key: string;
	readonly path: readonly string[];
	readonly type: StateKind;
	readonly description?: string | undefined;
	readonly entry?: readonly unknown[];
	readonly exit?: readonly unknown[];
	readonly invoke?: readonly { readonly src?: unknown; readonly id?: string }[];
	readonly states: Readonly<Record<string, XNode>>;
	readonly initial?: { readonly target?: readonly XNode[] } | undefined;
	readonly transitions: ReadonlyMap<string, readonly XTransition[]>;
	readonly always?: readonly XTransition[] | undefined;
}
interface XTransition {
	readonly eventType: string;
	readonly target?: readonly XNode[] | undefined;
	readonly guard?: unknown;
	readonly actions?: readonly unknown[];
	readonly reenter?: boolean;
}
/** Any XState v5 machine. */
export interface XMachine {
	readonly id: string;
	readonly root: unknown;
}

/** The chart of any XState v5 machine. Inline functions are named after themselves, or "inline". */
export function chartOfMachine(machine: XMachine): Chart {
	const states: ChartState[] = [];
	const edges: ChartEdge[] = [];
	const walk = (node: XNode, parent: string | undefined): void => {
		const path = node.path.join(".");
		const initial = node.initial?.target?.[0]?.path.join(".");
		states.push({
			path,
			name: parent === undefined ? machine.id : node.key,
			parent,
			kind: node.type,
			initial: node.type === "parallel" ? undefined : initial,
			entry: (node.entry ?? []).map(nameOf),
			exit: (node.exit ?? []).map(nameOf),
			invokes: (node.invoke ?? []).map((invoke) =>
				typeof invoke.src === "string" ? invoke.src : (invoke.id ?? "inline"),
			),
			description: node.description,
		});
		const own = [...node.transitions.values()].flat();
		for (const transition of [...own, ...(node.always ?? [])])
			for (const edge of edgesOf(node, path, transition)) edges.push(edge);
		for (const child of Object.values(node.states)) walk(child, path);
	};
	const root = machine.root as XNode;
	walk(root, undefined);
	return { id: machine.id, about: root.description ?? "", states, edges };
}

/** A transition with several targets (into parallel regions) becomes one edge each. */
function edgesOf(
	node: XNode,
	from: string,
	transition: XTransition,
): ChartEdge[] {
	const { trigger, event } = triggerOf(node, transition.eventType);
	const targets = transition.target ?? [undefined];
	return targets.map((target) => ({
		from,
		to: target?.path.join("."),
		trigger,
		event,
		guard:
			transition.guard === undefined ? undefined : guardName(transition.guard),
		actions: (transition.actions ?? []).map(nameOf),
		reenter: transition.reenter === true,
	}));
}

const AFTER = "xstate.after.";

/** XState names its own events after the occasion and the state: `xstate.after.1000.machine.state`. */
function triggerOf(
	node: XNode,
	type: string,
): { trigger: Trigger; event: string } {
	if (type === "") return { trigger: "always", event: "" };
	if (type.startsWith(AFTER)) {
		const end = type.endsWith(`.${node.id}`)
			? type.length - node.id.length - 1
			: undefined;
		return { trigger: "after", event: type.slice(AFTER.length, end) };
	}
	if (type.startsWith("xstate.done."))
		return { trigger: "done", event: type.slice("xstate.done.".length) };
	if (type.startsWith("xstate.error."))
		return { trigger: "error", event: type.slice("xstate.error.".length) };
	return { trigger: "event", event: type };
}

/** The name of an action or guard: a string, {type}, or a function (XState's own ones carry their type). */
function nameOf(thing: unknown): string {
	if (typeof thing === "string") return thing;
	const { type, name } = thing as { type?: unknown; name?: unknown };
	if (typeof type === "string") return type.replace(/^xstate\./, "");
	return typeof name === "string" && name !== "" ? name : "inline";
}

/** `and`, `or`, `not` keep their parts in `guards`. */
function guardName(guard: unknown): string {
	const { guards } = guard as { guards?: readonly unknown[] };
	if (!Array.isArray(guards)) return nameOf(guard);
	return `${nameOf(guard)}(${guards.map(guardName).join(", ")})`;
}

/** The text of a transition: `event [guard] / actions`. */
export function edgeLabel(edge: ChartEdge): string {
	const occasion = {
		event: edge.event,
		always: "always",
		after: `after ${edge.event}`,
		done: `done ${edge.event}`,
		error: `error ${edge.event}`,
	}[edge.trigger];
	const guard = edge.guard === undefined ? "" : ` [${edge.guard}]`;
	const actions =
		edge.actions.length === 0 ? "" : ` / ${edge.actions.join(", ")}`;
	return `${occasion}${guard}${actions}`;
}

/** Tells whether an edge stays inside its state: drawn as a line in the state's box, not as an arrow. */
export const isInternal = (edge: ChartEdge): boolean =>
	edge.to === undefined || edge.to === edge.from;

/** Finds a state by path. */
export function stateAt(chart: Chart, path: string): ChartState {
	const found = chart.states.find((state) => state.path === path);
	if (found === undefined)
		throw new RangeError(`${chart.id} has no state ${JSON.stringify(path)}`);
	return found;
}

/** The states of a path and all around it, innermost first, without the machine itself. */
export function withParents(path: string): string[] {
	const all: string[] = [];
	for (let at = path; at !== ""; ) {
		all.push(at);
		const cut = at.lastIndexOf(".");
		at = cut < 0 ? "" : at.slice(0, cut);
	}
	return all;
}
