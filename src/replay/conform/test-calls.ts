/**
 * IOMMU_TEST_CMD operations (drivers/iommu/iommufd/selftest.c): recorded fields in, model operation, fields out.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import { accessRw, pinPages, unpinItem } from "../../../machines/ops/access.ts";
import { markDirty, pagingHwpt } from "../../../machines/ops/dirty.ts";
import type { Exec } from "../../../machines/ops/exec.ts";
import { lookUp, refused } from "../../../machines/ops/exec.ts";
import { FAULT_FLAG, reportFault } from "../../../machines/ops/fault.ts";
import { respondAlways } from "../../../machines/ops/ioas.ts";
import {
	addReserved,
	checkIotlb,
	checkMap,
	mockCreateAccess,
	mockDomain,
	mockReplace,
	mockReplaceIoas,
	pinCount,
} from "../../../machines/ops/selftest.ts";
import type { Answer } from "../../../machines/ops/types.ts";
import { PAGE_SIZE } from "../../../machines/iopt-pages.ts";
import { areaAt, IOVA_LAST } from "../../../machines/iopt.ts";
import type { Pages } from "../../../machines/iopt-pages.ts";
import { runsOf } from "../../../machines/iopt-pages.ts";
import type { UserMemory } from "./memory.ts";
import type { BitmapNote } from "./bitmap.ts";
import { BITS_MAX, bytesOf, setBits } from "./bitmap.ts";
import type { Reply } from "./call.ts";
import { refusal, replyOf } from "./call.ts";
import type { Incoming } from "./iommufd-calls.ts";
import { SYZ, syzIova } from "./syz.ts";

type Handler = (c: Incoming) => Reply;
const run = (c: Incoming, body: (x: Exec) => Answer): Reply =>
	replyOf(c.session.run(c.ctx, c.proc, body));

/** A call on an access file: it runs in the context of the access, whichever file it came through (selftest.c:iommufd_access_get). */
interface OnAccess extends Incoming {
	readonly access: number;
}
/** The call on the access file that `id` names, or undefined (EBADFD). */
function onAccess(c: Incoming): OnAccess | undefined {
	const file = c.session.files.get(c.in.num("id"));
	if (file?.kind !== "access") return undefined;
	return { ...c, ctx: file.ctx, access: file.obj };
}

/** The IOVA of a call on an access. */
function iovaOf(
	c: Incoming,
	x: Exec,
	flags: number,
	ioasId: number | undefined,
): bigint {
	const iova = c.in.big("iova");
	return (flags & SYZ) === 0 ? iova : syzIova(x, ioasId, iova);
}
/** Largest buffer the selftest allocates for one access call, in bytes. */
const BUFFER_MAX = 16n * 1024n * 1024n;
const ACCESS_WRITE = 1;
const RW_WRITE = 1;
const RW_SLOW_PATH = 4;
/** Smallest temporary memory limit. */
const LIMIT_MIN = 12;

/** ACCESS_PAGES: pin, then compare the pages with those under `uptr`. */
function accessPages(c: Incoming): Reply {
	const flags = c.in.num("flags");
	const length = c.in.big("length");
	const uptr = c.in.big("uptr");
	if (length > BUFFER_MAX) return refusal("ENOMEM");
	if ((flags & ~(ACCESS_WRITE | SYZ)) !== 0) return refusal("EOPNOTSUPP");
	const on = onAccess(c);
	if (on === undefined) return refusal("EBADFD");
	const { access } = on;
	return run(on, (x) => {
		const user = lookUp(x, access, "access");
		if (user?.pinning !== true) return refused("EOPNOTSUPP", "access.ops");
		const iova = iovaOf(c, x, flags, user.ioas);
		const pinned = pinPages(
			x,
			access,
			iova,
			length,
			(flags & ACCESS_WRITE) !== 0,
		);
		if (pinned.item === undefined) return pinned;
		const bad =
			uptr === 0n ? undefined : comparePages(c, x, access, iova, length, uptr);
		if (bad === undefined) return { out: { out_access_pages_id: pinned.item } };
		unpinItem(x, access, pinned.item);
		giveBackItem(x, access);
		return refused(bad, "pages.compare");
	});
}

/** An item number is taken only when the call succeeds. */
function giveBackItem(x: Exec, id: number): void {
	const access = lookUp(x, id, "access");
	const ctx = x.host.ctxs.get(x.ctx);
	if (access === undefined || ctx === undefined) return;
	const objs = new Map(ctx.objs).set(id, {
		...access,
		nextItem: access.nextItem - 1,
	});
	x.host = {
		...x.host,
		ctxs: new Map(x.host.ctxs).set(x.ctx, { ...ctx, objs }),
	};
}

