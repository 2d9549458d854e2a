/** What hardware may still hold at a record, for people. */
import { FRAME_SHIFT } from "../../vocabulary/address.ts";
import { allSpaces, type Leftover, type Space } from "../../iotlb/state.ts";
import { GARBAGE, type StaleEntry } from "../../iotlb/walks.ts";
import type { World } from "../../world/types.ts";

const FRAME_BYTES = 2 ** FRAME_SHIFT;

/** What a tag is told apart by; a domain id below 0 was not told yet. */
export interface TagName {
	readonly iommu: string;
	readonly did: number;
	/** 0: of requests without PASID. */
	readonly pasid: number;
}
/** A range that memory no longer maps and hardware may still translate. Bytes. */
export interface StaleRange extends TagName {
	readonly id: number;
	readonly dom: string;
	readonly iova: number;
	readonly lengthBytes: number;
	/** What is left of it after partial invalidations. */
	readonly leftBytes: number;
	readonly pa: number | undefined;
	/** Record that cleared it, and its time. */
	readonly seq: number;
	readonly t: number;
	readonly isCertain: boolean;
	readonly isQueued: boolean;
	/** seq of the record that claimed it flushed while it was not. */
	readonly unflushedSeq: number;
}
/** An entry of another kind that memory no longer gives, or a run of them. Bytes. */
export interface CachedEntry extends TagName {
	/** "translation", "pointer to a table", "not present", "device TLB". */
	readonly kind: string;
	readonly dom: string;
	readonly iova: number;
	readonly lengthBytes: number;
	/** What it leads to: a physical address or a table; "garbage" where the page it was read from was freed. */
	readonly leads: string;
	/** Record that took it out of memory (for "not present": put it in). */
	readonly since: number;
}
/** A table that a cached walk may still go through. Bytes. */
export interface WalkedTable extends TagName {
	readonly table: number;
	readonly dom: string;
	readonly iova: number;
	readonly lengthBytes: number;
	readonly seq: number;
	readonly why: string;
}
/** A tag under which hardware caches. */
export interface Tag extends TagName {
	readonly dom: string;
	/** Of a nested domain: whose table is its second stage. */
	readonly stage2: string | undefined;
	readonly requesters: readonly string[];
	readonly mayHold: boolean;
	readonly staleRanges: number;
	readonly staleTables: number;
}
/** The picture. */
export interface IotlbPicture {
	/** False: the log shows no tag, entry or invalidation, so nothing can be said. */
	readonly isArmed: boolean;
	readonly stale: readonly StaleRange[];
	readonly staleLeftOut: number;
	readonly tables: readonly WalkedTable[];
	readonly entries: readonly CachedEntry[];
	readonly tags: readonly Tag[];
	/** Invalidations issued and not completed. */
	readonly pending: readonly {
		readonly iommu: string;
		readonly inv: number;
		readonly seq: number;
		readonly kind: string;
		readonly gran: string;
	}[];
	/** Over the log so far. */
	readonly windows: { readonly count: number; readonly longestNs: number };
}

/** Ranges given out at most. */
export const STALE_SHOWN_MAX = 500;

/** The stale ranges alone: asked for at every record while a log is folded. */
export const staleRangesOf = (world: World): StaleRange[] =>
	allSpaces(world.iotlb).flatMap((space) =>
		space.stale
			.filter(({ parts }) => parts.length > 0)
			.map(
				(range): StaleRange => ({
					id: range.id,
					dom: range.dom,
					...nameOf(space),
					iova: range.start * FRAME_BYTES,
					lengthBytes: range.n * FRAME_BYTES,
					leftBytes:
						range.parts.reduce((sum, part) => sum + part.n, 0) * FRAME_BYTES,
					pa: range.pa < 0 ? undefined : range.pa * FRAME_BYTES,
					seq: range.seq,
					t: range.t,
					isCertain: range.certain,
					isQueued: range.queued,
					unflushedSeq: range.unflushedSeq,
				}),
			),
	);

/** Reads it off a world. */
export function iotlbOf(world: World): IotlbPicture {
	const { iotlb } = world;
	const spaces = allSpaces(iotlb);
	const stale = staleRangesOf(world);
	return {
		isArmed: iotlb.armed,
		stale: stale.slice(0, STALE_SHOWN_MAX),
		staleLeftOut: Math.max(0, stale.length - STALE_SHOWN_MAX),
		tables: spaces
			.flatMap((space) =>
				space.tables.map(({ table, dom, start, n, seq, why }) => ({
					table,
					dom,
					...nameOf(space),
					iova: start * FRAME_BYTES,
					lengthBytes: n * FRAME_BYTES,
					seq,
					why,
				})),
			)
			.slice(0, STALE_SHOWN_MAX),
		entries: spaces.flatMap(entriesOf).slice(0, STALE_SHOWN_MAX),
		tags: spaces.map((space) => ({
			...nameOf(space),
			dom: space.dom,
			stage2: space.stage2,
			requesters: [...space.live.keys()].map(requesterName),
			mayHold: space.holds || space.live.size > 0,
			staleRanges: space.stale.length,
			staleTables: space.tables.length,
		})),
		pending: [...iotlb.units.values()].flatMap((unit) =>
			unit.pending.map(({ inv, seq, kind, gran }) => ({
				iommu: unit.id,
				inv,
				seq,
				kind,
				gran,
			})),
		),
		windows: {
			count: iotlb.windows.count,
			longestNs: iotlb.windows.longestNs,
		},
	};
}

const nameOf = ({ iommu, did, pasid }: Space): TagName => ({
	iommu,
	did,
	pasid,
});

const KINDS: Readonly<Record<string, string>> = {
	leaf: "translation",
	directory: "pointer to a table",
	negative: "not present",
	device: "device TLB",
};

/** What a tag may hold besides ranges and tables: device TLBs, "not present", and the entries of tables that are logged one by one. */
function entriesOf(space: Space): CachedEntry[] {
	const { dom, device, negative, walks } = space;
	const tag = { ...nameOf(space), dom };
	const left =
		(kind: string) =>
		({ start, n, pa, since }: Leftover): CachedEntry => ({
			...tag,
			kind,
			iova: start * FRAME_BYTES,
			lengthBytes: n * FRAME_BYTES,
			leads: kind === KINDS["negative"] ? "a fault" : physical(pa),
			since,
		});
	const exact = [...(walks?.entries.values() ?? [])].map(
		(entry): CachedEntry => ({
			...tag,
			kind: KINDS[entry.kind] ?? entry.kind,
			iova: entry.start * FRAME_BYTES,
			lengthBytes: entry.n * FRAME_BYTES,
			leads: leadsOf(entry),
			since: entry.since,
		}),
	);
	return [
		...device.map(left("device TLB")),
		...negative.map(left("not present")),
		...exact,
	];
}

const physical = (frame: number): string =>
	frame < 0 ? "not known" : `0x${(frame * FRAME_BYTES).toString(16)}`;

function leadsOf({ kind, pa, table }: StaleEntry): string {
	if (pa === GARBAGE) return "garbage";
	if (kind === "negative") return "a fault";
	return kind === "directory" ? `table ${table}` : physical(pa);
}

const hex2 = (value: number): string => value.toString(16).padStart(2, "0");

/** A requester id as bus:device.function. */
const requesterName = (key: number | string): string =>
	typeof key === "string"
		? key
		: `${hex2((key >> 8) & 0xff)}:${hex2((key >> 3) & 31)}.${key & 7}`;
