/**
 * Commands as calls of user space, in the spelling of recorded calls (call, args, out). `iommufd` is the number of the context, `dev` the
 * bus name of the device: the agent keeps the files. What hardware or kernel drivers do of themselves is no call, and is not sent. An access is a kernel
 * driver's; user space has a hand in that of an emulated device (mdev) only, through the calls that it has for devices (calls-mdev.ts).
 */
import { MAP_FLAG } from "../../../machines/ops/map.ts";
import type { Json } from "../../vocabulary/fields.ts";
import type { CtxId, DeviceId } from "../../vocabulary/ids.ts";
import { kernelNumber } from "../../vocabulary/ids.ts";
import type { Command, CommandArgs, OpName } from "../commands.ts";
import type { Outcome } from "../executor-parts.ts";
import type { BackendAnswer, BackendRequest, CallFields } from "./backend.ts";
import { refusedWith, succeeded } from "./backend.ts";
import { MDEV_SPELLINGS } from "./calls-mdev.ts";
import { VFIO_SPELLINGS } from "./calls-vfio.ts";

type Fields = { readonly [name: string]: Json };
/** What is read of the live system, as it was before the command, to make a call. */
export interface Books {
	/** The object id of a device that is bound. */
	idev(dev: DeviceId): number;
	/** The emulated device behind an access, and whether it is attached; undefined for other in-kernel users. */
	mdev(
		ctx: CtxId,
		access: number,
	): { readonly name: string; readonly attached: boolean } | undefined;
}
/** How one command is spelled. */
export interface Spelling<O extends OpName> {
	readonly call: string;
	/** Only some of these commands are calls of user space; default: all. */
	readonly sent?: (args: CommandArgs[O], books: Books) => boolean;
	readonly args: (args: CommandArgs[O], books: Books) => CallFields;
	/** The fields copied back, out of the operation's result. */
	readonly out?: (result: Fields) => CallFields;
	/** What only the hardware knows: the result is the backend's, not the model's. */
	readonly told?: (out: CallFields) => Json;
}
type Spellings = { readonly [O in OpName]: Spelling<O> | null };

const busName = (dev: DeviceId): string => dev.slice("device:".length);
const fd = (ctx: CtxId): number => kernelNumber(ctx);
const on = ({ ctx, dev }: { ctx: CtxId; dev: DeviceId }): CallFields => ({
	iommufd: fd(ctx),
	dev: busName(dev),
});
const prot = (bits: number): number =>
	((bits & 1) !== 0 ? MAP_FLAG.READABLE : 0) |
	((bits & 2) !== 0 ? MAP_FLAG.WRITEABLE : 0);
const fixed = (iova: string | undefined): number =>
	iova === undefined ? 0 : MAP_FLAG.FIXED_IOVA;
const pair = (row: Json, a: string, b: string): Json => [
	(row as Fields)[a]!,
	(row as Fields)[b]!,
];
const OPTIONS = {
	"rlimit-mode": "RLIMIT_MODE",
	"huge-pages": "HUGE_PAGES",
} as const;

const attachPt: Spelling<"attach" | "replace"> = {
	call: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	args: (a) => ({ ...on(a), pt_id: a.pt }),
	out: ({ hwpt }) => ({ pt_id: hwpt! }),
};

