/**
 * The commands that run on plain state (plain.ts): what machines/ops does, behind live arguments. Like those of commands.ts they are data: numbers are
 * kernel object ids, 64-bit values hex text, ranges inclusive. Mended anomalies (switches.ts) are vetoes: the kernel's own step list runs, and what it
 * should not have done is taken back as a whole.
 */
import {
	getDirtyBitmap,
	markDirty,
	pagingHwpt,
	setDirtyTracking,
} from "../../machines/ops/dirty.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import { domainOf, refused } from "../../machines/ops/exec.ts";
import {
	allowIovas,
	iovaRanges,
	option,
	OPTION,
	OPTION_OP,
	vfioIoas,
	VFIO_IOAS_OP,
} from "../../machines/ops/ioas.ts";
import { ioasCopy, MAP_FLAG } from "../../machines/ops/map.ts";
import type { Answer } from "../../machines/ops/types.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import { hexOf, u64, u64FromHex } from "../vocabulary/fields.ts";
import type { CtxId } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import type { PlainOptions } from "./plain.ts";
import { onPlain } from "./plain.ts";

/** An inclusive range, ends as hex text. */
export interface HexRange {
	readonly start: string;
	readonly last: string;
}
/** Arguments of a call on a context. */
export type Of<T> = { readonly ctx: CtxId } & T;
/** A range: both as hex text, in bytes. */
export type Span = { readonly iova: string; readonly length: string };

/** Arguments by operation. */
export interface PlainArgs {
	/** IOAS_IOVA_RANGES; `num`: how many the caller has room for (default: enough). */
	readonly iovaRanges: Of<{ readonly ioas: number; readonly num?: number }>;
	/** IOAS_ALLOW_IOVAS: replaces the allow list, which only automatic placement keeps to (facts §2.3). */
	readonly allowIovas: Of<{
		readonly ioas: number;
		readonly ranges: readonly HexRange[];
	}>;
	/** IOAS_COPY; without `dstIova` the destination chooses. `prot`: 1 read, 2 write. */
	readonly copy: Of<{
		readonly src: number;
		readonly dst: number;
		readonly srcIova: string;
		readonly length: string;
		readonly dstIova?: string;
		readonly prot: number;
	}>;
	/** IOMMU_OPTION SET: "rlimit-mode" of the context (0 user, 1 mm), "huge-pages" of an IOAS (0 or 1). */
	readonly optionSet: Of<{
		readonly option: "rlimit-mode" | "huge-pages";
		readonly ioas?: number;
		readonly value: number;
	}>;
	/** IOMMU_OPTION GET. */
	readonly optionGet: Of<{
		readonly option: "rlimit-mode" | "huge-pages";
		readonly ioas?: number;
	}>;
	/** IOMMU_VFIO_IOAS: with `ioas` SET, without GET. */
	readonly vfioIoas: Of<{ readonly ioas?: number }>;
	/** IOMMU_VFIO_IOAS CLEAR. */
	readonly vfioIoasClear: Of<object>;
	/** IOMMU_HWPT_SET_DIRTY_TRACKING. */
	readonly dirtySet: Of<{ readonly hwpt: number; readonly on: boolean }>;
	/** GET_DIRTY_BITMAP; `keep`: do not clear. */
	readonly dirtyGet: Of<
		{
			readonly hwpt: number;
			readonly pageSize: string;
			readonly keep?: boolean;
		} & Span
	>;
	/** A device writes through the hwpt: with tracking on, the mapped pages of the range become dirty. */
	readonly deviceWrote: Of<{ readonly hwpt: number } & Span>;
}

/** The value of hex text. Throws RangeError: a command with other text is a caller's mistake, not an errno. */
export function fromHex(text: string): bigint {
	const value = u64FromHex(text);
	if (value === undefined)
		throw new RangeError(`not a 64-bit hex value: ${JSON.stringify(text)}`);
	return BigInt(value);
}
const hex = (value: bigint): string => hexOf(u64(value));

/** Runs an operation and turns its answer into a command's outcome; `result` makes what the caller gets. */
export function plainly<A extends Answer>(
	x: Executor,
	ctx: CtxId,
	body: (exec: Exec) => A,
	result: (answer: A) => Json | undefined = () => undefined,
	options: PlainOptions<A> = {},
): Outcome {
	const answer = onPlain(x, ctx, body, options);
	if (answer.errno !== undefined) {
		const { errno, step = "" } = answer;
		return { ok: false, errno, step } as Outcome;
	}
	const value = result(answer);
	return (value === undefined ? { ok: true } : { ok: true, value }) as Outcome;
}

const writable = (): undefined => undefined;
const number = (value: unknown): number => Number(value);

const uapiProt = (prot: number): number =>
	((prot & 1) !== 0 ? MAP_FLAG.READABLE : 0) |
	((prot & 2) !== 0 ? MAP_FLAG.WRITEABLE : 0);

const optionArgs = (args: PlainArgs["optionGet"]) => ({
	option:
		args.option === "rlimit-mode" ? OPTION.RLIMIT_MODE : OPTION.HUGE_PAGES,
	objectId: args.ioas ?? 0,
	reserved: 0,
});

