/** IOP-1 … IOP-16: the IOVA space and what it maps (facts iommufd §2.4-2.6, §6.3). */
import {
	areaGone,
	claimed,
	domainJoined,
	hex,
	ioasIn,
	isFilled,
	mapOutside,
	overReserved,
	reservedOver,
	settled,
	show,
	unmapExact,
	unmapWhole,
} from "./iova-checks.ts";
import type { U64 } from "../vocabulary/fields.ts";
import { areaAt } from "../world/areas.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";

export const IOVA: readonly Invariant[] = [
	{
		id: "IOP-1",
		when: "S",
		severity: "error",
		on: { "area.claimed": claimed },
		sentence: "Areas of an IOAS never overlap, half-built ones included.",
		harm: "two owners for one IOVA",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_check_iova"],
	},
	{
		id: "IOP-2",
		when: "S",
		severity: "error",
		on: { "area.claimed": overReserved, "resv.added": reservedOver },
		sentence: "No area meets a reserved range.",
		harm: "DMA into an interrupt window or outside the aperture",
		source: [
			"drivers/iommu/iommufd/io_pagetable.c:iopt_check_iova, iopt_reserve_iova",
		],
		brokenBy: "recording f1_extra_resv_v1.A1",
	},
	{
		id: "IOP-3",
		when: "S",
		severity: "error",
		aspect: "ioas",
		sentence: "No allowed range meets a reserved one.",
		harm: "ALLOW_IOVAS promised a range that cannot be used",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_set_allow_iova"],
		test: (world, id) => {
			const ioas = ioasIn(world, id);
			if (ioas === undefined || ioas.gone || ioas.allowed.length === 0)
				return SKIP;
			for (const entry of ioas.resv)
				for (const [start, last] of entry.ranges)
					for (const [from, to] of ioas.allowed)
						if (from <= last && to >= start)
							return broken(
								id,
								`${id} allows ${hex(from)}-${hex(to)} and has ${hex(start)}-${hex(last)} reserved for ${entry.owner}`,
								[ioas.id, entry.owner],
								[entry.seq],
							);
			return undefined;
		},
	},
	{
		id: "IOP-4",
		when: "S",
		severity: "error",
		sentence: "Allowed ranges are disjoint and not empty.",
		harm: "the search for a free IOVA goes wrong",
		source: ["drivers/iommu/iommufd/ioas.c:iommufd_ioas_load_iovas"],
		on: {
			"ioas.allowed.set": (_, { data, seq }) => {
				const sorted = [...data.ranges].sort((a, b) => (a[0] < b[0] ? -1 : 1));
				for (let i = 0; i < sorted.length; i++) {
					const [start, last] = sorted[i] as readonly [U64, U64];
					const next = sorted[i + 1];
					if (start >= last || (next !== undefined && next[0] <= last))
						return broken(
							`${data.ioas} ${seq}`,
							`the allowed ranges of ${data.ioas} overlap or are empty at ${hex(start)}`,
							[data.ioas],
							[],
						);
				}
				return undefined;
			},
		},
	},
	{
		id: "IOP-5",
		when: "O",
		severity: "error",
		sentence:
			"Start and length of an area are multiples of the IOAS' alignment.",
		harm: "the smallest page of some domain cannot map it",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_check_iova_alignment"],
		on: {
			"area.live": ({ world }, { data, seq }) => {
				const { ioas } = world.effect;
				const area =
					ioas === undefined ? undefined : areaAt(ioas.areas, data.iova);
				if (
					ioas === undefined ||
					area === undefined ||
					!ioas.alignKnown ||
					typeof area.last !== "number"
				)
					return SKIP;
				if (
					(area.start as number) % ioas.align === 0 &&
					(area.last + 1) % ioas.align === 0
				)
					return undefined;
				return broken(
					`${data.ioas} ${seq}`,
					`${show(area)} in ${data.ioas} is not aligned to ${ioas.align}`,
					[ioas.id],
					[area.seq],
				);
			},
		},
	},
	{
		id: "IOP-7",
		when: "O",
		severity: "error",
		on: { "area.live": isFilled, "iopt.dom.added": domainJoined },
		sentence: "A live area is mapped completely in every domain of its IOAS.",
		harm: "a lost mapping: the device faults on memory it was given",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_fill_domain"],
	},
	{
		id: "IOP-8",
		when: "O",
		severity: "error",
		on: { "dom.map": mapOutside, "area.gone": areaGone },
		sentence: "The domains of an IOAS map nothing outside its areas.",
		harm: "a leftover mapping: DMA into memory that was given back",
		source: ["drivers/iommu/iommufd/pages.c:iopt_area_unfill_domains"],
	},
	{
		id: "IOP-9",
		when: "S",
		severity: "error",
		sentence:
			"A live area has a storage domain exactly when its IOAS has domains, and it is one of them.",
		harm: "its pages cannot be found again to be unpinned",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_unfill_domain"],
		on: {
			"area.live": ({ world }, { data, seq }) => {
				const { ioas } = world.effect;
				if (ioas === undefined || !world.seen.pins || !world.seen.iopt)
					return SKIP;
				const right =
					data.sdom === undefined
						? ioas.doms.length === 0
						: ioas.doms.includes(data.sdom);
				return right
					? undefined
					: broken(
							`${data.ioas} ${seq}`,
							`the area at ${hex(data.iova)} of ${data.ioas} stores its pages in ${data.sdom ?? "no domain"}; the IOAS fills ${ioas.doms.join(", ") || "none"}`,
							[ioas.id],
							[],
						);
			},
		},
	},
	{
		id: "IOP-10",
		when: "O",
		severity: "error",
		sentence:
			"Every area lies inside the aperture of every domain of its IOAS.",
		harm: "part of it cannot be mapped",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_table_add_domain"],
		on: {
			"area.live": ({ world }, { data, seq }) => {
				const { ioas } = world.effect;
				const area =
					ioas === undefined ? undefined : areaAt(ioas.areas, data.iova);
				if (ioas === undefined || area === undefined || ioas.doms.length === 0)
					return SKIP;
				for (const dom of ioas.doms) {
					const limit = world.domains.map.get(dom)?.apertureLast;
					if (limit !== undefined && area.last > limit)
						return broken(
							`${data.ioas} ${dom} ${seq}`,
							`${show(area)} in ${data.ioas} reaches beyond ${hex(limit)}, the end of ${dom}`,
							[ioas.id, dom],
							[area.seq],
						);
				}
				return undefined;
			},
		},
	},
	{
		id: "IOP-11",
		when: "Q",
		severity: "error",
		on: { "op.commit": settled, "op.fail": settled },
		sentence: "At rest no area is half built or half torn down.",
		harm: "it blocks every unmap with EBUSY for ever",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range"],
	},
	{
		id: "IOP-14",
		when: "S",
		severity: "error",
		on: { "dom.unmap": unmapExact },
		sentence:
			"An unmap of a user's domain reports exactly the length asked for.",
		harm: "pages are unpinned that are still mapped, or leak",
		source: ["drivers/iommu/iommufd/pages.c:iommu_unmap_nofail", "seed mail 4"],
	},
	{
		id: "IOP-16",
		when: "S",
		severity: "error",
		on: { "dom.unmap": unmapWhole },
		sentence:
			"What is unmapped from a user's domain had been mapped, all of it.",
		harm: "the accounting of pinned pages goes wrong",
		source: ["drivers/iommu/iommufd/pages.c:iopt_area_unpin_domain"],
	},
];
