/** ACC rows (facts iommufd §6.4): in-kernel users of an IOAS. */
import type { AccessId, IoasId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { areaAt, areaMeeting, type Area } from "../world/areas.ts";
import { pinKey } from "../world/apply-ioas.ts";
import type { Access, Ioas, World } from "../world/types.ts";
import { show } from "./iova-checks.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

/** Outstanding pins of one access in an IOAS that meet an area. */
function pinsOf(access: Access, ioas: IoasId, area: Area): number {
	let n = 0;
	for (const [key, count] of access.pins) {
		const [where, start, length] = key.split(" ") as [string, string, string];
		const first = BigInt(start);
		if (where !== ioas) continue;
		if (first <= area.last && first + BigInt(length) > area.start) n += count;
	}
	return n;
}
/** Outstanding pins of everybody that meet an area. */
function pinsOn(world: World, ioas: Ioas, area: Area): number {
	let n = 0;
	for (const access of world.accesses.map.values())
		if (!access.gone) n += pinsOf(access, ioas.id, area);
	return n;
}

/** ACC-2. */
function counted(
	{ world }: Context,
	{ data, seq }: LogRecord<"access.pinned" | "access.unpinned">,
): Outcome {
	const ioas = world.ioases.map.get(data.ioas);
	const area =
		ioas === undefined
			? undefined
			: areaMeeting(ioas.areas, data.iova, data.iova);
	if (data.nacc === undefined || ioas === undefined || area === undefined)
		return SKIP;
	const n = pinsOn(world, ioas, area);
	return n === data.nacc
		? undefined
		: broken(
				`${data.ioas} ${seq}`,
				`the area ${show(area)} of ${data.ioas} counts ${data.nacc} pin(s), and ${n} are outstanding on it`,
				[ioas.id, data.access],
				[area.seq],
			);
}

/** ACC-3. */
function unpinnedFirst(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.draining">,
): Outcome {
	const ioas = world.ioases.map.get(data.ioas);
	if (ioas === undefined || ioas.accs.length === 0) return SKIP;
	const area = areaAt(ioas.areas, data.iova);
	if (area === undefined) return SKIP;
	const n = pinsOn(world, ioas, area);
	return n === 0
		? undefined
		: broken(
				`${data.ioas} ${seq}`,
				`the area ${show(area)} of ${data.ioas} is torn down with ${n} pin(s) on it`,
				[ioas.id, ...ioas.accs],
				[area.seq],
			);
}

export const ACCESSES: readonly Invariant[] = [
	{
		id: "ACC-1",
		when: "O",
		severity: "error",
		aspect: "ioas",
		sentence:
			"The accesses attached to an IOAS, those on its list and those counted on it are the same.",
		harm: "an unmap does not ask one of them, or the IOAS goes under it",
		source: ["drivers/iommu/iommufd/device.c:iommufd_access_change_ioas"],
		test: (world, id) => {
			const ioas = world.ioases.map.get(id as IoasId);
			if (ioas === undefined || ioas.createdSeq === 0 || ioas.gone) return SKIP;
			const { accs, accRefs } = ioas;
			if (accs.length === 0 && accRefs === 0) return SKIP;
			const foreign = accs.find(
				(acc) => world.accesses.map.get(acc)?.ioas !== ioas.id,
			);
			if (accs.length === accRefs && foreign === undefined) return undefined;
			return broken(
				id,
				foreign === undefined
					? `${accs.length} access(es) are on the list of ${id}, ${accRefs} are counted on it`
					: `${foreign} is on the list of ${id} and attached elsewhere`,
				[ioas.id, ...accs],
				[ioas.createdSeq],
			);
		},
	},
	{
		id: "ACC-2",
		when: "O",
		severity: "error",
		sentence: "An area counts the pins that are outstanding on it.",
		harm: "an unmap waits for ever, or takes a pinned page away",
		source: ["drivers/iommu/iommufd/pages.c:iopt_area_add_access"],
		on: { "access.pinned": counted, "access.unpinned": counted },
	},
	{
		id: "ACC-3",
		when: "S",
		severity: "error",
		sentence: "No area is torn down while an access has a pin on it.",
		harm: "the page of a CPU user is given away",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range"],
		on: { "area.draining": unpinnedFirst },
	},
	{
		id: "ACC-4",
		when: "S",
		severity: "error",
		sentence: "An unpin names exactly the interval of an earlier pin.",
		harm: "the look-up is exact: the pin would stay for ever",
		source: ["drivers/iommu/iommufd/pages.c:iopt_pages_get_exact_access"],
		on: {
			"access.unpinned": ({ world }, { data, seq }) => {
				const access = world.accesses.map.get(data.access);
				if (access === undefined) return SKIP;
				const count = access.pins.get(pinKey(data)) ?? 0;
				return count >= 0
					? undefined
					: broken(
							`${data.access} ${seq}`,
							`${data.access} unpinned 0x${data.len.toString(16)} bytes at 0x${data.iova.toString(16)}, which it had not pinned as such`,
							[data.access, data.ioas],
							[],
						);
			},
		},
	},
	{
		id: "ACC-5",
		when: "O",
		severity: "error",
		aspect: "access",
		sentence: "An access has no pins in an IOAS that it left.",
		harm: "the user's unmap hook did not let go: pages of a foreign address space stay pinned",
		source: ["drivers/iommu/iommufd/device.c:iommufd_access_change_ioas"],
		test: (world, id) => {
			const access = world.accesses.map.get(id as AccessId);
			if (access === undefined || access.pins.size === 0) return SKIP;
			for (const key of access.pins.keys())
				if (access.ioas === undefined || !key.startsWith(`${access.ioas} `))
					return broken(
						id,
						`${id} still has the pin ${key} and is attached to ${access.ioas ?? "nothing"}`,
						[access.id],
						[],
					);
			return undefined;
		},
	},
	{
		id: "ACC-6",
		when: "Q",
		severity: "error",
		aspect: "access",
		sentence: "No access stays between two IOASes.",
		harm: "every later change of it is refused with EBUSY",
		source: ["drivers/iommu/iommufd/device.c:iommufd_access_change_ioas"],
		test: (world, id) => {
			const access = world.accesses.map.get(id as AccessId);
			if (access === undefined || access.gone) return SKIP;
			return access.switching
				? broken(
						id,
						`${id} is still switching with no operation open`,
						[access.id],
						[],
					)
				: undefined;
		},
	},
];
