/**
 * The iommufd ioctls: recorded fields in, model operation, fields out. One entry a command of the kernel's table
 * (drivers/iommu/iommufd/main.c:iommufd_ioctl_ops).
 */
import type { CtxId } from "../../vocabulary/ids.ts";
import {
	getHwInfo,
	hwptInvalidate,
} from "../../../machines/ops/device-info.ts";
import { destroyObject } from "../../../machines/ops/destroy.ts";
import {
	getDirtyBitmap,
	setDirtyTracking,
} from "../../../machines/ops/dirty.ts";
import type { DirtyRange } from "../../../machines/ops/dirty.ts";
import { faultQueueAlloc } from "../../../machines/ops/fault.ts";
import { hwptAlloc } from "../../../machines/ops/hwpt.ts";
import {
	allowIovas,
	iovaRanges,
	option,
	respondAlways,
	vfioIoas,
} from "../../../machines/ops/ioas.ts";
import { lookUp } from "../../../machines/ops/exec.ts";
import { ioasCopy, ioasMap, ioasUnmap } from "../../../machines/ops/map.ts";
import { allocIoas } from "../../../machines/ops/transact.ts";
import type { Range } from "../../../machines/iopt.ts";
import type { BitmapNote } from "./bitmap.ts";
import { bytesOf, noteOf, setRange } from "./bitmap.ts";
import type { Fields, JsonObject, Reply } from "./call.ts";
import { hexRanges, integer, replyOf } from "./call.ts";
import type { Session } from "./session.ts";
import { SYZ, syzIova } from "./syz.ts";

/** One call on its way into the model. */
export interface Incoming {
	readonly session: Session;
	readonly ctx: CtxId;
	readonly proc: number;
	readonly in: Fields;
	readonly record: JsonObject;
}
type Handler = (c: Incoming) => Reply;

/** Recordings show at least so many bytes of user data. */
const DATA_IN_SHOWN = 64;
/** Bytes of user data as far as the recording shows them and they can be read; undefined = not readable. */
function bytesIn(c: Incoming): Uint8Array | undefined {
	const text = c.record["in_data"];
	return typeof text === "string" ? Buffer.from(text, "hex") : undefined;
}
function rangesIn(c: Incoming): readonly Range[] | undefined {
	const list = c.record["in_ranges"];
	if (!Array.isArray(list)) return undefined;
	return list.map((range: unknown) => {
		if (!Array.isArray(range) || range.length !== 2)
			throw new Error("in_ranges is no list of [start, last]");
		const ends = { start: range[0] as unknown, last: range[1] as unknown };
		return { start: integer(ends, "start"), last: integer(ends, "last") };
	});
}

const PAGE_BYTES = 4096;
/** Recordings show at most so many ranges of an allow list. */
const RANGES_SHOWN = 64;

/** Page sizes that are no power of two count bits in units of their lowest set bit (iova_bitmap_alloc: __ffs). */
const bitShift = (pageSize: bigint): bigint => pageSize & -pageSize;

/** The user's bitmap after the walk: dirty leaves OR-ed in. Undefined when the recording does not tell what was in it. */
function orBitmap(
	note: BitmapNote,
	iova: bigint,
	pageSize: bigint,
	dirty: readonly DirtyRange[],
	to: bigint,
	writable: (va: bigint, length: bigint) => boolean,
): BitmapNote | undefined {
	if (dirty.length === 0) return note;
	const bytes = bytesOf(note);
	if (bytes === undefined) return undefined;
	const before = bytes.slice();
	const unit = bitShift(pageSize);
	for (const leaf of dirty) {
		const first = Number((leaf.iova - iova) / unit);
		const last = Number((leaf.iova + leaf.length - 1n - iova) / unit);
		setRange(bytes, first, last);
	}
	// Pages of it that cannot be pinned for writing stay as they are (iova_bitmap.c:iova_bitmap_set gives up silently).
	for (let at = 0; at < bytes.length; ) {
		const va = to + BigInt(at);
		const left = PAGE_BYTES - Number(va % BigInt(PAGE_BYTES));
		const n = Math.min(left, bytes.length - at);
		if (!writable(va, BigInt(n))) bytes.set(before.subarray(at, at + n), at);
		at += n;
	}
	return noteOf(bytes, note.nbits);
}

