/**
 * The areas of an IOAS in address order: a list of chunks of at most CHUNK_MAX areas. Disjoint areas keep both searches logarithmic;
 * areas that overlap (a broken log) are kept as they come, ordered by start.
 *
 * Addresses are bytes, number or bigint (U64): comparisons mix the two, sums go through lastOf.
 */
import type { U64 } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";
import type { DomainId, PagesId } from "../vocabulary/ids.ts";
import type { Owner } from "./table.ts";

/** One area (I/io_pagetable.h:struct iopt_area). `pages` undefined while live means the log does not tell. */
export interface Area {
	own: Owner;
	readonly start: U64;
	last: U64;
	readonly prot: number;
	readonly pages: PagesId | undefined;
	readonly off: U64;
	sdom: DomainId | undefined;
	state: "claimed" | "live" | "draining";
	prevent: boolean;
	/** The operation that builds it or tears it down, while it is not live. */
	op: number;
	readonly seq: number;
}
interface Chunk {
	own: Owner;
	areas: Area[];
}
/** The list. `count` areas in all. */
export interface AreaList {
	own: Owner;
	chunks: Chunk[];
	count: number;
	/** The area handled last, of this holder: the records of one map or unmap ask for the same one again and again. */
	recent: Area | null;
}

const CHUNK_MAX = 128;

/** An empty list. */
export const newAreas = (own: Owner): AreaList => ({
	own,
	chunks: [],
	count: 0,
	recent: null,
});

/** The last byte of [start, start+length). */
export function lastOf(start: U64, length: U64): U64 {
	if (typeof start === "number" && typeof length === "number") {
		const last = start + length - 1;
		if (last <= Number.MAX_SAFE_INTEGER) return last;
	}
	return u64((BigInt(start) + BigInt(length) - 1n) & 0xffff_ffff_ffff_ffffn);
}

/** The same list for another holder: nothing is owned, everything is copied when written. */
export const shareAreas = (list: AreaList, own: Owner): AreaList => ({
	own,
	chunks: list.chunks.slice(),
	count: list.count,
	recent: null,
});

/** Index of the last chunk whose first area starts at or below `at`; 0 when none does. */
function chunkAt(list: AreaList, at: U64): number {
	let low = 0;
	let high = list.chunks.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		const first = ((list.chunks[middle] as Chunk).areas[0] as Area).start;
		if (first <= at) low = middle;
		else high = middle - 1;
	}
	return low;
}

/** Number of areas of the chunk that start at or below `at`. */
function countUpTo(areas: readonly Area[], at: U64): number {
	let low = 0;
	let high = areas.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((areas[middle] as Area).start <= at) low = middle + 1;
		else high = middle;
	}
	return low;
}

function writableChunk(list: AreaList, index: number): Chunk {
	const chunk = list.chunks[index] as Chunk;
	if (chunk.own === list.own) return chunk;
	const copy = { own: list.own, areas: chunk.areas.slice() };
	list.chunks[index] = copy;
	return copy;
}

/** Inserts an area. */
export function insertArea(list: AreaList, area: Area): void {
	list.count++;
	list.recent = area;
	if (list.chunks.length === 0) {
		list.chunks.push({ own: list.own, areas: [area] });
		return;
	}
	const index = chunkAt(list, area.start);
	const { areas } = writableChunk(list, index);
	const position = countUpTo(areas, area.start);
	if (position === areas.length) areas.push(area);
	else areas.splice(position, 0, area);
	if (areas.length > CHUNK_MAX) {
		// Ascending maps are the common case: keep the left chunk well filled then.
		const cut =
			position >= areas.length - 1 ? areas.length - 1 : areas.length >> 1;
		list.chunks.splice(index + 1, 0, {
			own: list.own,
			areas: areas.splice(cut),
		});
	}
}

/** The area that starts exactly at `start`, for reading. */
export function areaAt(list: AreaList, start: U64): Area | undefined {
	if (list.recent !== null && list.recent.start === start) return list.recent;
	if (list.chunks.length === 0) return undefined;
	const { areas } = list.chunks[chunkAt(list, start)] as Chunk;
	const area = areas[countUpTo(areas, start) - 1];
	return area !== undefined && area.start === start ? area : undefined;
}

/** The area that starts exactly at `start`, for writing. */
export function editArea(list: AreaList, start: U64): Area | undefined {
	if (list.recent !== null && list.recent.start === start) return list.recent;
	if (list.chunks.length === 0) return undefined;
	const index = chunkAt(list, start);
	const { areas } = list.chunks[index] as Chunk;
	const position = countUpTo(areas, start) - 1;
	const area = areas[position];
	if (area === undefined || area.start !== start) return undefined;
	if (area.own === list.own) {
		list.recent = area;
		return area;
	}
	const copy = { ...area, own: list.own };
	writableChunk(list, index).areas[position] = copy;
	list.recent = copy;
	return copy;
}

/** Removes the area that starts at `start`; returns it. */
export function removeArea(list: AreaList, start: U64): Area | undefined {
	if (list.chunks.length === 0) return undefined;
	const index = chunkAt(list, start);
	const found = (list.chunks[index] as Chunk).areas;
	const position = countUpTo(found, start) - 1;
	const area = found[position];
	if (area === undefined || area.start !== start) return undefined;
	list.recent = null;
	const { areas } = writableChunk(list, index);
	if (position === areas.length - 1) areas.pop();
	else areas.splice(position, 1);
	if (areas.length === 0) list.chunks.splice(index, 1);
	list.count--;
	return area;
}

/** The first area that meets [start, last] and is not `except`, or undefined. Exact for disjoint areas. */
export function areaMeeting(
	list: AreaList,
	start: U64,
	last: U64,
	except?: Area,
): Area | undefined {
	if (list.chunks.length === 0) return undefined;
	let c = chunkAt(list, start);
	const first = list.chunks[c] as Chunk;
	let p = countUpTo(first.areas, start) - 1;
	if (p < 0) p = 0;
	// Equal starts lie to the left of the position found.
	while (p > 0 && (first.areas[p] as Area).start === start) p--;
	for (; c < list.chunks.length; c++, p = 0) {
		const { areas } = list.chunks[c] as Chunk;
		for (; p < areas.length; p++) {
			const area = areas[p] as Area;
			if (area.start > last) return undefined;
			if (area.last >= start && area !== except) return area;
		}
	}
	return undefined;
}

/** An area that holds all of [start, last], or undefined. Exact for disjoint areas. */
export function areaHolding(
	list: AreaList,
	start: U64,
	last: U64,
): Area | undefined {
	const { recent } = list;
	if (recent !== null && recent.start <= start && recent.last >= last)
		return recent;
	const area = areaMeeting(list, start, start);
	return area !== undefined && area.last >= last ? area : undefined;
}

/** Visits all areas in address order. */
export function eachArea(list: AreaList, visit: (area: Area) => void): void {
	for (const chunk of list.chunks) for (const area of chunk.areas) visit(area);
}