/** Every operation; null: nothing that user space calls. */
const SPELLINGS: Spellings = {
	open: { call: "OPEN_IOMMUFD", args: () => ({}) },
	close: { call: "CLOSE_IOMMUFD", args: ({ ctx }) => ({ iommufd: fd(ctx) }) },
	bind: {
		call: "VFIO_DEVICE_BIND_IOMMUFD",
		args: on,
		out: ({ idev }) => ({ dev_id: idev! }),
	},
	unbind: { call: "CLOSE_CDEV", args: on },
	ioasAlloc: {
		call: "IOMMU_IOAS_ALLOC",
		args: ({ ctx }) => ({ iommufd: fd(ctx) }),
		out: ({ ioas }) => ({ ioas_id: ioas! }),
	},
	hwptAlloc: {
		call: "IOMMU_HWPT_ALLOC",
		args: ({ ctx, dev, pt, flags = 0, data, fault }, books) => ({
			iommufd: fd(ctx),
			dev_id: books.idev(dev),
			pt_id: pt,
			flags,
			...(data === undefined ? {} : { data_type: data.type, data: data.bytes }),
			...(fault === undefined ? {} : { fault_id: fault }),
		}),
		out: ({ hwpt }) => ({ hwpt_id: hwpt! }),
	},
	map: {
		call: "IOMMU_IOAS_MAP",
		args: (a) => ({
			iommufd: fd(a.ctx),
			ioas_id: a.ioas,
			flags: prot(a.prot) | fixed(a.iova),
			user_va: a.va,
			length: a.length,
			iova: a.iova ?? "0x0",
			...(a.mm === undefined ? {} : { mm: a.mm }),
		}),
		out: ({ iova }) => ({ iova: iova! }),
	},
	unmap: {
		call: "IOMMU_IOAS_UNMAP",
		args: ({ ctx, ioas, iova, length }) => ({
			iommufd: fd(ctx),
			ioas_id: ioas,
			iova,
			length,
		}),
		out: ({ bytes }) => ({ unmapped: bytes! }),
	},
	attach: attachPt,
	replace: attachPt,
	detach: { call: "VFIO_DEVICE_DETACH_IOMMUFD_PT", args: on },
	destroy: {
		call: "IOMMU_DESTROY",
		args: ({ ctx, id }) => ({ iommufd: fd(ctx), id }),
	},
	irqRequest: { call: "VFIO_DEVICE_SET_IRQS", args: on },
	iovaRanges: {
		call: "IOMMU_IOAS_IOVA_RANGES",
		args: ({ ctx, ioas }) => ({ iommufd: fd(ctx), ioas_id: ioas }),
		out: ({ ranges, align }) => ({
			ranges: (ranges as readonly Json[]).map((r) => pair(r, "start", "last")),
			align: align!,
		}),
	},
	allowIovas: {
		call: "IOMMU_IOAS_ALLOW_IOVAS",
		args: ({ ctx, ioas, ranges }) => ({
			iommufd: fd(ctx),
			ioas_id: ioas,
			ranges: ranges.map(({ start, last }) => [start, last]),
		}),
	},
	copy: {
		call: "IOMMU_IOAS_COPY",
		args: (a) => ({
			iommufd: fd(a.ctx),
			flags: prot(a.prot) | fixed(a.dstIova),
			dst_ioas_id: a.dst,
			src_ioas_id: a.src,
			length: a.length,
			dst_iova: a.dstIova ?? "0x0",
			src_iova: a.srcIova,
		}),
		out: ({ iova }) => ({ dst_iova: iova! }),
	},
	optionSet: {
		call: "IOMMU_OPTION",
		args: ({ ctx, option, ioas, value }) => ({
			iommufd: fd(ctx),
			option: OPTIONS[option],
			op: "SET",
			object_id: ioas ?? 0,
			val: value,
		}),
	},
	optionGet: {
		call: "IOMMU_OPTION",
		args: ({ ctx, option, ioas }) => ({
			iommufd: fd(ctx),
			option: OPTIONS[option],
			op: "GET",
			object_id: ioas ?? 0,
		}),
		out: ({ value }) => ({ val: value! }),
	},
	vfioIoas: {
		call: "IOMMU_VFIO_IOAS",
		args: ({ ctx, ioas }) => ({
			iommufd: fd(ctx),
			op: ioas === undefined ? "GET" : "SET",
			ioas_id: ioas ?? 0,
		}),
		out: ({ ioas }) => (ioas === undefined ? {} : { ioas_id: ioas }),
	},
	vfioIoasClear: {
		call: "IOMMU_VFIO_IOAS",
		args: ({ ctx }) => ({ iommufd: fd(ctx), op: "CLEAR", ioas_id: 0 }),
	},
	...VFIO_SPELLINGS,
	dirtySet: {
		call: "IOMMU_HWPT_SET_DIRTY_TRACKING",
		args: (a) => ({
			iommufd: fd(a.ctx),
			hwpt_id: a.hwpt,
			flags: a.on ? 1 : 0,
		}),
	},
	dirtyGet: {
		call: "IOMMU_HWPT_GET_DIRTY_BITMAP",
		args: (a) => ({
			iommufd: fd(a.ctx),
			hwpt_id: a.hwpt,
			flags: a.keep === true ? 1 : 0,
			iova: a.iova,
			length: a.length,
			page_size: a.pageSize,
		}),
		told: ({ dirty }) => ({
			dirty: (dirty as readonly (readonly [Json, Json])[]).map(
				([iova, length]) => ({ iova, length }),
			),
		}),
	},
	faultQueueAlloc: {
		call: "IOMMU_FAULT_QUEUE_ALLOC",
		args: ({ ctx }) => ({ iommufd: fd(ctx), flags: 0 }),
		out: ({ fault }) => ({ fault_id: fault! }),
	},
	faultQueueClose: {
		call: "CLOSE_FAULT",
		args: ({ ctx, fault }) => ({ iommufd: fd(ctx), fault_id: fault }),
	},
	faultRead: {
		call: "READ_FAULT",
		args: ({ ctx, fault, max = 16 }) => ({
			iommufd: fd(ctx),
			fault_id: fault,
			max,
		}),
		told: ({ faults }) => ({ faults: faults! }),
	},
	faultAnswer: {
		call: "WRITE_FAULT",
		args: ({ ctx, fault, cookie, code }) => ({
			iommufd: fd(ctx),
			fault_id: fault,
			responses: [{ cookie, code }],
		}),
	},
	invalidate: {
		call: "IOMMU_HWPT_INVALIDATE",
		args: ({ ctx, hwpt, type, entryLen, entries }) => ({
			iommufd: fd(ctx),
			hwpt_id: hwpt,
			data_type: type,
			entry_len: entryLen,
			entry_num: entryLen === 0 ? 0 : Math.floor(entries.length / 2 / entryLen),
			data: entries,
		}),
		out: ({ done }) => ({ entry_num: done! }),
	},
	// Devices, kernel drivers and the platform do these of themselves.
	hotAdd: null,
	deviceWrote: null,
	pageRequest: null,
	...MDEV_SPELLINGS,
};

