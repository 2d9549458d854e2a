/**
 * IOMMU_TEST_CMD: mock devices, mock accesses and observations of the kernel's selftest
 * (drivers/iommu/iommufd/selftest.c; corpus page §4). Checks of arguments stand here, in the selftest's order.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { DeviceId, GroupId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { areaAt, IOVA_LAST, recordRange, reserveRegions } from "../iopt.ts";
import { PAGE_SIZE, pagesOf } from "../iopt-pages.ts";
import type { Tree } from "../iopt-tree.ts";
import { treeValues } from "../iopt-tree.ts";
import {
	attachAccess,
	createAccess,
	destroyAccess,
	replaceAccess,
} from "./access.ts";
import { removeDevice } from "./destroy.ts";
import { pagingHwpt } from "./dirty.ts";
import { groupFacts } from "./domains.ts";
import type { Exec } from "./exec.ts";
import {
	domainOf,
	EOK,
	emit,
	freeId,
	lookUp,
	nextOperation,
	objOf,
	publish,
	putGroup,
	putObj,
	refused,
	reserveId,
	settleIopt,
} from "./exec.ts";
import type { Respond } from "./ioas.ts";
import { attachByPt, bindDevice, unbindDevice } from "./transact.ts";
import type { Answer, Hwpt, Stdev } from "./types.ts";

/** Device flags of MOCK_DOMAIN_FLAGS. */
export const MOCK_FLAG = { NO_DIRTY: 1, HUGE_IOVA: 2 } as const;

/** Puts a new mock device into a group of its own. All mock devices share one static blocking domain. */
function addMockDevice(x: Exec, flags: number): DeviceId {
	const n = x.host.nextGroup;
	const group: GroupId = `group:${n}`;
	const dev: DeviceId = `device:mock${n}`;
	const dom = [...x.host.domains.values()].find(
		(d) => d.driver === "mock" && d.kind === "blocked",
	);
	if (dom === undefined) throw new Error("the mock's static domain is missing");
	const device = {
		dev,
		group,
		driver: "mock",
		resv: [],
		requireDirect: false,
		caps: { flags },
		hw: dom.dom,
	};
	x.host = {
		...x.host,
		nextGroup: n + 1,
		devs: new Map(x.host.devs).set(dev, device),
	};
	const { dom: def } = dom;
	const g = {
		group,
		members: [dev],
		def,
		blk: def,
		dom: def,
		ocnt: 0,
		handles: {},
	};
	putGroup(x, g);
	emit(x, ...groupFacts(g, [device]));
	return dev;
}

/** MOCK_DOMAIN, MOCK_DOMAIN_FLAGS: creates a device, binds it, attaches it. All or nothing. */
export function mockDomain(
	x: Exec,
	ptId: number,
	flags: number,
	respond: Respond,
): Answer {
	const injected = x.env.fail?.("object.alloc");
	if (injected !== undefined) return refused(injected, "object.alloc");
	const stdev = reserveId<Stdev>(x, "stdev", (base) => ({
		id: base.id,
		u: base.u,
		published: base.published,
		type: "stdev",
		idev: 0,
	}));
	const undoId = (answer: Answer): Answer => {
		freeId(x, stdev.id, true);
		return answer;
	};
	if ((flags & ~(MOCK_FLAG.NO_DIRTY | MOCK_FLAG.HUGE_IOVA)) !== 0)
		return undoId(refused("EINVAL", "flags"));
	const dev = addMockDevice(x, flags);
	nextOperation(x, "bind");
	const bound = bindDevice(x, dev);
	if (!("id" in bound)) {
		nextOperation(x, "unplug", bound);
		removeDevice(x, dev);
		return undoId({ ...bound, settled: true });
	}
	nextOperation(x, "attach", undefined, { pt: ptId });
	const attached = attachByPt(x, dev, ptId, "attach", respond);
	if (!("hwpt" in attached)) {
		nextOperation(x, "unbind", attached);
		unbindDevice(x, dev);
		removeDevice(x, dev);
		return undoId({ ...attached, settled: true });
	}
	putObj(x, { ...objOf(x, stdev.id, "stdev"), idev: bound.id });
	publish(x, stdev.id);
	return {
		out: {
			out_stdev_id: stdev.id,
			out_idev_id: bound.id,
			out_hwpt_id: attached.hwpt,
		},
	};
}

/** MOCK_DOMAIN_REPLACE; answers the hwpt in use. When that cannot be copied the device stays replaced. */
export function mockReplace(
	x: Exec,
	stdevId: number,
	ptId: number,
	respond: Respond,
): Answer {
	const stdev = lookUp(x, stdevId, "stdev");
	if (stdev === undefined) return refused("ENOENT", "stdev");
	const { dev } = objOf(x, stdev.idev, "idev");
	const done = attachByPt(x, dev, ptId, "replace");
	if (!("hwpt" in done)) return done;
	const errno = x.env.fail?.("resp") ?? respond();
	return errno === undefined
		? { out: { pt_id: done.hwpt } }
		: refused(errno, "resp");
}