const HANDLERS: { readonly [cmd: string]: Handler } = {
	IOMMU_DESTROY: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) => destroyObject(x, c.in.num("id"))),
		),
	IOMMU_IOAS_ALLOC: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				allocIoas(x, c.in.num("flags"), respondAlways),
			),
		),
	IOMMU_IOAS_IOVA_RANGES: (c) => {
		const to = c.in.big("allowed_iovas");
		const answer = c.session.run(c.ctx, c.proc, (x) =>
			iovaRanges(x, {
				ioasId: c.in.num("ioas_id"),
				num: c.in.num("num_iovas"),
				reserved: c.in.num("__reserved"),
				write: (i) => x.env.touch(c.proc, to + 16n * BigInt(i), 16n, true),
			}),
		);
		const ranges =
			answer.ranges === undefined ? {} : { ranges: hexRanges(answer.ranges) };
		return { ...replyOf(answer), ...ranges };
	},
	IOMMU_IOAS_ALLOW_IOVAS: (c) => {
		const num = c.in.num("num_iovas");
		const ranges = num === 0 ? [] : (rangesIn(c) ?? []);
		return replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				allowIovas(x, {
					ioasId: c.in.num("ioas_id"),
					reserved: c.in.num("__reserved"),
					ranges,
					unreadable: ranges.length < Math.min(num, RANGES_SHOWN),
				}),
			),
		);
	},
	IOMMU_IOAS_MAP: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				ioasMap(x, {
					flags: c.in.num("flags"),
					ioasId: c.in.num("ioas_id"),
					reserved: c.in.num("__reserved"),
					userVa: c.in.big("user_va"),
					length: c.in.big("length"),
					iova: c.in.big("iova"),
					respond: respondAlways,
				}),
			),
		),
	IOMMU_IOAS_COPY: ioasCopyCall,
	IOMMU_IOAS_UNMAP: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				ioasUnmap(x, {
					ioasId: c.in.num("ioas_id"),
					iova: c.in.big("iova"),
					length: c.in.big("length"),
					respond: respondAlways,
				}),
			),
		),
	IOMMU_OPTION: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				option(x, {
					option: c.in.num("option_id"),
					op: c.in.num("op"),
					reserved: c.in.num("__reserved"),
					objectId: c.in.num("object_id"),
					val: c.in.big("val64"),
				}),
			),
		),
	IOMMU_VFIO_IOAS: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				vfioIoas(x, {
					op: c.in.num("op"),
					reserved: c.in.num("__reserved"),
					ioasId: c.in.num("ioas_id"),
				}),
			),
		),
	IOMMU_HWPT_ALLOC: (c) => {
		const shown = bytesIn(c);
		const wanted = Math.min(c.in.num("data_len"), DATA_IN_SHOWN);
		const bytes = (shown?.length ?? 0) < wanted ? undefined : shown;
		const data = {
			type: c.in.num("data_type"),
			length: c.in.num("data_len"),
			...(bytes === undefined ? {} : { bytes }),
		};
		return replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				hwptAlloc(x, {
					flags: c.in.num("flags"),
					devId: c.in.num("dev_id"),
					ptId: c.in.num("pt_id"),
					reserved: c.in.num("__reserved"),
					data,
					faultId: c.in.num("fault_id"),
					respond: respondAlways,
				}),
			),
		);
	},
	IOMMU_GET_HW_INFO: hwInfo,
	IOMMU_HWPT_SET_DIRTY_TRACKING: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				setDirtyTracking(x, {
					flags: c.in.num("flags"),
					hwptId: c.in.num("hwpt_id"),
				}),
			),
		),
	IOMMU_HWPT_GET_DIRTY_BITMAP: dirtyBitmap,
	IOMMU_HWPT_INVALIDATE: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				hwptInvalidate(x, {
					reserved: c.in.num("__reserved"),
					hwptId: c.in.num("hwpt_id"),
					dataUptr: c.in.big("data_uptr"),
					dataType: c.in.num("data_type"),
					entryLen: c.in.num("entry_len"),
					entryNum: c.in.num("entry_num"),
					bytes: bytesIn(c),
					respond: respondAlways,
				}),
			),
		),
	IOMMU_FAULT_QUEUE_ALLOC: (c) => {
		const answer = c.session.run(c.ctx, c.proc, (x) =>
			faultQueueAlloc(x, c.in.num("flags"), respondAlways),
		);
		const obj = answer.out?.["out_fault_id"];
		if (typeof obj !== "number") return replyOf(answer);
		const fd = c.session.openFile({ kind: "fault", ctx: c.ctx, obj });
		return replyOf({ out: { ...answer.out, out_fault_fd: fd } });
	},
};

