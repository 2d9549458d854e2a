/** Legacy containers out of the fold. */
import { treeSet, type Tree } from "../../../machines/iopt-tree.ts";
import { ENTRY_LIMIT } from "../../../machines/ops/type1.ts";
import type {
	Container,
	DmaEntry,
	Domain,
	VfioDomain,
} from "../../../machines/ops/types.ts";
import type { CtxId, DomainId } from "../../vocabulary/ids.ts";
import type { World } from "../../world/types.ts";
import type { Legacy } from "../legacy.ts";
import type { ContainerNote, EntryNote } from "./notes-legacy.ts";
import type { Notes } from "./notes-state.ts";

const entryOf = ({ mm, runs, ...entry }: EntryNote): DmaEntry => ({
	...entry,
	runs: [...runs],
	account: `mm:${mm}`,
});

function containerOf(
	name: CtxId,
	note: ContainerNote,
	world: World,
): Container {
	const domains = note.domains.map(
		({ dom, fgsp }): VfioDomain => ({
			dom,
			groups: [...note.at].flatMap(([group, at]) =>
				at === dom ? [group] : [],
			),
			fgsp,
			cc: world.domains.map.get(dom)?.cc === true,
		}),
	);
	let dma: Tree<bigint, DmaEntry>;
	for (const entry of note.entries.values())
		dma = treeSet(dma, entry.iova, entryOf(entry));
	const entries = note.entries.size;
	return {
		name,
		groups: [...note.groups],
		domains,
		dma,
		entries,
		avail: ENTRY_LIMIT - entries,
		// No command of a live system asks for the nesting type.
		...(note.version === undefined
			? {}
			: { v2: note.version !== "v1", nesting: false }),
		...(note.ranges === undefined
			? {}
			: {
					ranges: note.ranges.map(([start, last]) => ({
						start: BigInt(start),
						last: BigInt(last),
					})),
				}),
	};
}

/** The containers, and of the domains that drivers made those that are theirs: these are taken out of `made`. */
export function legacyState(
	world: World,
	{ legacy }: Notes,
	made: Map<DomainId, Domain>,
): Legacy {
	const domains = new Map<DomainId, Domain>();
	const containers = new Map<CtxId, Container>();
	for (const [ctx, note] of legacy.containers) {
		containers.set(ctx, containerOf(ctx, note, world));
		for (const { dom } of note.domains) {
			const domain = made.get(dom);
			if (domain !== undefined) domains.set(dom, domain);
			made.delete(dom);
		}
	}
	return { containers, domains, opened: legacy.opened };
}