/** ADD_RESERVED: a range that stays until the IOAS dies. */
export function addReserved(
	x: Exec,
	ioasId: number,
	start: bigint,
	length: bigint,
): Answer {
	if (length === 0n) return refused("EINVAL", "length");
	const last = start + length - 1n;
	if (last > IOVA_LAST) return refused("EOVERFLOW", "wrap");
	const ioas = lookUp(x, ioasId, "ioas");
	if (ioas === undefined) return refused("ENOENT", "ioas");
	const range = { start, last };
	const kept = ioas.iopt.resv;
	const probe = { ...ioas.iopt, resv: [] };
	const done = reserveRegions(probe, ioas.name, "host", [range], x.env);
	if (!done.ok) return refused(done.errno, done.step);
	const resv = [...kept, { ...range, owner: "host" as const }];
	settleIopt(x, ioas, { ok: true, iopt: { ...ioas.iopt, resv }, facts: [] });
	const ranges = [recordRange(range)];
	emit(
		x,
		fact("resv.added", ioas.name, { ioas: ioas.name, owner: "host", ranges }),
	);
	return EOK;
}

/** CREATE_ACCESS: makes an access and attaches it to an IOAS; the object id (never told) and what to undo with. */
export function mockCreateAccess(
	x: Exec,
	ioasId: number,
	flags: number,
	respond: Respond,
): Answer & { readonly access?: number } {
	if ((flags & ~1) !== 0) return refused("EOPNOTSUPP", "flags");
	const access = createAccess(x, flags === 1);
	if (access === undefined) return refused("ENOMEM", "object.alloc");
	const errno =
		attachAccess(x, access, ioasId) ?? x.env.fail?.("resp") ?? respond();
	if (errno === undefined) return { access: access.id };
	destroyAccess(x, access.id);
	return refused(errno, "access.attach");
}

/** ACCESS_REPLACE_IOAS. */
export function mockReplaceIoas(
	x: Exec,
	access: number,
	ioasId: number,
): Answer {
	const errno = replaceAccess(x, objOf(x, access, "access"), ioasId);
	return errno === undefined ? EOK : refused(errno, "access.replace");
}

/** What the page under a user address is: a physical page frame, or the errno of touching it. */
export type FrameAt = (va: bigint) => number | { readonly errno: ErrnoName };

/** MD_CHECK_MAP: every unit of the domain points at the page under `uptr`. An observation, no state. */
export function checkMap(
	x: Exec,
	args: {
		readonly hwptId: number;
		readonly iova: bigint;
		readonly length: bigint;
		readonly uptr: bigint;
		readonly frameAt: FrameAt;
	},
): Answer {
	const { iova, length, uptr } = args;
	const h = pagingHwpt(x, args.hwptId);
	const unit = MOCK_PAGE;
	if (iova % unit !== 0n || length % unit !== 0n || uptr % unit !== 0n)
		return refused("EINVAL", "alignment");
	if (uptr + length > IOVA_LAST) return refused("EINVAL", "wrap");
	if (h === undefined) return refused("ENOENT", "hwpt");
	for (let at = 0n; at < length; at += unit) {
		const frame = args.frameAt(uptr + at);
		if (typeof frame !== "number") return refused(frame.errno, "user");
		const pa = BigInt(frame) * PAGE_SIZE + ((uptr + at) & (PAGE_SIZE - 1n));
		if (translate(x, h, BigInt.asUintN(64, iova + at)) !== pa)
			return refused("EINVAL", "mismatch");
	}
	return EOK;
}
/** MOCK_IO_PAGE_SIZE: half a page. */
const MOCK_PAGE = 2048n;

/** Where a hwpt's domain translates an address to: the frames its IOAS holds (IOP-7). */
export function translate(x: Exec, h: Hwpt, iova: bigint): bigint | undefined {
	const { iopt } = objOf(x, h.ioas as number, "ioas");
	const area = areaAt(iopt, iova);
	if (area?.pages === undefined || area.sdom === undefined) return undefined;
	const byte = area.off + (iova - area.start);
	const page = Number(byte / PAGE_SIZE);
	const run = pagesOf(x.host.mem, area.pages).store.find(
		(r) => r.first <= page && page < r.first + r.n,
	);
	if (run === undefined) return undefined;
	return BigInt(run.pfn + page - run.first) * PAGE_SIZE + (byte % PAGE_SIZE);
}

/** How often each page of a frame list is pinned, over all contexts: once per pages object that holds it. */
export function pinCount(x: Exec, pfn: number): number {
	let count = 0;
	const pages: Tree<number, ReturnType<typeof pagesOf>> = x.host.mem.pages;
	for (const p of treeValues(pages))
		for (const run of p.store)
			if (run.pfn <= pfn && pfn < run.pfn + run.n) count++;
	return count;
}

/** MD_CHECK_IOTLB. */
export function checkIotlb(
	x: Exec,
	hwptId: number,
	index: number,
	value: number,
): Answer {
	const h = lookUp(x, hwptId, "hwpt");
	if (h === undefined) return refused("ENOENT", "hwpt");
	const dom = domainOf(x, h.dom);
	if (dom.kind !== "nested") return refused("ENOENT", "hwpt");
	if (index >= dom.iotlb.length || dom.iotlb[index] !== value)
		return refused("EINVAL", "mismatch");
	return EOK;
}
