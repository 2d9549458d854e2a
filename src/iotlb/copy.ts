/** Copies of the projection that share nothing which changes: states that a fold left behind stay valid. */
import type { DomainId, IommuId } from "../vocabulary/ids.ts";
import type { Iotlb, Space, Unit } from "./state.ts";
import { copyTables } from "./tables.ts";
import { copyWalks } from "./walks.ts";

const copySpace = (space: Space): Space => ({
	...space,
	live: new Map(space.live),
	setting: new Map(space.setting),
	stale: space.stale.map((stale) => ({ ...stale })),
	device: space.device.map((one) => ({ ...one })),
	tables: space.tables.slice(),
	clean: space.clean.slice(),
	walks: space.walks === null ? null : copyWalks(space.walks),
});

function list(
	byDomain: Map<DomainId, Space[]>,
	dom: DomainId,
	space: Space,
): void {
	const known = byDomain.get(dom);
	if (known === undefined) byDomain.set(dom, [space]);
	else known.push(space);
}

/** A copy that shares nothing which changes. */
export function copyIotlb(iotlb: Iotlb, own: object): Iotlb {
	const byDomain = new Map<DomainId, Space[]>();
	const units = new Map<IommuId, Unit>();
	for (const [id, unit] of iotlb.units) {
		const spaces = new Map<number, Space>();
		const copies = new Map<Space, Space>();
		for (const [did, space] of unit.spaces) {
			const copy = copySpace(space);
			spaces.set(did, copy);
			copies.set(space, copy);
			list(byDomain, copy.dom, copy);
			if (copy.stage2 !== undefined) list(byDomain, copy.stage2, copy);
		}
		units.set(id, {
			...unit,
			spaces,
			ats: new Set(unit.ats),
			pending: unit.pending.slice(),
			contexts: new Map(
				[...unit.contexts].map(([sid, entry]) => [
					sid,
					{ ...entry, space: copies.get(entry.space) ?? entry.space },
				]),
			),
			staleContexts: unit.staleContexts.map((entry) => ({
				...entry,
				space: copies.get(entry.space) ?? entry.space,
			})),
		});
	}
	return {
		...iotlb,
		own,
		tables: new Map(
			[...iotlb.tables].map(([dom, tables]) => [dom, copyTables(tables)]),
		),
		units,
		byDomain,
		nested: new Map(iotlb.nested),
		parents: new Set(iotlb.parents),
		queues: new Map(iotlb.queues),
		windows: {
			...iotlb.windows,
			byDomain: new Map(
				[...iotlb.windows.byDomain].map(([dom, { strict, lazy }]) => [
					dom,
					{ strict: { ...strict }, lazy: { ...lazy } },
				]),
			),
		},
		dropped: iotlb.dropped.slice(),
	};
}
