/** Small changes to a definition (an edge gone, a guard gone, an undo step skipped), and which edges a run goes through. */
import type { AnyDefinition, Edge, StateNode } from "../../machines/define.ts";
import { eachNode, edgesOf } from "../../machines/define.ts";

/** An edge by machine, state, event and place among the candidates. */
export const edgeKey = (
	id: string,
	path: string,
	event: string,
	index: number,
): string => `${id}: ${path || "(top)"} --${event}[${index}]-->`;

/** A copy of a definition whose edges went through `change`; undefined drops the edge. */
export function mapEdges(
	definition: AnyDefinition,
	change: (
		edge: Edge,
		path: string,
		event: string,
		index: number,
	) => Edge | undefined,
): AnyDefinition {
	const copy = (node: StateNode, path: string): StateNode => {
		const on: Record<string, readonly Edge[]> = {};
		for (const event of Object.keys(node.on ?? {}))
			on[event] = edgesOf(node, event).flatMap(
				(edge, i) => change(edge, path, event, i) ?? [],
			);
		const states = Object.entries(node.states ?? {}).map(([name, child]) => [
			name,
			copy(child, path === "" ? name : `${path}.${name}`),
		]);
		return {
			...node,
			...(node.on === undefined ? {} : { on }),
			...(states.length === 0 ? {} : { states: Object.fromEntries(states) }),
		};
	};
	return { ...definition, config: copy(definition.config, "") };
}

/** What runs went through: edges taken, and edges whose guard said no. */
export interface Coverage {
	taken: Set<string>;
	refused: Set<string>;
}

/** A copy of a definition that notes in `into()` every edge taken and every guard that says no. */
export function instrument(
	definition: AnyDefinition,
	into: () => Coverage,
): AnyDefinition {
	const guards: Record<string, AnyDefinition["guards"][string]> = {
		...definition.guards,
	};
	const actions: Record<string, AnyDefinition["actions"][string]> = {
		...definition.actions,
	};
	const changed = mapEdges(definition, (edge, path, event, index) => {
		const key = edgeKey(definition.id, path, event, index);
		actions[key] = () => {
			into().taken.add(key);
			return {};
		};
		const watched = { ...edge, actions: [...(edge.actions ?? []), key] };
		if (edge.guard === undefined) return watched;
		const guard = definition.guards[edge.guard]!;
		guards[key] = (context, ev) => {
			const holds = guard(context, ev);
			if (!holds) into().refused.add(key);
			return holds;
		};
		return { ...watched, guard: key };
	});
	return { ...changed, guards, actions };
}

/** A changed machine. `seen`: the coverage that a run must have to notice it. */
export interface Mutant {
	readonly name: string;
	readonly definition: AnyDefinition;
	readonly original: AnyDefinition;
	readonly seen: keyof Coverage;
	readonly edge: string;
	/** The state whose edge it is. */
	readonly path: string;
}

/** Every definition with one edge deleted, and with one guard deleted. */
export function mutantsOf(original: AnyDefinition): Mutant[] {
	const mutants: Mutant[] = [];
	eachNode(original.config, (path, node) => {
		for (const event of Object.keys(node.on ?? {}))
			edgesOf(node, event).forEach((edge, index) => {
				const key = edgeKey(original.id, path, event, index);
				const at = (p: string, e: string, i: number) =>
					p === path && e === event && i === index;
				mutants.push({
					name: `${key} deleted`,
					original,
					seen: "taken",
					edge: key,
					path,
					definition: mapEdges(original, (one, p, e, i) =>
						at(p, e, i) ? undefined : one,
					),
				});
				if (edge.guard === undefined) return;
				mutants.push({
					name: `${key} without guard ${edge.guard}`,
					original,
					seen: "refused",
					edge: key,
					path,
					definition: mapEdges(original, (one, p, e, i) => {
						if (!at(p, e, i)) return one;
						const { guard: _gone, ...rest } = one;
						return rest;
					}),
				});
			});
	});
	return mutants;
}
