/** PIN and ACC rows that records decide (facts iommufd §6.4). */
import type { AccessId } from "../vocabulary/ids.ts";
import { pinKey } from "../world/apply-ioas.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";

export const PINS: readonly Invariant[] = [
	{
		id: "PIN-2",
		when: "S",
		severity: "error",
		sentence: "No page is unpinned more often than it was pinned.",
		harm: "a page that is still mapped is given back",
		source: ["drivers/iommu/iommufd/pages.c:iopt_pages_add_npinned"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"pages.unpinned": ({ world }, { data, seq }) => {
				const pages = world.pages.map.get(data.pages);
				if (pages === undefined) return SKIP;
				return pages.npin >= 0
					? undefined
					: broken(
							`${data.pages} ${seq}`,
							`${data.pages} has ${pages.npin} pinned pages after unpinning ${data.n}`,
							[data.pages],
							[],
						);
			},
		},
	},
	{
		id: "PIN-4",
		when: "S",
		severity: "error",
		sentence: "A range is unmapped and flushed before its pages are unpinned.",
		harm: "DMA into freed pages through the IOTLB",
		source: [
			"drivers/iommu/iommu.c:iommu_unmap",
			"drivers/vfio/vfio_iommu_type1.c:vfio_sync_unpin",
		],
		brokenBy: "record sequence in test/invariants",
		on: {
			"pages.unpinned": ({ bracket }, { data, seq }) => {
				if (bracket.seq === 0 || data.undo === true) return SKIP;
				const { unmapSeq: unmapped, syncedSeq: synced } = bracket;
				if (unmapped === 0 || synced === 0) return SKIP;
				return synced > unmapped
					? undefined
					: broken(
							`${data.pages} ${seq}`,
							`${data.pages} was unpinned after the unmap at #${unmapped} and before its flush`,
							[data.pages],
							[unmapped],
						);
			},
		},
	},
	{
		id: "PIN-6",
		when: "S",
		severity: "error",
		sentence: "Pages are freed with nothing pinned.",
		harm: "a leak of pinned memory",
		source: ["drivers/iommu/iommufd/pages.c:iopt_release_pages"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"pages.freed": ({ world }, { data, seq }) => {
				const { pinsLeft } = world.effect;
				if (pinsLeft === undefined) return SKIP;
				return pinsLeft === 0
					? undefined
					: broken(
							`${data.pages} ${seq}`,
							`${data.pages} was freed with ${pinsLeft} page(s) pinned`,
							[data.pages],
							[],
						);
			},
		},
	},
	{
		id: "ACC-4",
		when: "S",
		severity: "error",
		sentence: "An unpin names exactly the interval of an earlier pin.",
		harm: "the look-up is exact: the pin would stay for ever",
		source: ["drivers/iommu/iommufd/pages.c:iopt_pages_get_exact_access"],
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
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
