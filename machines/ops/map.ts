/**
 * IOAS_MAP, IOAS_COPY, IOAS_UNMAP (drivers/iommu/iommufd/ioas.c). Facts: iommufd-semantics.md §2.4–2.6. The contents are iopt-map.ts
 * and iopt-unmap.ts; here are the checks around them, in order. A response that cannot be copied leaves the mapping (A10).
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { IOVA_LAST } from "../iopt.ts";
import type { Slice } from "../iopt-map.ts";
import {
	collectSlices,
	dropSlices,
	mapArea,
	PROT_READ,
	PROT_WRITE,
} from "../iopt-map.ts";
import { createPages, PAGE_SIZE } from "../iopt-pages.ts";
import { unmapRange } from "../iopt-unmap.ts";
import { notifyAccesses } from "./access-notify.ts";
import type { Exec } from "./exec.ts";
import { ctxOf, emit, lookUp, objOf, refused, settleIopt } from "./exec.ts";
import type { Respond } from "./ioas.ts";
import type { Answer, Ioas } from "./types.ts";

/** Flags of IOAS_MAP and IOAS_COPY (include/uapi/linux/iommufd.h). */
export const MAP_FLAG = { FIXED_IOVA: 1, WRITEABLE: 2, READABLE: 4 } as const;
const MAP_FLAGS = 7;

/** IOMMU protection bits of the uapi flags. */
const protOf = (flags: number): number =>
	((flags & MAP_FLAG.READABLE) !== 0 ? PROT_READ : 0) |
	((flags & MAP_FLAG.WRITEABLE) !== 0 ? PROT_WRITE : 0);

function flagsErrno(
	flags: number,
	reserved: number,
	iova: bigint,
	length: bigint,
): ErrnoName | undefined {
	if ((flags & ~MAP_FLAGS) !== 0 || reserved !== 0) return "EOPNOTSUPP";
	if (iova >= IOVA_LAST || length >= IOVA_LAST) return "EOVERFLOW";
	return (flags & (MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE)) === 0
		? "EINVAL"
		: undefined;
}

/** Makes the pages object of a map (iopt_alloc_pages): length and wrap checks, who pays. */
export function newPages(
	x: Exec,
	uva: bigint,
	length: bigint,
	writable: boolean,
): Slice | ErrnoName {
	if (length === 0n || length > IOVA_LAST - PAGE_SIZE) return "EINVAL";
	if (uva + length > IOVA_LAST) return "EOVERFLOW";
	const errno = x.env.fail?.("pages.alloc");
	if (errno !== undefined) return errno;
	const { caller } = x.env;
	const ctx = ctxOf(x);
	const acct = caller.ipcLock ? "NONE" : ctx.acct;
	const payer = acct === "MM" ? `mm:${caller.proc}` : `user:${caller.uid}`;
	const account = acct === "NONE" ? "" : payer;
	const made = createPages(x.host.mem, x.ctx, {
		mm: caller.proc,
		writable,
		acct,
		account,
		uva,
		length,
	});
	x.host = { ...x.host, mem: made.mem };
	return { pages: made.pages.id, off: uva & (PAGE_SIZE - 1n), length };
}

/** Maps user memory into an IOAS; the IOVA taken, or the errno and step (iopt_map_user_pages). */
export function mapUser(
	x: Exec,
	ioas: Ioas,
	args: {
		readonly uva: bigint;
		readonly length: bigint;
		readonly iova: bigint | undefined;
		readonly prot: number;
	},
):
	| { readonly iova: bigint }
	| { readonly errno: ErrnoName; readonly step: string } {
	const slice = newPages(
		x,
		args.uva,
		args.length,
		(args.prot & PROT_WRITE) !== 0,
	);
	if (typeof slice === "string") return { errno: slice, step: "pages.alloc" };
	return mapSlices(x, ioas, [slice], args.prot, args.iova);
}

function mapSlices(
	x: Exec,
	ioas: Ioas,
	slices: readonly Slice[],
	prot: number,
	iova: bigint | undefined,
):
	| { readonly iova: bigint }
	| { readonly errno: ErrnoName; readonly step: string } {
	const { iopt, name } = objOf(x, ioas.id, "ioas");
	const done = mapArea(iopt, name, x.host.mem, slices, prot, iova, x.env);
	settleIopt(x, ioas, done);
	return done;
}