/** iommufd_test_check_pages: the pinned page at each index is the one under the user's address. */
function comparePages(
	c: Incoming,
	x: Exec,
	access: number,
	iova: bigint,
	length: bigint,
	uptr: bigint,
): ErrnoName | undefined {
	const ioasId = lookUp(x, access, "access")?.ioas;
	const ioas = ioasId === undefined ? undefined : lookUp(x, ioasId, "ioas");
	const first = iova - (iova % PAGE_SIZE);
	let va = uptr - (iova - first);
	for (let at = first; at < iova + length; at += PAGE_SIZE, va += PAGE_SIZE) {
		const frame = c.session.memory.frameAt(c.proc, va);
		if (typeof frame !== "number") return frame.errno;
		const byte = at < iova ? iova : at;
		const area = ioas === undefined ? undefined : areaAt(ioas.iopt, byte);
		if (area?.pages === undefined) return "EBADE";
		const page = Number((area.off + (byte - area.start)) / PAGE_SIZE);
		const pages = [...pagesIn(x, area.pages, page)];
		if (pages[0] !== frame) return "EBADE";
	}
	return undefined;
}
function* pagesIn(x: Exec, id: string, page: number): Generator<number> {
	const key = Number(id.slice(id.lastIndexOf(":") + 1));
	let node = x.host.mem.pages;
	while (node !== undefined && node.key !== key)
		node = key < node.key ? node.left : node.right;
	if (node !== undefined)
		for (const r of runsOf(node.value, page, page)) yield r.pfn;
}

/** ACCESS_RW: through a kernel buffer; the fast path copies like the process itself, the slow one through pins. */
function accessReadWrite(c: Incoming): Reply {
	const flags = c.in.num("flags");
	const length = c.in.big("length");
	const uptr = c.in.big("uptr");
	const write = (flags & RW_WRITE) !== 0;
	if (length > BUFFER_MAX) return refusal("ENOMEM");
	if ((flags & ~(RW_WRITE | RW_SLOW_PATH | SYZ)) !== 0)
		return refusal("EOPNOTSUPP");
	const on = onAccess(c);
	if (on === undefined) return refusal("EBADFD");
	const { access } = on;
	const { memory } = c.session;
	if (write && memory.touch(c.proc, uptr, length, false) !== undefined)
		return refusal("EFAULT");
	return run(on, (x) => {
		const iova = iovaOf(c, x, flags, lookUp(x, access, "access")?.ioas);
		const done = accessRw(x, access, iova, length, write, (pages, off, len) =>
			pages.mm === c.proc && (flags & RW_SLOW_PATH) === 0
				? memory.touch(c.proc, pages.uva + off, len, write)
				: copyRemote(memory, pages, off, len, write),
		);
		if (done.errno !== undefined || write) return done;
		const errno = memory.touch(c.proc, uptr, length, true);
		return errno === undefined ? done : refused(errno, "resp");
	});
}

/**
 * Copies pages of another process (pages.c:iopt_pages_rw_page, iopt_pages_rw_slow): one page alone is pinned for this copy as the access asks; several are
 * taken from the store or pinned as the map asked; of a process that is gone only what is held can be reached.
 */
function copyRemote(
	memory: UserMemory,
	pages: Pages,
	off: bigint,
	length: bigint,
	write: boolean,
): ErrnoName | undefined {
	const first = Number(off / PAGE_SIZE);
	const last = Number((off + length - 1n) / PAGE_SIZE);
	const pin = (page: number, asWritable: boolean): ErrnoName | undefined => {
		const va = pages.uva + BigInt(page) * PAGE_SIZE;
		const got = memory.pin(pages.mm, va, 1, asWritable);
		return "errno" in got ? got.errno : undefined;
	};
	if (first === last && memory.alive(pages.mm)) return pin(first, write);
	const held = new Set<number>();
	for (const r of runsOf(pages, first, last))
		for (let i = 0; i < r.n; i++) held.add(r.first + i);
	for (let page = first; page <= last; page++) {
		const errno = held.has(page) ? undefined : pin(page, pages.writable);
		if (errno !== undefined) return errno;
	}
	return undefined;
}

/** DIRTY: marks pages as a device would. */
function dirty(c: Incoming): Reply {
	const iova = c.in.big("iova");
	const length = c.in.big("length");
	const pageSize = c.in.big("page_size");
	const uptr = c.in.big("uptr");
	if (
		pageSize === 0n ||
		length === 0n ||
		iova % pageSize !== 0n ||
		length % pageSize !== 0n ||
		uptr === 0n
	)
		return refusal("EINVAL");
	if (length / pageSize > BigInt(BITS_MAX)) return refusal("EOVERFLOW");
	return run(c, (x) => {
		const h = pagingHwpt(x, c.in.num("id"));
		if (h === undefined) return refused("ENOENT", "hwpt");
		const note = c.record["in_bitmap"] as BitmapNote | null | undefined;
		const bytes = note ? bytesOf(note) : undefined;
		const bits = bytes && note ? [...setBits(bytes, note.nbits)] : [];
		const count = markDirty(x, h, iova, pageSize, bits);
		if (typeof count === "string") return refused(count, "dirty.on");
		if (bytes === undefined) return refused("EFAULT", "copy");
		return { out: { out_nr_dirty: hexless(count) } };
	});
}
const hexless = (n: number): bigint => BigInt(n);

