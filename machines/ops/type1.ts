/**
 * Legacy VFIO containers: groups join, SET_IOMMU chooses the type, domains come and go (drivers/vfio/container.c, vfio_iommu_type1.c).
 * Facts: iommufd-semantics.md §4.2 (group claim), §5.1, §5.5. DMA entries are type1-dma.ts.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import type { DomainId, GroupId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { IOVA_LAST, type Range, recordRange } from "../iopt.ts";
import { switchGroup } from "./core-switch.ts";
import { freeDomain, makeDomain } from "./domains.ts";
import { driverOf } from "./entities.ts";
import type { Exec } from "./exec.ts";
import {
	domainOf,
	EOK,
	emit,
	groupOf,
	putDomain,
	putGroup,
	refused,
} from "./exec.ts";
import {
	dropEntries,
	mapEntryInto,
	type1Entries,
	unmapWhole,
} from "./type1-dma.ts";
import type { Answer, Container, DmaEntry, VfioDomain } from "./types.ts";

/** Default number of DMA entries (module parameter dma_entry_limit). */
export const ENTRY_LIMIT = 65535;

/** The container of the operation. */
export function containerOf(x: Exec): Container {
	const c = x.host.containers.get(x.ctx);
	if (c === undefined) throw new Error(`${x.ctx} is not an open container`);
	return c;
}
/** Replaces it. */
export function putContainer(x: Exec, c: Container): void {
	x.host = { ...x.host, containers: new Map(x.host.containers).set(c.name, c) };
}

/** Opens a container. */
export function openContainer(x: Exec): void {
	putContainer(x, {
		name: x.ctx,
		groups: [],
		domains: [],
		dma: undefined,
		entries: 0,
		avail: ENTRY_LIMIT,
	});
	emit(x, fact("ctx.opened", x.ctx, { ctx: x.ctx, kind: "type1" }));
}

/** VFIO_GROUP_SET_CONTAINER: claims the whole group, EPERM when it has an owner; attaches when an IOMMU type is set. */
export function setContainer(x: Exec, group: GroupId): Answer {
	const c = containerOf(x);
	// In a container is in a container, this one or another (drivers/vfio/group.c:vfio_group_ioctl_set_container).
	for (const other of x.host.containers.values())
		if (other.groups.includes(group))
			return refused("EINVAL", "group.container");
	const claimed = claimGroup(x, group);
	if (claimed !== undefined) return refused(claimed, "group.claim");
	if (c.v2 !== undefined) {
		const errno = attachGroup(x, group);
		if (errno !== undefined) {
			releaseGroup(x, group);
			return refused(errno, "group.attach");
		}
	}
	const now = containerOf(x);
	putContainer(x, { ...now, groups: [...now.groups, group] });
	return EOK;
}

/** VFIO_GROUP_UNSET_CONTAINER, and what closing a group file does. */
export function unsetContainer(x: Exec, group: GroupId): Answer {
	const c = containerOf(x);
	if (!c.groups.includes(group)) return refused("EINVAL", "group.container");
	if (c.v2 !== undefined) detachGroup(x, group);
	releaseGroup(x, group);
	const now = containerOf(x);
	const groups = now.groups.filter((g) => g !== group);
	if (groups.length > 0) putContainer(x, { ...now, groups });
	else {
		// The last group takes the IOMMU driver with it (container.c:vfio_group_detach_container).
		const { v2: _, nesting: __, ranges: ___, ...rest } = now;
		putContainer(x, { ...rest, groups });
	}
	return EOK;
}

/** Numbers of include/uapi/linux/vfio.h. */
const TYPE1 = 1;
const TYPE1_NESTING = 6;
const TYPES = [TYPE1, 3, TYPE1_NESTING];
/** An extension that CHECK_EXTENSION knows and that is no type: the driver is asked to open it, and refuses (vfio_iommu_type1_open). */
const UNMAP_ALL = 9;

/** VFIO_SET_IOMMU: once, and only with a group in the container. No driver knows the number: ENODEV (container.c:vfio_ioctl_set_iommu). */
export function setType(x: Exec, type: number): Answer {
	const c = containerOf(x);
	if (c.groups.length === 0 || c.v2 !== undefined)
		return refused("EINVAL", "type");
	if (!TYPES.includes(type))
		return refused(type === UNMAP_ALL ? "EINVAL" : "ENODEV", "type");
	const nesting = type === TYPE1_NESTING;
	putContainer(x, { ...c, v2: type !== TYPE1, nesting });
	const version = type === TYPE1 ? "v1" : "v2";
	emit(
		x,
		fact("type1.created", x.ctx, { ctx: x.ctx, version, limit: ENTRY_LIMIT }),
	);
	for (const [i, group] of c.groups.entries()) {
		const errno = attachGroup(x, group);
		if (errno === undefined) continue;
		for (const done of c.groups.slice(0, i)) detachGroup(x, done);
		putContainer(x, c);
		return refused(errno, "group.attach");
	}
	return EOK;
}