const SAMPLE = {
	group: "group:1",
	ctx: "ctx:1",
	dev: "device:0000:00:00.0",
	iova: "0x0",
	length: "0x0",
	va: "0x0",
	ranges: [],
	entries: "",
	entryLen: 0,
	option: "huge-pages",
	hwpt: 1,
	idev: 1,
	value: 0,
	done: 0,
	bytes: "0x0",
	fault: 1,
	data: { type: 0, bytes: "" },
	access: 1,
	mdev: "mdev",
};
const SAMPLE_BOOKS: Books = {
	idev: () => 1,
	mdev: () => ({ name: "mdev", attached: true }),
};
/** Every command with its call and the names of the fields, for the documentation. */
export const callTable = (): readonly {
	readonly op: string;
	readonly call: string | undefined;
	readonly args: readonly string[];
	readonly out: readonly string[];
}[] =>
	Object.entries(SPELLINGS).map(([op, spelling]) => {
		if (spelling === null) return { op, call: undefined, args: [], out: [] };
		const { call, args, out, told } = spelling as Spelling<OpName>;
		const sent = args(SAMPLE as never, SAMPLE_BOOKS);
		const back = out?.({ ...SAMPLE, ioas: 1, align: 1 } as never) ?? {};
		const hardware =
			told === undefined ? [] : [op === "dirtyGet" ? "dirty" : "faults"];
		return {
			op,
			call,
			args: [...(op === "open" ? ["iommufd"] : []), ...Object.keys(sent)],
			out: [...Object.keys(back), ...hardware],
		};
	});

const spellingOf = (op: OpName) => SPELLINGS[op] as Spelling<OpName> | null;

/** The call of a command; undefined when it is none. */
export function requestOf(
	{ op, args }: Command,
	id: number,
	books: Books,
	outcome: Outcome,
): BackendRequest | undefined {
	const spelling = spellingOf(op);
	if (spelling === null || spelling.sent?.(args as never, books) === false)
		return undefined;
	const fields = spelling.args(args as never, books);
	// The number of a new context is the model's to choose: the agent files the descriptor under it.
	const opened =
		op === "open" && outcome.ok ? { iommufd: opensAs(outcome) } : {};
	return { id, call: spelling.call, args: { ...fields, ...opened } };
}
const opensAs = (outcome: Outcome): number =>
	kernelNumber((outcome as { readonly value: { ctx: CtxId } }).value.ctx);

/** The answer that the model decided. */
export function expectedAnswer(op: OpName, outcome: Outcome): BackendAnswer {
	if (!outcome.ok) return refusedWith(outcome.errno);
	const result = ((outcome as { value?: Json }).value ?? {}) as Fields;
	return succeeded(spellingOf(op)?.out?.(result) ?? {});
}

/** The operation's result as the backend tells it, where only the hardware knows it; undefined elsewhere. */
export function toldResult(
	op: OpName,
	{ out, ret }: BackendAnswer,
): Json | undefined {
	const told = spellingOf(op)?.told;
	return told === undefined || ret < 0 ? undefined : told(out);
}
