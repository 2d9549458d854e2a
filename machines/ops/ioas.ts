/**
 * IOAS_IOVA_RANGES, IOAS_ALLOW_IOVAS, the options and the VFIO slot (drivers/iommu/iommufd/ioas.c). IOAS_ALLOC is a transaction
 * (machines/ioas-alloc.ts).
 * Facts: iommufd-semantics.md §2.3, §2.7, §2.8.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { Range } from "../iopt.ts";
import { recalcAlignment, recordRange } from "../iopt.ts";
import { allowListErrno, setAllowed, usableRanges } from "../iopt-iova.ts";
import type { Exec, Step } from "./exec.ts";
import {
	ctxOf,
	EOK,
	emit,
	lookUp,
	objOf,
	putCtx,
	refused,
	settleIopt,
} from "./exec.ts";
import type { Answer, Ioas } from "./types.ts";

/** Copies the answer to the caller: EFAULT when its memory is not writable or fault injection says so. */
export type Respond = () => ErrnoName | undefined;
/** A caller whose memory can always be written. */
export const respondAlways: Respond = () => undefined;

/** The last step of every command that gives something back. */
export const respStep = <
	L extends { readonly respond: Respond },
>(): Step<L> => ({
	name: "resp",
	fails: "EFAULT",
	run: (_, l) => l.respond(),
});

