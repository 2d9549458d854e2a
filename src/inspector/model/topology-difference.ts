/** Where two topologies differ: for two logs side by side. */
import type { Topology } from "./topology.ts";

type Part = { readonly id: string };

const parts = (topology: Topology): Part[] => [
	...topology.groups.map(({ id, dom, owner, claims }) => ({
		id,
		dom,
		owner,
		claims,
	})),
	...topology.groups.flatMap((group) => group.devices),
	...topology.hwpts,
	...topology.domains,
	...topology.ioases,
];

/** Ids of the parts of `here` that `there` has not, or has otherwise. */
export function differingParts(here: Topology, there: Topology): Set<string> {
	const other = new Map(
		parts(there).map((part) => [part.id, JSON.stringify(part)]),
	);
	return new Set(
		parts(here)
			.filter((part) => other.get(part.id) !== JSON.stringify(part))
			.map((part) => part.id),
	);
}
