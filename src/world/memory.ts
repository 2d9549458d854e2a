/**
 * The page table of one domain, as dom.map and dom.unmap drive it. Whatever the driver, it is a VT-d second stage here: what is judged is
 * which pages are mapped where, and leaf boundaries (PT-16) for VT-d only. slot.* records are not folded.
 * All addresses here are frames of the table's unit.
 */
import { coreMap, coreUnmapFast } from "../pagetable/core.ts";
import {
	beginEdit,
	commitEdit,
	createTable,
	lookup,
} from "../pagetable/table.ts";
import type { Edit } from "../pagetable/edit.ts";
import { newGather, type Gather } from "../pagetable/gather.ts";
import { type TableImage, tableFrom, tableImage } from "../pagetable/image.ts";
import type { PageTable } from "../pagetable/state.ts";
import { visitLeaves } from "../pagetable/walk.ts";
import { FRAME_SHIFT, MOCK_FRAME_SHIFT } from "../vocabulary/address.ts";
import type { U64 } from "../vocabulary/fields.ts";

/** A page table being folded. `shift` is log2 of its unit in bytes. */
export interface Memory {
	readonly edit: Edit;
	/** What its table was made from. */
	readonly made: TableMade;
	readonly shift: number;
	/** The same in bytes. */
	readonly unit: number;
	/** Collects tables that an unmap unlinks; freed at once, as nobody reads them later in a macro log. */
	readonly gather: Gather;
}

/** What a table is made from. */
type TableMade = ReturnType<typeof requestFor>;

/** The page-table format that a driver personality uses. Everything VT-d-like that is not named below is a VT-d second stage. */
function requestFor(
	pageMin: number,
	apertureLast: U64 | undefined,
	pgsizes: U64 | undefined,
) {
	const big = pgsizes === undefined ? 0x40201000n : BigInt(pgsizes);
	const superpage =
		(big & 0x40000000n) !== 0n ? 2 : (big & 0x200000n) !== 0n ? 1 : 0;
	const shift = pageMin < 4096 ? MOCK_FRAME_SHIFT : FRAME_SHIFT;
	const last = apertureLast ?? 0xffff_ffff_ffff;
	const levels =
		last <= 0x7f_ffff_ffff
			? 3
			: last <= 0xffff_ffff_ffff
				? 4
				: last <= 0x1ff_ffff_ffff_ffffn
					? 5
					: 6;
	return {
		shift,
		request: {
			format: "vtd",
			levels,
			superpage: shift === FRAME_SHIFT ? superpage : 0,
		},
	} as const;
}

/** A new, empty page table. */
export function newMemory(
	pageMin: number,
	apertureLast: U64 | undefined,
	pgsizes: U64 | undefined,
): Memory {
	const made = requestFor(pageMin, apertureLast, pgsizes);
	return wrap(beginEdit(emptyTable(made)), made);
}

const emptyTable = ({ request }: TableMade): PageTable =>
	createTable(request, { holeOnUnmap: "count" });

const wrap = (edit: Edit, made: TableMade): Memory => ({
	edit,
	made,
	shift: made.shift,
	unit: 2 ** made.shift,
	gather: newGather(true),
});

/** A memory as plain data. */
export interface MemoryImage {
	readonly made: TableMade;
	readonly table: TableImage;
}

/** Writes a memory down. */
export const memoryImage = (memory: Memory): MemoryImage => ({
	made: memory.made,
	table: tableImage(commitEdit(memory.edit)),
});

/** The memory that was written down. */
export const memoryFrom = ({ made, table }: MemoryImage): Memory =>
	wrap(beginEdit(tableFrom(emptyTable(made).config, table)), made);

/** The state reached; the memory may go on, later changes do not show in it. */
export const freeze = (memory: Memory): PageTable => commitEdit(memory.edit);

/** The same content for another holder; both may change without the other seeing it. */
export function shareMemory(memory: Memory): Memory {
	const shared = wrap(beginEdit(commitEdit(memory.edit)), memory.made);
	// Snapshots are kept by the dozen; where their edits once walked is of no use to them.
	memory.edit.forgetWalks();
	return shared;
}

/** Bytes to frames of `unit` bytes, or -1 when they are not aligned. */
export function framesOf(bytes: U64, unit: number): number {
	if (typeof bytes === "number") {
		const frames = bytes / unit;
		return Number.isInteger(frames) ? frames : -1;
	}
	const size = BigInt(unit);
	return bytes % size === 0n ? Number(bytes / size) : -1;
}

/** Maps; 0 or a negative errno. */
export const mapFrames = (
	memory: Memory,
	iova: number,
	pa: number,
	n: number,
	prot: number,
): number => coreMap(memory.edit, iova, pa, n, prot);

/** Clears what is mapped in [iova, iova+n). */
export function unmapFrames(memory: Memory, iova: number, n: number): void {
	const { edit, gather } = memory;
	for (let done = 0; done < n; ) {
		const part = coreUnmapFast(edit, iova + done, n - done, gather);
		if (part <= 0) break;
		done += part;
	}
	if (gather.freelist.length > 0) {
		for (const table of gather.freelist) edit.free(table);
		gather.freelist.length = 0;
	}
}

/** The physical frame of `iova`, or -1. */
export const frameAt = (memory: Memory, iova: number): number =>
	lookup(memory.edit, iova);

/** So many look-ups are cheaper than one walk. */
const FEW = 16;

/** Frames mapped in [iova, iova+n). */
export function presentFrames(memory: Memory, iova: number, n: number): number {
	let count = 0;
	if (n <= FEW) {
		for (let i = 0; i < n; i++) if (lookup(memory.edit, iova + i) >= 0) count++;
		return count;
	}
	visitLeaves(memory.edit, iova, n, (leaf) => {
		const from = Math.max(leaf.iova, iova);
		const to = Math.min(leaf.iova + leaf.slotSize, iova + n);
		count += to - from;
	});
	return count;
}

/** One past the last frame of the leaf that maps `iova`; iova + 1 when nothing does. */
export function leafEnd(memory: Memory, iova: number): number {
	let end = iova + 1;
	visitLeaves(memory.edit, iova, 1, (leaf) => {
		end = leaf.iova + leaf.slotSize;
	});
	return end;
}

/**
 * Visits [iova, iova+n) as runs of equal leaves that are contiguous in both spaces; `unit` is the size of a leaf, 1 where only a part of it
 * lies in the range.
 */
export function visitRuns(
	memory: Memory,
	iova: number,
	n: number,
	visit: (iova: number, pa: number, n: number, unit: number) => void,
): void {
	if (n === 1) {
		const pa = lookup(memory.edit, iova);
		if (pa >= 0) visit(iova, pa, 1, 1);
		return;
	}
	let runIova = 0;
	let runPa = 0;
	let length = 0;
	let unit = 0;
	visitLeaves(memory.edit, iova, n, (leaf) => {
		const from = Math.max(leaf.iova, iova);
		const size = Math.min(leaf.iova + leaf.slotSize, iova + n) - from;
		const pa = leaf.pa + (from - leaf.iova);
		const one = size === leaf.slotSize ? size : 1;
		if (
			length > 0 &&
			runIova + length === from &&
			runPa + length === pa &&
			unit === one
		) {
			length += size;
			return;
		}
		if (length > 0) visit(runIova, runPa, length, unit);
		runIova = from;
		runPa = pa;
		length = size;
		unit = one;
	});
	if (length > 0) visit(runIova, runPa, length, unit);
}