/** IOAS_COPY; a fuzzer's source address is worked out first, and stands in the answer (ioas.c:iommufd_ioas_copy). */
function ioasCopyCall(c: Incoming): Reply {
	let flags = c.in.num("flags");
	let srcIova = c.in.big("src_iova");
	let told = {};
	const answer = c.session.run(c.ctx, c.proc, (x) => {
		const srcId = c.in.num("src_ioas_id");
		if ((flags & SYZ) !== 0) {
			flags &= ~SYZ;
			if (lookUp(x, srcId, "ioas") !== undefined)
				srcIova = syzIova(x, srcId, srcIova);
			told = { flags, src_iova: srcIova };
		}
		return ioasCopy(x, {
			flags,
			dstId: c.in.num("dst_ioas_id"),
			srcId,
			length: c.in.big("length"),
			dstIova: c.in.big("dst_iova"),
			srcIova,
			respond: respondAlways,
		});
	});
	return replyOf(
		answer.out === undefined
			? answer
			: { ...answer, out: { ...answer.out, ...told } },
	);
}

/** Recordings show at most so many bytes of a data buffer. */
const DATA_SHOWN = 256;

function hwInfo(c: Incoming): Reply {
	let data = "";
	const to = c.in.big("data_uptr");
	const room = c.in.num("data_len");
	const answer = c.session.run(c.ctx, c.proc, (x) =>
		getHwInfo(x, {
			flags: c.in.num("flags"),
			reserved: c.in.bytes("__reserved"),
			devId: c.in.num("dev_id"),
			dataLen: room,
			write: (bytes) => {
				const shown = 2 * Math.min(room, DATA_SHOWN);
				data = Buffer.from(bytes).toString("hex").padEnd(shown, "0");
				return x.env.touch(c.proc, to, BigInt(room), true);
			},
			respond: respondAlways,
		}),
	);
	const reply = replyOf(answer);
	return reply.errno === null && data !== "" ? { ...reply, data } : reply;
}

function dirtyBitmap(c: Incoming): Reply {
	const iova = c.in.big("iova");
	const pageSize = c.in.big("page_size");
	const answer = c.session.run(c.ctx, c.proc, (x) =>
		getDirtyBitmap(x, {
			flags: c.in.num("flags"),
			reserved: c.in.num("__reserved"),
			hwptId: c.in.num("hwpt_id"),
			iova,
			length: c.in.big("length"),
			pageSize,
		}),
	);
	const note = c.record["in_bitmap"] as BitmapNote | null | undefined;
	if (note === null || note === undefined) return replyOf(answer);
	const to = c.in.big("data");
	const writable = (va: bigint, length: bigint): boolean =>
		c.session.memory.touch(c.proc, va, length, true) === undefined;
	const dirty = answer.dirty ?? [];
	const bitmap = orBitmap(note, iova, pageSize, dirty, to, writable);
	return { ...replyOf(answer), bitmap };
}

/** Runs one iommufd command. Undefined: the table has no such command. */
export function iommufdCall(cmd: string, c: Incoming): Reply | undefined {
	return Object.hasOwn(HANDLERS, cmd) ? HANDLERS[cmd]?.(c) : undefined;
}
