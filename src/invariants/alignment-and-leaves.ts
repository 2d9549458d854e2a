/** IOP-6, 12, 13, 15, 17 (facts iommufd §6.3): alignment, cuts, leaves, and who may touch a range at the same time. */
import type { IoasId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { areaMeeting, lastOf } from "../world/areas.ts";
import { framesOf, presentFrames } from "../world/memory.ts";
import type { Ioas, World } from "../world/types.ts";
import { hex, show } from "./iova-checks.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

/** PAGE_SIZE of the modelled kernel, in bytes. */
const PAGE = 4096;

/** What an IOAS' domains, accesses and the huge-page option ask for; undefined when the log does not tell. */
function wanted(world: World, ioas: Ioas): number | undefined {
	let align = ioas.noLarge ? PAGE : 1;
	for (const dom of ioas.doms) {
		const domain = world.domains.map.get(dom);
		if (domain?.pgsizes === undefined) return undefined;
		if (domain.pageMin > align) align = domain.pageMin;
	}
	for (const acc of ioas.accs)
		if (world.accesses.map.get(acc)?.pinning === true && align < PAGE)
			align = PAGE;
	return align;
}

const aligned = (world: World, id: string): Outcome => {
	const ioas = world.ioases.map.get(id as IoasId);
	if (ioas === undefined || ioas.gone || !ioas.alignKnown) return SKIP;
	const align = wanted(world, ioas);
	if (align === undefined) return SKIP;
	return align === ioas.align
		? undefined
		: broken(
				id,
				`${id} keeps an alignment of ${ioas.align} bytes; its domains, accesses and options ask for ${align}`,
				[ioas.id, ...ioas.doms],
				[ioas.createdSeq],
			);
};

/** IOP-12. */
function cutOnlyWhenSmall(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.split">,
): Outcome {
	const ioas = world.ioases.map.get(data.ioas);
	if (ioas === undefined) return SKIP;
	return ioas.noLarge
		? undefined
		: broken(
				`${data.ioas} ${seq}`,
				`the area at ${hex(data.iova)} of ${data.ioas} was cut at ${hex(data.at)}, with large pages on`,
				[ioas.id],
				[],
			);
}

/** The IOAS that fills the domain of a record. */
function ioasOf(world: World, dom: string): Ioas | undefined {
	const id = world.domains.map.get(dom as never)?.ioas;
	return id === undefined ? undefined : world.ioases.map.get(id);
}

/** IOP-13. */
function pageByPage(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.map">,
): Outcome {
	if (!world.seen.noLarge) return SKIP;
	const ioas = ioasOf(world, data.dom);
	if (ioas?.noLarge !== true) return SKIP;
	return data.len <= PAGE
		? undefined
		: broken(
				`${data.dom} ${seq}`,
				`${hex(data.len)} bytes at ${hex(data.iova)} of ${data.dom} were mapped at once, with large pages off in ${ioas.id}`,
				[data.dom, ioas.id],
				[],
			);
}

/** IOP-15: is the range somebody else's who is in the middle of building it or tearing it down? */
function alone(
	{ world }: Context,
	data: { readonly dom: string },
	record: LogRecord,
	start: number | bigint,
	last: number | bigint,
): Outcome {
	const ioas = ioasOf(world, data.dom);
	if (ioas === undefined || ioas.unsettled === 0) return SKIP;
	const area = areaMeeting(ioas.areas, start, last);
	if (area === undefined || area.state === "live" || area.op === record.op)
		return undefined;
	// A recording tells when the other call began and ended, not when it held the locks that keep others out.
	if (world.header.origin === "import") return SKIP;
	return broken(
		`${data.dom} ${record.seq}`,
		`${hex(start)}-${hex(last)} of ${data.dom} was ${record.type === "dirty.read" ? "read for dirty pages" : record.type === "dom.map" ? "mapped" : "unmapped"} while another operation is ${area.state === "claimed" ? "building" : "tearing down"} ${show(area)}`,
		[data.dom as never, ioas.id],
		[area.op, area.seq],
	);
}
function oneAtATime(
	context: Context,
	record: LogRecord<"dom.map" | "dom.unmap">,
): Outcome {
	if (context.world.ops.size < 2) return SKIP;
	const { iova, len } = record.data;
	return alone(context, record.data, record, iova, lastOf(iova, len));
}
function readAlone(context: Context, record: LogRecord<"dirty.read">): Outcome {
	if (context.world.ops.size < 2) return SKIP;
	for (const [start, last] of record.data.ranges ?? []) {
		const outcome = alone(context, record.data, record, start, last);
		if (outcome !== undefined && outcome !== SKIP) return outcome;
	}
	return undefined;
}

/** IOP-17, first half: what a superpage is about to replace maps nothing any more. */
function tableEmpty(
	{ world }: Context,
	{ data, seq }: LogRecord<"table.superseded">,
): Outcome {
	const domain = world.domains.map.get(data.dom);
	const memory = domain?.memory ?? null;
	if (domain === undefined || memory === null || domain.mapped < 0) return SKIP;
	const start = framesOf(data.iova, memory.unit);
	const end = framesOf(BigInt(data.last) + 1n, memory.unit);
	if (start < 0 || end <= start) return SKIP;
	const n = presentFrames(memory, start, end - start);
	return n === 0
		? undefined
		: broken(
				`${data.dom} ${seq}`,
				`a superpage takes the place of tables over ${hex(data.iova)}-${hex(data.last)} of ${data.dom}, which still map ${n} page(s)`,
				[data.dom],
				[domain.mapSeq, domain.unmapSeq],
			);
}

/** IOP-17, second half: between clearing the table and the superpage somebody flushed. */
function flushedBetween(
	{ world, bracket }: Context,
	{ data, seq }: LogRecord<"dom.map">,
): Outcome {
	if (bracket.seq === 0) return SKIP;
	const cleared = world.domains.map.get(data.dom)?.supersededSeq ?? 0;
	if (cleared <= bracket.seq) return SKIP;
	const { invSeq, syncedSeq, flushClaimSeq } = bracket;
	if (Math.max(invSeq, syncedSeq, flushClaimSeq) > cleared) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`${hex(data.len)} bytes at ${hex(data.iova)} of ${data.dom} were mapped over tables that were cleared at #${cleared}, with no flush in between`,
		[data.dom],
		[cleared],
		{ since: cleared },
	);
}