/** IOAS_MAP. */
export function ioasMap(
	x: Exec,
	args: {
		readonly flags: number;
		readonly ioasId: number;
		readonly reserved: number;
		readonly userVa: bigint;
		readonly length: bigint;
		readonly iova: bigint;
		readonly respond: Respond;
	},
): Answer {
	const { flags, iova, length } = args;
	const bad = flagsErrno(flags, args.reserved, iova, length);
	if (bad !== undefined) return refused(bad, "arguments");
	const ioas = lookUp(x, args.ioasId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	const done = mapUser(x, ioas, {
		uva: args.userVa,
		length,
		iova: (flags & MAP_FLAG.FIXED_IOVA) !== 0 ? iova : undefined,
		prot: protOf(flags),
	});
	return "errno" in done
		? done
		: respondIova(x, { iova: done.iova }, args.respond);
}

function respondIova(
	x: Exec,
	out: { readonly [field: string]: bigint },
	respond: Respond,
): Answer {
	const errno = x.env.fail?.("resp") ?? respond();
	return errno === undefined ? { out } : refused(errno, "resp");
}

/** IOAS_COPY: the source is let go before the destination is looked up. */
export function ioasCopy(
	x: Exec,
	args: {
		readonly flags: number;
		readonly dstId: number;
		readonly srcId: number;
		readonly length: bigint;
		readonly dstIova: bigint;
		readonly srcIova: bigint;
		readonly respond: Respond;
	},
): Answer {
	const { flags, length, srcIova, dstIova } = args;
	const bad = copyErrno(args);
	if (bad !== undefined) return refused(bad, "arguments");
	const src = lookUp(x, args.srcId, "ioas");
	if (src === undefined) return refused("ENOENT", "source");
	const got = takeSlices(x, src, srcIova, length);
	if (typeof got === "string") return refused(got, "source.range");
	const dst = lookUp(x, args.dstId, "ioas");
	if (dst === undefined) {
		const dropped = dropSlices(x.host.mem, got);
		x.host = { ...x.host, mem: dropped.mem };
		emit(x, ...dropped.facts);
		return refused("ENOENT", "destination");
	}
	const fixed = (flags & MAP_FLAG.FIXED_IOVA) !== 0;
	const done = mapSlices(
		x,
		dst,
		got,
		protOf(flags),
		fixed ? dstIova : undefined,
	);
	return "errno" in done
		? done
		: respondIova(x, { dst_iova: done.iova }, args.respond);
}

function copyErrno(args: {
	readonly flags: number;
	readonly length: bigint;
	readonly dstIova: bigint;
	readonly srcIova: bigint;
}): ErrnoName | undefined {
	if ((args.flags & ~MAP_FLAGS) !== 0) return "EOPNOTSUPP";
	if (
		args.length >= IOVA_LAST ||
		args.srcIova >= IOVA_LAST ||
		args.dstIova >= IOVA_LAST
	)
		return "EOVERFLOW";
	return (args.flags & (MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE)) === 0
		? "EINVAL"
		: undefined;
}

/** Collects the source's slices (iopt_get_pages). */
function takeSlices(
	x: Exec,
	src: Ioas,
	iova: bigint,
	length: bigint,
): readonly Slice[] | ErrnoName {
	if (length === 0n) return "EINVAL";
	const last = iova + length - 1n;
	if (last > IOVA_LAST) return "EOVERFLOW";
	const errno = x.env.fail?.("slice.alloc");
	if (errno !== undefined) return errno;
	const got = collectSlices(src.iopt, x.host.mem, iova, last);
	if (got === undefined) return "ENOENT";
	x.host = { ...x.host, mem: got.mem };
	emit(
		x,
		fact("ioas.copied.from", src.name, {
			ioas: src.name,
			iova: u64(iova),
			len: u64(length),
			slices: got.slices.length,
		}),
	);
	return got.slices;
}

/** Unmaps whole areas of a range; `bytes` went away also when it failed. */
export function unmapIoas(
	x: Exec,
	ioas: Ioas,
	start: bigint,
	last: bigint,
): {
	readonly bytes: bigint;
	readonly errno?: ErrnoName;
	readonly step?: string;
} {
	const { iopt, name } = objOf(x, ioas.id, "ioas");
	const done = unmapRange(
		iopt,
		name,
		x.host.mem,
		start,
		last,
		notifyAccesses(x, ioas.id),
	);
	settleIopt(x, ioas, done);
	return done;
}

/** Unmaps [iova, iova+length): length 0 EINVAL, wrap EOVERFLOW (iopt_unmap_iova). */
export function unmapIova(
	x: Exec,
	ioas: Ioas,
	iova: bigint,
	length: bigint,
): ReturnType<typeof unmapIoas> {
	if (length === 0n) return { bytes: 0n, errno: "EINVAL", step: "length" };
	const last = iova + length - 1n;
	if (last > IOVA_LAST) return { bytes: 0n, errno: "EOVERFLOW", step: "wrap" };
	return unmapIoas(x, ioas, iova, last);
}

/** IOAS_UNMAP. iova 0 with all-ones length is everything. The bytes of a partial unmap are not reported (A11). */
export function ioasUnmap(
	x: Exec,
	args: {
		readonly ioasId: number;
		readonly iova: bigint;
		readonly length: bigint;
		readonly respond: Respond;
	},
): Answer {
	const ioas = lookUp(x, args.ioasId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	const all = args.iova === 0n && args.length === IOVA_LAST;
	if (!all && (args.iova >= IOVA_LAST || args.length >= IOVA_LAST))
		return refused("EOVERFLOW", "arguments");
	const done = all
		? unmapIoas(x, ioas, 0n, IOVA_LAST)
		: unmapIova(x, ioas, args.iova, args.length);
	if (done.errno !== undefined)
		return refused(done.errno, done.step ?? "unmap");
	if (!all && done.bytes === 0n) return refused("ENOENT", "unmap");
	return respondIova(x, { length: done.bytes }, args.respond);
}