function checkRefs(c: Incoming): Reply {
	const uptr = c.in.big("uptr");
	const length = c.in.big("length");
	const refs = c.in.num("refs");
	if (
		uptr % PAGE_SIZE !== 0n ||
		length % PAGE_SIZE !== 0n ||
		uptr + length > IOVA_LAST
	)
		return refusal("EINVAL");
	const { memory } = c.session;
	return run(c, (x) => {
		for (let at = 0n; at < length; at += PAGE_SIZE) {
			const frame = memory.frameAt(c.proc, uptr + at);
			if (typeof frame !== "number") return refused(frame.errno, "user");
			// The count of a compound page is not its own (iommufd_test_md_check_refs).
			if (memory.isHuge(c.proc, uptr + at)) continue;
			if (pinCount(x, frame) !== refs) return refused("EIO", "refs");
		}
		return {};
	});
}

function createAccess(c: Incoming): Reply {
	const answer = c.session.run(c.ctx, c.proc, (x) =>
		mockCreateAccess(x, c.in.num("id"), c.in.num("flags"), respondAlways),
	);
	if (answer.access === undefined) return replyOf(answer);
	const file = { kind: "access", ctx: c.ctx, obj: answer.access } as const;
	return replyOf({ out: { out_access_fd: c.session.openFile(file) } });
}

const HANDLERS: { readonly [op: string]: Handler } = {
	ADD_RESERVED: (c) =>
		run(c, (x) =>
			addReserved(x, c.in.num("id"), c.in.big("start"), c.in.big("length")),
		),
	MOCK_DOMAIN: (c) =>
		run(c, (x) => mockDomain(x, c.in.num("id"), 0, respondAlways)),
	MOCK_DOMAIN_FLAGS: (c) =>
		run(c, (x) =>
			mockDomain(
				x,
				c.in.num("id"),
				Number(c.in.big("dev_flags")),
				respondAlways,
			),
		),
	MOCK_DOMAIN_REPLACE: (c) =>
		replyOf(
			c.session.run(
				c.ctx,
				c.proc,
				(x) => mockReplace(x, c.in.num("id"), c.in.num("pt_id"), respondAlways),
				{ pt: c.in.num("pt_id") },
			),
		),
	MD_CHECK_MAP: (c) =>
		run(c, (x) =>
			checkMap(x, {
				hwptId: c.in.num("id"),
				iova: c.in.big("iova"),
				length: c.in.big("length"),
				uptr: c.in.big("uptr"),
				frameAt: (va) => c.session.memory.frameAt(c.proc, va),
			}),
		),
	MD_CHECK_REFS: checkRefs,
	MD_CHECK_IOTLB: (c) =>
		run(c, (x) =>
			checkIotlb(x, c.in.num("id"), c.in.num("iotlb_id"), c.in.num("iotlb")),
		),
	CREATE_ACCESS: createAccess,
	ACCESS_REPLACE_IOAS: (c) => {
		const on = onAccess(c);
		if (on === undefined) return refusal("EBADFD");
		return run(on, (x) => mockReplaceIoas(x, on.access, c.in.num("ioas_id")));
	},
	ACCESS_PAGES: accessPages,
	ACCESS_RW: accessReadWrite,
	DESTROY_ACCESS_PAGES: (c) => {
		const on = onAccess(c);
		if (on === undefined) return refusal("EBADFD");
		return run(on, (x) =>
			unpinItem(x, on.access, c.in.num("access_pages_id"))
				? {}
				: refused("ENOENT", "item"),
		);
	},
	SET_TEMP_MEMORY_LIMIT: (c) =>
		c.in.num("limit") < LIMIT_MIN ? refusal("EINVAL") : replyOf({}),
	DIRTY: dirty,
	TRIGGER_IOPF: (c) =>
		run(c, (x) => {
			const idev = lookUp(x, c.in.num("dev_id"), "idev");
			if (idev === undefined) return refused("ENOENT", "device");
			const pasid = c.in.num("pasid");
			reportFault(x, idev, {
				pasid,
				grpid: c.in.num("grpid"),
				perm: c.in.num("perm"),
				addr: c.in.big("addr"),
				flags:
					FAULT_FLAG.LAST_PAGE | (pasid === 0 ? 0 : FAULT_FLAG.PASID_VALID),
			});
			return {};
		}),
};

/** Runs one operation of IOMMU_TEST_CMD; an operation that the selftest does not know answers EOPNOTSUPP. */
export function testCall(op: string | null, c: Incoming): Reply {
	const handler =
		op !== null && Object.hasOwn(HANDLERS, op) ? HANDLERS[op] : undefined;
	return handler === undefined ? refusal("EOPNOTSUPP") : handler(c);
}