function claimGroup(x: Exec, group: GroupId): ErrnoName | undefined {
	const g = groupOf(x, group);
	if (g.ocnt > 0) return "EPERM";
	if (g.dom !== g.def || Object.keys(g.handles).length > 0) return "EBUSY";
	const blk = g.blk ?? makeBlocking(x, group);
	const errno = switchGroup(x, group, { how: "block", dom: blk });
	if (errno !== undefined) return errno;
	putGroup(x, { ...groupOf(x, group), owner: x.ctx, ocnt: 1 });
	emit(x, fact("grp.owner.claimed", group, { group, owner: x.ctx, ocnt: 1 }));
	return undefined;
}

function makeBlocking(x: Exec, group: GroupId): DomainId {
	const dom = makeDomain(x, "core", {
		kind: "blocked",
		pgsizes: 0n,
		apertureStart: 0n,
		apertureLast: IOVA_LAST,
		nest: false,
		dirty: false,
		priv: {},
	});
	putGroup(x, { ...groupOf(x, group), blk: dom });
	emit(x, fact("grp.blocking.set", group, { group, dom }));
	return dom;
}

function releaseGroup(x: Exec, group: GroupId): void {
	const { owner: _, ...g } = groupOf(x, group);
	putGroup(x, { ...g, ocnt: 0 });
	emit(x, fact("grp.owner.released", group, { group, ocnt: 0 }));
	switchGroup(x, group, { how: "release", dom: g.def });
}

const meets = (a: Range, b: Range): boolean =>
	a.start <= b.last && a.last >= b.start;
/** Takes `cut` out of ascending ranges. */
function without(ranges: readonly Range[], cut: Range): Range[] {
	return ranges.flatMap((r) => {
		if (!meets(r, cut)) return [r];
		const parts: Range[] = [];
		if (r.start < cut.start)
			parts.push({ start: r.start, last: cut.start - 1n });
		if (r.last > cut.last) parts.push({ start: cut.last + 1n, last: r.last });
		return parts;
	});
}

/** What user space may map: every domain's aperture without the regions of every member of its groups. */
function usable(x: Exec, domains: readonly VfioDomain[]): Range[] {
	let ranges: Range[] = [{ start: 0n, last: IOVA_LAST }];
	for (const d of domains) {
		const { apertureStart, apertureLast } = domainOf(x, d.dom);
		if (apertureStart > 0n)
			ranges = without(ranges, { start: 0n, last: apertureStart - 1n });
		if (apertureLast < IOVA_LAST)
			ranges = without(ranges, { start: apertureLast + 1n, last: IOVA_LAST });
		for (const group of d.groups)
			for (const dev of groupOf(x, group).members)
				for (const r of driverOf(x, dev).dev.resv) ranges = without(ranges, r);
	}
	return ranges;
}

const entryRange = (e: { iova: bigint; size: bigint }): Range => ({
	start: e.iova,
	last: e.iova + e.size - 1n,
});

/** Drivers with domain op enable_nesting (iommu.c:iommu_enable_nesting; of ours only arm-smmu-v3 has it in 6.12). */
const NESTING_DRIVERS: ReadonlySet<string> = new Set(["smmu-v3"]);

/** Attaches a group: a new domain, checks, then either joins an equal domain or replays all entries (facts §5.5). */
function attachGroup(x: Exec, group: GroupId): ErrnoName | undefined {
	const c = containerOf(x);
	if (c.domains.some((d) => d.groups.includes(group))) return "EINVAL";
	const head = groupOf(x, group).members[0];
	if (head === undefined) return "ENODEV";
	const { dev, ops } = driverOf(x, head);
	const spec = ops.allocPaging(dev, 0, { type: 0, length: 0 });
	if ("errno" in spec) return spec.errno;
	const dom = makeDomain(x, ops.name, spec);
	if (c.nesting === true && !NESTING_DRIVERS.has(ops.name)) {
		freeDomain(x, dom, true);
		return "EINVAL";
	}
	const refusedBy = switchGroup(x, group, { how: "attach", dom });
	if (refusedBy !== undefined) {
		freeDomain(x, dom, true);
		return refusedBy;
	}
	const fail = (errno: ErrnoName): ErrnoName => {
		switchGroup(x, group, { how: "detach" });
		freeDomain(x, dom, true);
		return errno;
	};
	const cc = ops.enforcesCoherency(dev);
	const joined: VfioDomain = { dom, groups: [group], fgsp: false, cc };
	const ranges = usable(x, [...c.domains, joined]);
	const entries = type1Entries(c);
	const fits = (e: Range): boolean =>
		ranges.some((r) => r.start <= e.start && r.last >= e.last);
	if (!entries.every((e) => fits(entryRange(e)))) return fail("EINVAL");
	if (ranges.length === 0) return fail("EINVAL");
	if (
		!groupOf(x, group).members.every((m) =>
			driverOf(x, m).ops.isolatedMsi(driverOf(x, m).dev),
		)
	)
		return fail("EPERM");
	if (cc) {
		putDomain(x, { ...domainOf(x, dom), cc });
		emit(x, fact("dom.cc.set", dom, { dom }));
	}
	const shared = shareDomain(x, c, group, joined, ranges);
	if (shared === "yes") return undefined;
	if (shared === "no") return addDomain(x, joined, ranges, fail);
	freeDomain(x, dom, true);
	return shared;
}