function deviceWrote(exec: Exec, args: PlainArgs["deviceWrote"]): Answer {
	const hwpt = pagingHwpt(exec, args.hwpt);
	if (hwpt === undefined) return refused("ENOENT", "hwpt");
	const { pgsizes } = domainOf(exec, hwpt.dom);
	const page = pgsizes & -pgsizes;
	const from = fromHex(args.iova);
	const first = from - (from % page);
	const pages = Number((from + fromHex(args.length) - 1n - first) / page) + 1;
	const all = Array.from({ length: pages }, (_, i) => i);
	const marked = markDirty(exec, hwpt, first, page, all);
	// The selftest says EINVAL while tracking is off; hardware just leaves no mark.
	return { out: { marked: typeof marked === "string" ? 0 : marked } };
}

type Handlers = {
	readonly [O in keyof PlainArgs]: (x: Executor, args: PlainArgs[O]) => Outcome;
};

/** IOASes: ranges, copies, options. */
const IOAS_HANDLERS = {
	iovaRanges: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) =>
				iovaRanges(exec, {
					ioasId: args.ioas,
					num: args.num ?? 0xffff_ffff,
					reserved: 0,
					write: writable,
				}),
			({ ranges = [], out }) => ({
				ranges: ranges.map((r) => ({ start: hex(r.start), last: hex(r.last) })),
				align: number(out?.["out_iova_alignment"]),
			}),
		),
	allowIovas: (x, args) =>
		plainly(x, args.ctx, (exec) =>
			allowIovas(exec, {
				ioasId: args.ioas,
				reserved: 0,
				ranges: args.ranges.map(({ start, last }) => ({
					start: fromHex(start),
					last: fromHex(last),
				})),
			}),
		),
	copy: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) =>
				ioasCopy(exec, {
					flags:
						uapiProt(args.prot) |
						(args.dstIova === undefined ? 0 : MAP_FLAG.FIXED_IOVA),
					srcId: args.src,
					dstId: args.dst,
					length: fromHex(args.length),
					srcIova: fromHex(args.srcIova),
					dstIova: fromHex(args.dstIova ?? "0x0"),
					respond: writable,
				}),
			({ out }) => ({ iova: hex(out?.["dst_iova"] as bigint) }),
			{
				veto: (_, answer) =>
					answer.step === "resp" && !x.parts.outside.switches.respFailureKeeps
						? answer
						: undefined,
			},
		),
	optionSet: (x, args) =>
		plainly(x, args.ctx, (exec) =>
			option(exec, {
				...optionArgs(args),
				op: OPTION_OP.SET,
				val: BigInt(args.value),
			}),
		),
	optionGet: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) =>
				option(exec, { ...optionArgs(args), op: OPTION_OP.GET, val: 0n }),
			({ out }) => ({ value: number(out?.["val64"]) }),
		),
	vfioIoas: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) =>
				vfioIoas(exec, {
					op: args.ioas === undefined ? VFIO_IOAS_OP.GET : VFIO_IOAS_OP.SET,
					reserved: 0,
					ioasId: args.ioas ?? 0,
				}),
			({ out }) =>
				out === undefined ? undefined : { ioas: number(out["ioas_id"]) },
		),
	vfioIoasClear: (x, args) =>
		plainly(x, args.ctx, (exec) =>
			vfioIoas(exec, { op: VFIO_IOAS_OP.CLEAR, reserved: 0, ioasId: 0 }),
		),
} satisfies Partial<Handlers>;

/** Dirty tracking. A2 and A3 live here. */
const DIRTY_HANDLERS = {
	dirtySet: (x, args) => {
		const { enablingClears } = x.parts.outside.switches;
		return plainly(x, args.ctx, (exec) => {
			const hwpt = pagingHwpt(exec, args.hwpt);
			const on = hwpt !== undefined && domainOf(exec, hwpt.dom).dirty === true;
			if (on && args.on && !enablingClears) return {};
			return setDirtyTracking(exec, {
				flags: args.on ? 1 : 0,
				hwptId: args.hwpt,
			});
		});
	},
	dirtyGet: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec): Answer & { readonly dirty?: readonly Span2[] } =>
				getDirtyBitmap(exec, {
					flags: args.keep === true ? 1 : 0,
					reserved: 0,
					hwptId: args.hwpt,
					iova: fromHex(args.iova),
					length: fromHex(args.length),
					pageSize: fromHex(args.pageSize),
				}),
			({ dirty = [] }) => ({
				dirty: dirty.map((d) => ({ iova: hex(d.iova), length: hex(d.length) })),
			}),
			{
				veto: ({ facts }) => {
					if (x.parts.outside.switches.dirtyWalkErrorsLost) return undefined;
					const read = facts.find(({ type }) => type === "dirty.read");
					const { walkErr } = (read?.data ?? {}) as { walkErr?: ErrnoName };
					return walkErr === undefined
						? undefined
						: refused(walkErr, "dirty.walk");
				},
			},
		),
	deviceWrote: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) => deviceWrote(exec, args),
			({ out }) => ({ marked: number(out?.["marked"]) }),
		),
} satisfies Partial<Handlers>;
type Span2 = { readonly iova: bigint; readonly length: bigint };

/** The commands. */
export const PLAIN_HANDLERS: Handlers = {
	...IOAS_HANDLERS,
	...DIRTY_HANDLERS,
};
