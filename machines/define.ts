/**
 * How a machine is written down: one plain definition, several engines (DESIGN §3). Guards and actions are named pure
 * functions over plain context; XState runs them live (`toXState`), compile.ts turns the same definition into a flat table,
 * and whoever draws or exports reads `config`.
 *
 * A guard answers yes or no; an action returns the fields of the context that change. Neither throws, and neither knows
 * which engine runs it.
 */
import { assign, setup, type AnyStateMachine } from "xstate";

/** Anything that can happen to a machine. */
export interface MachineEvent {
	readonly type: string;
}
/** A transition: where to, under which guard, doing what. Without `target` the state stays. */
export interface Edge {
	readonly target?: string;
	readonly guard?: string;
	readonly actions?: readonly string[];
	/** Leave and enter again when the target is the state itself, so that `entry` runs. */
	readonly reenter?: true;
}
/** A state. `entry` actions stand on leaves only. Targets name a sibling, or `#machine.path` from the top. */
export interface StateNode {
	readonly type?: "parallel";
	readonly initial?: string;
	readonly description?: string;
	readonly entry?: readonly string[];
	readonly on?: { readonly [event: string]: Edge | readonly Edge[] };
	readonly states?: { readonly [name: string]: StateNode };
}
// any: each function takes the one event type that its transitions name; the engines pass whatever event selected them.
// oxlint-disable-next-line typescript/no-explicit-any
export type Guard<C> = (context: C, event: any) => boolean;
// any: as above.
// oxlint-disable-next-line typescript/no-explicit-any
export type Update<C> = (context: C, event: any) => Partial<C>;

/** A machine as data. `C` is its context, `I` what it is started with. */
export interface Definition<C extends object, I> {
	readonly id: string;
	/** What the machine stands for, one sentence with its source. */
	readonly about: string;
	/** Every event type it may be sent. */
	readonly events: readonly string[];
	readonly start: (input: I) => C;
	readonly guards: { readonly [name: string]: Guard<C> };
	readonly actions: { readonly [name: string]: Update<C> };
	readonly config: StateNode;
}
/** A machine whatever its context is. */
// any: a table of unlike machines; each keeps its own context type where it is used.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyDefinition = Definition<any, any>;

/** The edges of a state for one event, as a list. */
export function edgesOf(node: StateNode, event: string): readonly Edge[] {
	const edges = node.on?.[event];
	if (edges === undefined) return [];
	return Array.isArray(edges) ? (edges as readonly Edge[]) : [edges as Edge];
}

/** Calls `visit` for every state, top down, with its path ("" is the top). */
export function eachNode(
	node: StateNode,
	visit: (path: string, node: StateNode) => void,
	path = "",
): void {
	visit(path, node);
	for (const name of Object.keys(node.states ?? {}))
		eachNode(
			node.states![name]!,
			visit,
			path === "" ? name : `${path}.${name}`,
		);
}

/**
 * Checks that a definition is whole: every guard, action, event and target it names exists, and everything it declares is
 * used. Returns the sentences that say what is wrong; none means whole.
 */
export function definitionProblems(definition: AnyDefinition): string[] {
	const problems: string[] = [];
	const paths = new Set<string>();
	eachNode(definition.config, (path) => paths.add(path));
	const used = { guards: new Set<string>(), actions: new Set<string>() };
	const events = new Set<string>();
	const name = (table: "guards" | "actions", key: string, at: string) => {
		used[table].add(key);
		if (!Object.hasOwn(definition[table], key))
			problems.push(`${at} names ${key}, which is not in ${table}`);
	};
	eachNode(definition.config, (path, node) => {
		for (const action of node.entry ?? []) name("actions", action, path);
		if (node.states && node.type !== "parallel" && !node.initial)
			problems.push(`${path} has no initial state`);
		for (const event of Object.keys(node.on ?? {})) {
			events.add(event);
			if (event !== "*" && !definition.events.includes(event))
				problems.push(`${path} answers ${event}, which is not in events`);
			for (const edge of edgesOf(node, event)) {
				if (edge.guard) name("guards", edge.guard, path);
				for (const action of edge.actions ?? []) name("actions", action, path);
				if (edge.target === undefined) continue;
				const target = resolveTarget(path, edge.target);
				if (!paths.has(target))
					problems.push(`${path}: no state ${edge.target}`);
				if (target === path && node.entry && !edge.reenter)
					problems.push(`${path} goes to itself on ${event} without its entry`);
			}
		}
	});
	for (const table of ["guards", "actions"] as const)
		for (const key of Object.keys(definition[table]))
			if (!used[table].has(key)) problems.push(`${key} in ${table} is unused`);
	for (const event of definition.events)
		if (!events.has(event)) problems.push(`nothing answers ${event}`);
	return problems;
}

/** The path a target means, seen from the state at `path`. */
export function resolveTarget(path: string, target: string): string {
	if (target.startsWith("#"))
		return target.includes(".") ? target.slice(target.indexOf(".") + 1) : "";
	const cut = path.lastIndexOf(".");
	return cut < 0 ? target : `${path.slice(0, cut)}.${target}`;
}

/** The XState v5 machine of a definition. */
export function toXState(definition: AnyDefinition): AnyStateMachine {
	const guards: Record<string, unknown> = {};
	for (const [name, guard] of Object.entries(definition.guards))
		guards[name] = ({ context, event }: { context: object; event: object }) =>
			guard(context, event);
	const actions: Record<string, unknown> = {};
	for (const [name, update] of Object.entries(definition.actions))
		actions[name] = assign(
			({ context, event }: { context: object; event: object }) =>
				update(context, event),
		);
	// any: names were checked by definitionProblems; XState's own inference cannot see through a table.
	// oxlint-disable-next-line typescript/no-explicit-any
	const implementations: any = {
		types: {} as { context: object; events: MachineEvent; input: unknown },
		guards,
		actions,
	};
	// any: as above.
	// oxlint-disable-next-line typescript/no-explicit-any
	const config: any = {
		id: definition.id,
		description: definition.about,
		context: ({ input }: { input: unknown }) => definition.start(input),
		...definition.config,
	};
	return setup(implementations).createMachine(config);
}
