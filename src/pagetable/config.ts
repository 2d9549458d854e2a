/**
 * What a page table is made of: format, geometry, sizes and policy, as the allocator settled them. Immutable, shared by all states.
 */
import type { Edit } from "./edit.ts";
import type { Gather } from "./gather.ts";
import type { OwnerToken } from "./page.ts";
import type { Policy } from "./policy.ts";
import type { PageStore } from "./store.ts";
import type { WalkCache } from "./walk-cache.ts";

/** The formats, by the names the golden vectors use. */
export const FORMATS = [
	"arm64_s1",
	"arm64_s2",
	"arm32_s1",
	"arm32_s2",
	"arm_mali",
	"arm_v7s",
	"amd_v1",
	"amd_v2",
	"vtd",
] as const;
export type FormatId = (typeof FORMATS)[number];

/** What an entry is. */
export const INVALID = 0;
export const TABLE = 1;
export const LEAF = 2;
export type EntryKind = 0 | 1 | 2;

/** The shape of the radix tree. Index of the arrays: the level number of the format. */
export interface Geometry {
	/** Level at which a walk starts (AMD v1: with the mode at creation). */
	readonly rootLevel: number;
	/** Level of the smallest leaves. */
	readonly leafLevel: number;
	/** +1 where levels count up towards the leaves (Arm), -1 elsewhere. */
	readonly down: 1 | -1;
	/** log2 of the frames that one entry covers, and the frames. */
	readonly shift: readonly number[];
	readonly span: readonly number[];
	/** log2 of the entries of a table; the root's may differ. */
	readonly bits: readonly number[];
	readonly rootBits: number;
	/** 4 KiB pages that the allocator hands out for the root. */
	readonly rootPages: number;
	/** Entries of a table minus one, the root's size included. */
	readonly slotMask: readonly number[];
	/** Levels of a new table. */
	readonly mode: number;
	/** First frame of the table's window (Arm TTBR1); 0 when absent. */
	readonly iovaBase?: number;
}

/** How entries are read, written down and shown. Words are the squeezed doubles of the format's file. */
export interface Codec {
	kind(word: number, level: number): EntryKind;
	/** Number of the table that a table entry points to. */
	child(word: number): number;
	/** Physical frame of the start of this slot, for a leaf. */
	leafPa(word: number, level: number, slot: number): number;
	/** Frames the leaf covers: more than the slot for replicated entries. */
	leafSize(word: number, level: number): number;
	/** Access rights as 1 read, 2 write. */
	rights(word: number, level: number): number;
	/** The 64-bit word as hardware sees it. */
	raw(word: number): bigint;
	/** The inverse of `raw`. */
	fromRaw(raw: bigint): number;
	/** The address bits of a raw leaf word: the rest is `attr` in dumps. */
	readonly addressMask: bigint;
}

/** Anything whose tables can be walked: a state or an edit. */
export interface Walkable {
	readonly config: FormatConfig;
	readonly store: PageStore;
	readonly root: number;
	readonly mode: number;
	/** Of an edit: where last-level tables were found, the token they must carry, and how to remember more. */
	readonly walkCache?: WalkCache | null;
	readonly token?: OwnerToken;
	keepTable?(key: number, table: number): void;
}

/** Fills in what follows from level shifts and bits. */
export const geometryOf = (
	shape: Omit<Geometry, "span" | "slotMask">,
): Geometry => ({
	...shape,
	span: shape.shift.map((shift) => 2 ** shift),
	slotMask: shape.bits.map(
		(bits, level) =>
			2 ** (level === shape.rootLevel ? shape.rootBits : bits) - 1,
	),
});

/** What the device's write to an address did to the leaf (VECTORS.md, hwwrite). */
export type WriteOutcome = "dirtied" | "already" | "ro" | "noDBM" | "nomap";

/** The operations of one driver: struct iommu_domain_ops and io_pgtable_ops, in frames. */
export interface Driver {
	/** map_pages: 0 or a negative errno; bytes done in `edit.mapped`. */
	map(
		edit: Edit,
		iova: number,
		pa: number,
		size: number,
		count: number,
		prot: number,
	): number;
	/** unmap_pages: frames reported as unmapped, may be more or less than asked. */
	unmap(
		edit: Edit,
		iova: number,
		size: number,
		count: number,
		gather: Gather | null,
	): number;
	/** iova_to_phys: the frame, or -1. */
	lookup(table: Walkable, iova: number): number;
	/** iotlb_sync: what the driver does with a gather. */
	sync(edit: Edit, gather: Gather): void;
	/** Does the core's unmap hand the range to the gather on behalf of this driver (AMD glue: amd_iommu_unmap_pages)? */
	readonly gluesGather: boolean;
	/** Reads (and clears unless `keep`) dirty state in [iova, iova+size). Returns 0 or a negative errno. */
	sweep(
		edit: Edit,
		iova: number,
		size: number,
		keep: boolean,
		record: (iova: number, size: number) => void,
	): number;
	/** A device writes to `iova`. */
	hardwareWrite(edit: Edit, iova: number): WriteOutcome;
	/** Tears the table down. */
	destroy(edit: Edit): void;
}

/** Settings that every format has. */
export interface FormatConfig {
	readonly format: FormatId;
	/** log2 of the unit of addresses. */
	readonly unitShift: number;
	/** Page sizes in frames, ascending. */
	readonly pageSizes: readonly number[];
	/** Input and output address bits as settled. */
	readonly ias: number;
	readonly oas: number;
	/** Does the walker snoop the CPU caches? */
	readonly coherent: boolean;
	readonly quirks: readonly string[];
	readonly geometry: Geometry;
	readonly codec: Codec;
	readonly driver: Driver;
	readonly policy: Policy;
	/** Geometry and hardware registers as the allocator reports them, for display. */
	readonly registers?: Readonly<Record<string, RegisterFields>>;
}

/** Named fields of a register, or a whole one in hex. */
export type RegisterFields = string | Readonly<Record<string, number>>;

/** What a caller asks for. */
export interface TableRequest {
	readonly format: FormatId;
	/** Page sizes in bytes as one bitmap (pgsize_bitmap); formats that choose their own ignore it. */
	readonly pageSizes?: bigint;
	readonly ias?: number;
	readonly oas?: number;
	readonly coherent?: boolean;
	/** IO_PGTABLE_QUIRK_* without the prefix. */
	readonly quirks?: readonly string[];
	/** VT-d and AMD v2: levels of the table. */
	readonly levels?: number;
	/** VT-d: first-stage format; superpage levels the hardware offers (0, 1, 2); set the snoop bit; nested parent. */
	readonly firstStage?: boolean;
	readonly superpage?: number;
	readonly forceSnoop?: boolean;
	readonly nestedParent?: boolean;
	/** VT-d: guest address width when below what the levels give. */
	readonly gaw?: number;
}
