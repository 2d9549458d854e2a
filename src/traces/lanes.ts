/**
 * Lanes: one thread of execution of the trace. Nesting is per (PID, context), and for PID 0 per CPU
 * (facts/trace-formats.md §2): an interrupt of the same PID is another lane. A lane keeps the calls it is inside of, and what
 * its last lines left open.
 */
import type {
	Ctx,
	Device,
	Domain,
	Group,
	Hwpt,
	Ioas,
	Iommu,
} from "./identity.ts";
import type { Op } from "./ops.ts";
import type { Place } from "./output.ts";
import type { U64 } from "../vocabulary/fields.ts";

/** A probed call the lane is inside of. `kind` is the event name without `_in`. */
export interface Frame {
	readonly kind: string;
	domain?: Domain | undefined;
	device?: Device | undefined;
	group?: Group | undefined;
	hwpt?: Hwpt | undefined;
	/** The hwpt before a replace. */
	old?: Hwpt | undefined;
	/** Devices in the order the call named them. */
	order?: Device[] | undefined;
	ioas?: Ioas | undefined;
	ctx?: Ctx | undefined;
	/** Operation that this frame opened itself. */
	op?: Op | undefined;
	iova?: U64 | undefined;
	size?: U64 | undefined;
	prot?: number | undefined;
	/** Meaning is the handler's. */
	n?: number | undefined;
	flag?: boolean | undefined;
}

/** An unmap or map line that waits for its domain. */
export interface Waiting {
	readonly place: Place;
	readonly iova: U64;
	readonly len: U64;
	/** Physical address of a map, bytes reported by an unmap. */
	readonly value: U64;
	readonly undo: boolean;
}
/** A range that the running call promises to flush before it returns. */
export interface Sync {
	readonly domain: Domain;
	readonly start: U64;
	readonly last: U64;
	readonly queued: boolean;
}
/** A context entry whose change is under way. */
export interface EntryChange {
	readonly sid: number;
	readonly iommu: Iommu | undefined;
	readonly domain: Domain | undefined;
	readonly device: Device | undefined;
}
/** A cache tag probe (ct_assign / ct_unassign) that waits for its tracepoint. */
export interface TagCall {
	readonly domain: Domain;
	readonly did: number;
	readonly device: Device | undefined;
}

/** One lane. The optional parts are what the next lines of the lane have to settle; `open` says whether any is set. */
export interface Lane {
	readonly pid: number;
	readonly context: number;
	readonly frames: Frame[];
	op: Op | undefined;
	/** Anything below is set. */
	open: boolean;
	unmap: Waiting | undefined;
	map: Waiting | undefined;
	sync: Sync | undefined;
	/** Last command submitted and not yet known to be complete. */
	inv: Iommu | undefined;
	invNumber: number;
	setting: EntryChange | undefined;
	clearing: EntryChange | undefined;
	released: { iommu: Iommu; did: number; domain: Domain } | undefined;
	tag: TagCall | undefined;
	untag: TagCall | undefined;
	/** Domain and IOVA given out last by the DMA API's allocator. */
	allocated: { domain: Domain; iova: U64 } | undefined;
	/** The range cleared last by a fast unmap, until it is flushed, queued or freed. */
	unmapped: { domain: Domain; iova: U64; len: U64 } | undefined;
	/** An hwpt under destruction. */
	destroying: { hwpt: Hwpt; undo: boolean; iopt: Ioas | undefined } | undefined;
	/** The unit whose pointer was named by the last probe (qi_ctx_flush, qi_iotlb_flush): learned at the next qi_submit. */
	unitPointer: number;
	/** Scalable mode: the device whose PASID entry is about to be cleared. */
	blocking: Device | undefined;
	/** The domain of the flush under way, told by its entry probe: pairs domain and id at the tag's line. */
	flushing: Domain | undefined;
	/** The range whose old tables a superpage is replacing. */
	superseding: { domain: Domain; start: U64; last: U64 } | undefined;
	/** L0: the switch to an untagged (blocking or identity) domain that is under way, and who is through it. */
	untagged: { domain: Domain; devices: Set<Device> } | undefined;
	/** L0: tag changes of the switch under way. */
	tagged: { domain: Domain | undefined } | undefined;
}

/** Frames deeper than this mean lost returns: the oldest go. */
const DEPTH_MAX = 64;
/** Idle lanes are forgotten when there are more than this. */
const LANES_MAX = 4096;

/** All lanes, found by (PID, context, CPU). */
export class Lanes {
	private readonly byKey = new Map<number, Lane>();
	private lastKey = Number.NaN;
	private last = newLane(-1, 0);

	/** The lane of a line. */
	of(pid: number, context: number, cpu: number): Lane {
		const key = pid === 0 ? -1 - (cpu * 4 + context) : pid * 4 + context;
		if (key === this.lastKey) return this.last;
		const lane = this.byKey.get(key);
		if (lane !== undefined) {
			this.lastKey = key;
			this.last = lane;
			return lane;
		}
		if (this.byKey.size >= LANES_MAX) this.forgetIdle();
		const fresh = newLane(pid, context);
		this.byKey.set(key, fresh);
		return fresh;
	}

	/** Every lane there is. */
	all(): IterableIterator<Lane> {
		return this.byKey.values();
	}

	private forgetIdle(): void {
		this.lastKey = Number.NaN;
		for (const [key, lane] of this.byKey)
			if (!lane.open && lane.frames.length === 0 && lane.op === undefined)
				this.byKey.delete(key);
	}
}

function newLane(pid: number, context: number): Lane {
	return {
		pid,
		context,
		frames: [],
		op: undefined,
		open: false,
		unmap: undefined,
		map: undefined,
		sync: undefined,
		inv: undefined,
		invNumber: 0,
		setting: undefined,
		clearing: undefined,
		released: undefined,
		tag: undefined,
		untag: undefined,
		allocated: undefined,
		unmapped: undefined,
		destroying: undefined,
		unitPointer: Number.NaN,
		blocking: undefined,
		flushing: undefined,
		superseding: undefined,
		untagged: undefined,
		tagged: undefined,
	};
}

/** Enters a call. */
export function enter(lane: Lane, frame: Frame): Frame {
	if (lane.frames.length >= DEPTH_MAX) lane.frames.shift();
	lane.frames.push(frame);
	return frame;
}

/** Leaves the innermost call of this kind, and with it all that are still open inside it (their returns were lost). */
export function leave(lane: Lane, kind: string): Frame | undefined {
	const { frames } = lane;
	for (let at = frames.length - 1; at >= 0; at--) {
		const frame = frames[at] as Frame;
		if (frame.kind === kind) {
			frames.length = at;
			return frame;
		}
	}
	return undefined;
}

/** The innermost call of this kind that the lane is inside of. */
export function inside(lane: Lane, kind: string): Frame | undefined {
	const { frames } = lane;
	for (let at = frames.length - 1; at >= 0; at--) {
		const frame = frames[at] as Frame;
		if (frame.kind === kind) return frame;
	}
	return undefined;
}

/** The innermost call. */
export const innermost = (lane: Lane): Frame | undefined =>
	lane.frames[lane.frames.length - 1];