/** Tries the domains that are there already: same driver, same coherency. An errno when the group cannot go back to its own. */
function shareDomain(
	x: Exec,
	c: Container,
	group: GroupId,
	fresh: VfioDomain,
	ranges: readonly Range[],
): "yes" | "no" | ErrnoName {
	for (const [i, d] of c.domains.entries()) {
		if (d.cc !== fresh.cc) continue;
		if (domainOf(x, d.dom).driver !== domainOf(x, fresh.dom).driver) continue;
		switchGroup(x, group, { how: "detach" });
		if (switchGroup(x, group, { how: "attach", dom: d.dom }) === undefined) {
			freeDomain(x, fresh.dom, true);
			const domains = c.domains.map((o, k) =>
				k === i ? { ...o, groups: [...o.groups, group] } : o,
			);
			putContainer(x, { ...c, domains, ranges });
			setRanges(x, ranges);
			return "yes";
		}
		const stranded = switchGroup(x, group, { how: "attach", dom: fresh.dom });
		if (stranded !== undefined) return stranded;
	}
	return "no";
}

function addDomain(
	x: Exec,
	d: VfioDomain,
	ranges: readonly Range[],
	fail: (errno: ErrnoName) => ErrnoName,
): ErrnoName | undefined {
	const fgsp = probeFgsp(x, d.dom, ranges);
	const replayed: DmaEntry[] = [];
	for (const e of type1Entries(containerOf(x))) {
		const errno = mapEntryInto(x, e, d.dom);
		if (errno !== undefined) {
			// vfio_iommu_replay unmaps backwards what it has mapped.
			for (const done of replayed.reverse()) unmapWhole(x, done, d, true);
			return fail(errno);
		}
		replayed.push(e);
	}
	const c = containerOf(x);
	// The newest stands first in the kernel's list: it is the one that unmaps in chunks.
	putContainer(x, { ...c, domains: [{ ...d, fgsp }, ...c.domains], ranges });
	emit(x, fact("type1.domain.added", x.ctx, { ctx: x.ctx, dom: d.dom, fgsp }));
	setRanges(x, ranges);
	return undefined;
}

const setRanges = (x: Exec, ranges: readonly Range[]): void =>
	emit(
		x,
		fact("type1.ranges.set", x.ctx, {
			ctx: x.ctx,
			ranges: ranges.map(recordRange),
		}),
	);

const TWO_PAGES = 8192n;
/** vfio_test_domain_fgsp: maps two pages in the first usable hole, unmaps one; more came back = leaves of any power of two. */
function probeFgsp(x: Exec, dom: DomainId, ranges: readonly Range[]): boolean {
	const hole = ranges.find((r) => r.last - r.start >= TWO_PAGES - 1n);
	if (hole === undefined) return false;
	const start = (hole.start + TWO_PAGES - 1n) & ~(TWO_PAGES - 1n);
	const iova = u64(start);
	const len = Number(TWO_PAGES);
	const fgsp = (domainOf(x, dom).pgsizes & TWO_PAGES) !== 0n;
	emit(x, fact("dom.map", dom, { dom, iova, pa: 0, len, prot: 3 }));
	const first = fgsp ? len : len / 2;
	emit(x, fact("dom.unmap", dom, { dom, iova, len: len / 2, unmapped: first }));
	if (!fgsp) {
		const rest = u64(start + TWO_PAGES / 2n);
		emit(
			x,
			fact("dom.unmap", dom, {
				dom,
				iova: rest,
				len: len / 2,
				unmapped: len / 2,
			}),
		);
	}
	return fgsp;
}

/** Detaches a group; its domain goes with its last group, all entries with the last domain. */
function detachGroup(x: Exec, group: GroupId): void {
	const c = containerOf(x);
	const d = c.domains.find((o) => o.groups.includes(group));
	if (d === undefined) return;
	switchGroup(x, group, { how: "detach" });
	const groups = d.groups.filter((g) => g !== group);
	if (groups.length > 0) {
		const domains = c.domains.map((o) => (o === d ? { ...o, groups } : o));
		putContainer(x, { ...c, domains });
	} else {
		if (c.domains.length === 1) dropEntries(x);
		const now = containerOf(x);
		const domains = now.domains.filter((o) => o.dom !== d.dom);
		putContainer(x, { ...now, domains });
		freeDomain(x, d.dom, false);
		emit(x, fact("type1.domain.removed", x.ctx, { ctx: x.ctx, dom: d.dom }));
	}
	const now = containerOf(x);
	const ranges = usable(x, now.domains);
	putContainer(x, { ...now, ranges });
	setRanges(x, ranges);
}

/** The last close of a container file: groups must be out; what is left of it goes. */
export function closeContainer(x: Exec): void {
	for (const group of containerOf(x).groups) unsetContainer(x, group);
	const containers = new Map(x.host.containers);
	containers.delete(x.ctx);
	x.host = { ...x.host, containers };
	emit(x, fact("ctx.closed", x.ctx, { ctx: x.ctx }));
}