/** IOAS_IOVA_RANGES: at most `num` ranges are written, the total is always reported; EMSGSIZE when they do not fit. */
export function iovaRanges(
	x: Exec,
	args: {
		readonly ioasId: number;
		readonly num: number;
		readonly reserved: number;
		/** Writes entry `index`; the errno when its memory is out of reach. */
		readonly write: (index: number) => ErrnoName | undefined;
	},
): Answer & { readonly ranges?: readonly Range[] } {
	if (args.reserved !== 0) return refused("EOPNOTSUPP", "reserved");
	const ioas = lookUp(x, args.ioasId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	const ranges = usableRanges(ioas.iopt);
	const fits = Math.min(args.num, ranges.length);
	for (let i = 0; i < fits; i++) {
		const errno = args.write(i);
		if (errno !== undefined) return refused(errno, "copy");
	}
	const align = Number(ioas.iopt.align);
	emit(
		x,
		fact("ioas.ranges.read", ioas.name, {
			ioas: ioas.name,
			ranges: ranges.map(recordRange),
			align,
		}),
	);
	const out = { num_iovas: ranges.length, out_iova_alignment: ioas.iopt.align };
	const written = ranges.slice(0, fits);
	return ranges.length > args.num
		? { errno: "EMSGSIZE", step: "size", out, ranges: written }
		: { out, ranges: written };
}

/** IOAS_ALLOW_IOVAS; `unreadable`: the list goes on, out of the kernel's reach. It is read and checked entry by entry. */
export function allowIovas(
	x: Exec,
	args: {
		readonly ioasId: number;
		readonly reserved: number;
		readonly ranges: readonly Range[];
		readonly unreadable?: boolean;
	},
): Answer {
	if (args.reserved !== 0) return refused("EOPNOTSUPP", "reserved");
	const ioas = lookUp(x, args.ioasId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	const injected = args.ranges
		.map(() => x.env.fail?.("allowed.alloc"))
		.find((e) => e !== undefined);
	const errno = injected ?? allowListErrno(args.ranges);
	if (errno !== undefined) return refused(errno, "allowed.load");
	if (args.unreadable === true) return refused("EFAULT", "allowed.load");
	const set = setAllowed(ioas.iopt, ioas.name, args.ranges);
	const failed = settleIopt(x, ioas, set);
	return failed === undefined ? EOK : refused(failed, "allowed.check");
}

/** The two options of 6.12. */
export const OPTION = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const;
/** Option operations. */
export const OPTION_OP = { SET: 0, GET: 1 } as const;

/** IOMMU_OPTION; GET answers in `val64`. */
export function option(
	x: Exec,
	args: {
		readonly option: number;
		readonly op: number;
		readonly reserved: number;
		readonly objectId: number;
		readonly val: bigint;
	},
): Answer {
	if (args.reserved !== 0) return refused("EOPNOTSUPP", "reserved");
	if (args.option === OPTION.RLIMIT_MODE) return rlimitMode(x, args);
	if (args.option !== OPTION.HUGE_PAGES) return refused("EOPNOTSUPP", "option");
	const ioas = lookUp(x, args.objectId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	if (args.op === OPTION_OP.GET)
		return { out: { val64: ioas.iopt.noLarge ? 0n : 1n } };
	if (args.op !== OPTION_OP.SET) return refused("EOPNOTSUPP", "op");
	if (args.val > 1n) return refused("EINVAL", "value");
	const errno = setHugePages(x, ioas, args.val === 1n);
	return errno === undefined ? EOK : refused(errno, "hugepages");
}

/** Turns large leaves on or off (iopt_enable_large_pages, iopt_disable_large_pages). */
export function setHugePages(
	x: Exec,
	ioas: Ioas,
	on: boolean,
): ErrnoName | undefined {
	const { iopt, name } = ioas;
	if (!on) {
		if (iopt.noLarge) return undefined;
		if (iopt.doms.length > 0 && iopt.areas !== undefined) return "EINVAL";
	}
	const changed = recalcAlignment({ ...iopt, noLarge: !on }, name);
	const errno = settleIopt(
		x,
		ioas,
		changed.ok ? changed : { ...changed, iopt },
	);
	if (errno !== undefined) return errno;
	const align = Number(objOf(x, ioas.id, "ioas").iopt.align);
	emit(x, fact("ioas.hugepages.set", name, { ioas: name, on, align }));
	return undefined;
}

function rlimitMode(
	x: Exec,
	args: {
		readonly op: number;
		readonly objectId: number;
		readonly val: bigint;
	},
): Answer {
	if (args.objectId !== 0) return refused("EOPNOTSUPP", "object");
	const ctx = ctxOf(x);
	if (args.op === OPTION_OP.GET)
		return { out: { val64: ctx.acct === "MM" ? 1n : 0n } };
	if (args.op !== OPTION_OP.SET) return refused("EOPNOTSUPP", "op");
	if (!x.env.caller.sysResource) return refused("EPERM", "capability");
	if (ctx.objs.size > 0) return refused("EBUSY", "objects");
	if (args.val > 1n) return refused("EINVAL", "value");
	const acct = args.val === 1n ? "MM" : "USER";
	putCtx(x, { ...ctx, acct });
	emit(x, fact("ctx.acct.set", ctx.name, { ctx: ctx.name, mode: acct }));
	return EOK;
}

/** Operations of VFIO_IOAS. */
export const VFIO_IOAS_OP = { GET: 0, SET: 1, CLEAR: 2 } as const;

/** IOMMU_VFIO_IOAS: the compatibility slot holds an uncounted pointer. */
export function vfioIoas(
	x: Exec,
	args: {
		readonly op: number;
		readonly reserved: number;
		readonly ioasId: number;
	},
): Answer {
	if (args.reserved !== 0) return refused("EOPNOTSUPP", "reserved");
	const ctx = ctxOf(x);
	switch (args.op) {
		case VFIO_IOAS_OP.GET: {
			const id = ctx.vfioIoas;
			if (id === undefined) return refused("ENODEV", "slot");
			return { out: { ioas_id: id } };
		}
		case VFIO_IOAS_OP.SET: {
			const ioas = lookUp(x, args.ioasId, "ioas");
			if (ioas === undefined) return refused("ENOENT", "ioas");
			setVfioSlot(x, ioas.id);
			return EOK;
		}
		case VFIO_IOAS_OP.CLEAR:
			setVfioSlot(x, undefined);
			return EOK;
		default:
			return refused("EOPNOTSUPP", "op");
	}
}

/** Stores or clears the compatibility slot. */
export function setVfioSlot(x: Exec, id: number | undefined): void {
	const { vfioIoas: _, ...rest } = ctxOf(x);
	putCtx(x, id === undefined ? rest : { ...rest, vfioIoas: id });
	const ctx = rest.name;
	const ioas = id === undefined ? {} : { ioas: objOf(x, id, "ioas").name };
	emit(x, fact("ctx.vfio.ioas.set", ctx, { ctx, ...ioas }));
}
