/** PIN rows (facts iommufd §6.4): pinned pages, who holds them and who pays. */
import type { U64 } from "../vocabulary/fields.ts";
import type { PagesId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { areaAt, type Area } from "../world/areas.ts";
import { framesOf, presentFrames } from "../world/memory.ts";
import { pagesAt, pagesHeld } from "../world/pins.ts";
import type { Pages, PagesArea, World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

const PAGE = 4096;

const pagesIn = (world: World, id: string): Pages | undefined => {
	const pages = pagesAt(world, id as PagesId);
	return pages?.shown === true ? pages : undefined;
};

/** A domain that still maps some of pages [first, last] through this area. */
function mapping(
	world: World,
	entry: PagesArea,
	first: number,
	last: number,
): string | undefined {
	const ioas = world.ioases.map.get(entry.ioas);
	const area = ioas === undefined ? undefined : areaAt(ioas.areas, entry.start);
	const from = Math.max(first, entry.first);
	const to = Math.min(last, entry.last);
	if (ioas === undefined || area === undefined || from > to) return undefined;
	const [start, end] = bytesOf(area, from, to);
	for (const dom of ioas.doms) {
		const memory = world.domains.map.get(dom)?.memory ?? null;
		if (memory === null) continue;
		const frame = framesOf(start, memory.unit);
		const beyond = framesOf(end, memory.unit);
		if (
			frame >= 0 &&
			beyond > frame &&
			presentFrames(memory, frame, beyond - frame) > 0
		)
			return dom;
	}
	return undefined;
}

/** Where an area shows pages [from, to]: the first byte, and the one after the last. */
function bytesOf(area: Area, from: number, to: number): readonly [U64, U64] {
	const { start, last, off } = area;
	if (
		typeof start === "number" &&
		typeof last === "number" &&
		typeof off === "number"
	) {
		const zero = start - off;
		return [
			Math.max(start, zero + from * PAGE),
			Math.min(last, zero + (to + 1) * PAGE - 1) + 1,
		];
	}
	const zero = BigInt(start) - BigInt(off);
	const at = (page: number): bigint => zero + BigInt(page) * BigInt(PAGE);
	return [
		at(from) < start ? start : at(from),
		at(to + 1) > last ? BigInt(last) + 1n : at(to + 1),
	];
}

/** PIN-3. */
function nobodyNeeds(
	{ world }: Context,
	{ data, seq }: LogRecord<"pages.unpinned">,
): Outcome {
	const pages = pagesIn(world, data.pages);
	if (pages === undefined) return SKIP;
	const last = data.first + data.n - 1;
	let who = pages.pins.some((p) => p.first <= last && p.last >= data.first)
		? "an access holds"
		: undefined;
	for (const entry of pages.areas) {
		const dom = mapping(world, entry, data.first, last);
		if (dom !== undefined) who = `${dom} maps`;
	}
	return who === undefined
		? undefined
		: broken(
				`${data.pages} ${seq}`,
				`pages ${data.first} to ${last} of ${data.pages} were unpinned while ${who} some of them`,
				[data.pages],
				[pages.pinSeq],
			);
}

export const PINS: readonly Invariant[] = [
	{
		id: "PIN-7",
		when: "O",
		severity: "error",
		aspect: "pages",
		sentence:
			"Pages are pinned only while a domain stores them or an access holds them.",
		harm: "an IOAS without hardware and users would pin memory for nobody",
		source: ["drivers/iommu/iommufd/pages.c:iopt_area_fill_domains"],
		test: (world, id) => {
			const pages = pagesIn(world, id);
			if (pages === undefined) return SKIP;
			const held =
				pages.pins.length > 0 || pages.areas.some((area) => area.held);
			return held || pages.npin <= 0
				? undefined
				: broken(
						id,
						`${id} has ${pages.npin} page(s) pinned for nobody`,
						[pages.id],
						[pages.pinSeq],
					);
		},
	},
	{
		id: "PIN-1",
		when: "Q",
		severity: "error",
		aspect: "pages",
		sentence:
			"Pinned are exactly the pages that some area stores in a domain or some access holds.",
		harm: "a page is reachable by a device without being pinned, or pinned for ever",
		source: ["drivers/iommu/iommufd/pages.c (rule in its header comment)"],
		test: (world, id) => {
			const pages = pagesIn(world, id);
			if (pages === undefined) return SKIP;
			const held = pagesHeld(pages);
			return held === pages.npin
				? undefined
				: broken(
						id,
						`${id} has ${pages.npin} page(s) pinned, and ${held} are stored or held`,
						[pages.id],
						[pages.pinSeq],
					);
		},
	},
	{
		id: "PIN-3",
		when: "S",
		severity: "error",
		sentence:
			"A page is unpinned only when no domain maps it through these pages and no access holds it.",
		harm: "a device or a driver reaches a page that is somebody else's by now",
		source: ["drivers/iommu/iommufd/pages.c:iopt_area_unpin_domain"],
		on: { "pages.unpinned": nobodyNeeds },
	},
	{
		id: "PIN-5",
		when: "Q",
		severity: "error",
		aspect: "pages",
		sentence: "What is charged for pages is what is pinned of them.",
		harm: "RLIMIT_MEMLOCK is bypassed, or used up by nothing",
		source: ["drivers/iommu/iommufd/pages.c:do_update_pinned"],
		test: (world, id) => {
			const pages = pagesIn(world, id);
			if (pages === undefined) return SKIP;
			const due = pages.acct === undefined ? 0 : pages.npin;
			return pages.charged === due
				? undefined
				: broken(
						id,
						`${id} has ${pages.npin} page(s) pinned${pages.acct === undefined ? " on nobody's account" : ""}, and ${pages.charged} are charged`,
						[pages.id],
						[pages.pinSeq],
					);
		},
	},
	{
		id: "PIN-2",
		when: "S",
		severity: "error",
		sentence: "No page is unpinned more often than it was pinned.",
		harm: "a page that is still mapped is given back",
		source: ["drivers/iommu/iommufd/pages.c:iopt_pages_add_npinned"],
		on: {
			"pages.unpinned": ({ world }, { data, seq }) => {
				const pages = pagesAt(world, data.pages);
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
];