export const ALIGNMENT_AND_LEAVES: readonly Invariant[] = [
	{
		id: "IOP-6",
		when: "O",
		severity: "error",
		aspect: "ioas",
		needs: "L2",
		test: aligned,
		sentence:
			"The alignment of an IOAS is the largest that its domains, accesses and huge-page option ask for.",
		harm: "maps are refused that fit, or taken that a domain cannot hold",
		source: [
			"drivers/iommu/iommufd/io_pagetable.c:iopt_calculate_iova_alignment",
		],
	},
	{
		id: "IOP-12",
		when: "O",
		severity: "error",
		on: { "area.split": cutOnlyWhenSmall },
		sentence:
			"An area goes as a whole; only type1 v1 compatibility cuts one, with large pages off.",
		harm: "a large leaf is cut in the middle",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_area_split"],
	},
	{
		id: "IOP-13",
		when: "S",
		severity: "error",
		on: { "dom.map": pageByPage },
		sentence: "With large pages off every leaf is one page.",
		harm: "an area cannot be cut without cutting a leaf",
		source: ["drivers/iommu/iommufd/pages.c:batch_iommu_map_small"],
	},
	{
		id: "IOP-15",
		when: "S",
		severity: "error",
		on: {
			"dom.map": oneAtATime,
			"dom.unmap": oneAtATime,
			"dirty.read": readAlone,
		},
		sentence:
			"Nobody maps, unmaps or reads dirty bits of a range that another operation is building or tearing down.",
		harm: "page tables without locks free a level under a walker",
		source: [
			"seed mails 0 and 1",
			"drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range",
		],
		brokenBy:
			"record sequence in test/invariants: two operations, one inside the other. The model runs one at a time, as iova_rwsem makes the kernel do, so no fault of a step can give that",
	},
	{
		id: "IOP-17",
		when: "S",
		severity: "error",
		on: { "table.superseded": tableEmpty, "dom.map": flushedBetween },
		sentence:
			"A superpage takes the place of a table only when that is empty, and after a flush of what pointed to it.",
		harm: "a cached pointer to the old table goes on translating",
		source: ["seed mail 2", "drivers/iommu/intel/iommu.c:switch_to_super_page"],
		brokenBy:
			"recording g_superpage.M1 without the four lines of the first flush between a table and the superpage in its place (PT-37 besides; test/invariants/faults.test.ts)",
	},
];
