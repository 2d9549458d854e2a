/** The may-analysis, rule by rule (facts pagetable §5): what may still be cached after each record. */
import { expect, test } from "vitest";
import { staleIn } from "../../src/iotlb/entries.ts";
import { applyRecord, fold } from "../../src/world/apply.ts";
import { createWorld, snapshotWorld } from "../../src/world/create.ts";
import { Builder, DEV1, header, UNIT } from "../world/build.ts";

const D = "domain:3" as const;
const tag = { iommu: UNIT, did: 5, dom: D } as const;

/** A domain with one mapped page at 0x1000 and, unless told otherwise, reachable by requester 0x100. */
function start(reach = true): Builder {
	const b = new Builder();
	b.add("dom.created", { dom: D, kind: "unmanaged" });
	b.add("did.assigned", tag);
	if (reach) b.add("ctx.entry.set", { ...tag, sid: 0x100, dev: DEV1 });
	b.add("dom.map", { dom: D, iova: 0x1000, pa: 0x9000, len: 0x4000 });
	return b;
}
const unmap = (b: Builder, iova = 0x1000, len = 0x1000): number =>
	b.add("dom.unmap", { dom: D, iova, len, unmapped: len });
interface Flush {
	readonly gran?: string;
	readonly did?: number;
	readonly addr?: number;
	readonly mask?: number;
	readonly ih?: boolean;
	readonly kind?: string;
}
const issue = (
	b: Builder,
	inv: number,
	{ kind = "iotlb", gran = "page", did = 5, ...more }: Flush = {},
): void =>
	void b.add("inv.issued", {
		iommu: UNIT,
		inv,
		kind,
		gran,
		did,
		...(gran === "page" && kind === "iotlb" ? { addr: 0x1000, mask: 0 } : {}),
		...more,
	});
const done = (b: Builder, inv: number): void =>
	void b.add("inv.completed", { iommu: UNIT, inv });
const flush = (b: Builder, inv: number, more?: Flush): void => {
	issue(b, inv, more);
	done(b, inv);
};
/** First frames of what may still be translated although memory no longer does. */
function stale(b: Builder): number[] {
	const { iotlb } = fold(header(), b.records);
	return staleIn(iotlb, D, 0, 2 ** 40, () => true).flatMap((one) =>
		one.parts.flatMap((part) =>
			Array.from({ length: part.n }, (_, i) => part.start + i),
		),
	);
}

test("an unmap leaves what was reachable, until a covering invalidation has completed", () => {
	const b = start();
	expect(stale(b)).toEqual([]);
	unmap(b);
	expect(stale(b)).toEqual([1]);
	issue(b, 1);
	expect(stale(b)).toEqual([1]);
	done(b, 1);
	expect(stale(b)).toEqual([]);
});

test("an invalidation issued before the unmap does not count, whenever it completes", () => {
	const b = start();
	issue(b, 1);
	unmap(b);
	done(b, 1);
	expect(stale(b)).toEqual([1]);
});

test.each([
	["a page of another domain id", { did: 6 }, [1]],
	["another page", { addr: 0x5000 }, [1]],
	["the page itself", {}, []],
	["a block that holds the page", { addr: 0, mask: 2 }, []],
	["the domain id", { gran: "domain" }, []],
	["another domain id", { gran: "domain", did: 6 }, [1]],
	["everything", { gran: "global", did: 99 }, []],
	["leaf entries only", { ih: true }, []],
	["a context entry", { kind: "context", gran: "device" }, [1]],
] as const)("invalidating %s", (_, more, left) => {
	const b = start();
	unmap(b);
	flush(b, 1, more);
	expect(stale(b)).toEqual(left);
});

test("a flush that covers a part leaves the rest", () => {
	const b = start();
	unmap(b, 0x1000, 0x4000);
	expect(stale(b)).toEqual([1, 2, 3, 4]);
	flush(b, 1, { addr: 0x2000, mask: 1 });
	expect(stale(b)).toEqual([1, 4]);
});

test("a domain that nobody reaches leaves nothing", () => {
	const b = start(false);
	unmap(b);
	expect(stale(b)).toEqual([]);
});

test("clearing the context entry does not drop what was cached; the domain's flush does", () => {
	const b = start();
	b.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
	unmap(b);
	expect(stale(b)).toEqual([1]);
	flush(b, 1, { gran: "domain" });
	expect(stale(b)).toEqual([]);
	unmap(b, 0x2000);
	expect(stale(b)).toEqual([]);
});

test("what was mapped after the entry was cleared cannot be cached", () => {
	const b = start();
	b.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
	b.add("dom.map", { dom: D, iova: 0x9000, pa: 0x8000, len: 0x1000 });
	unmap(b, 0x9000);
	expect(stale(b)).toEqual([]);
	unmap(b, 0x1000);
	expect(stale(b)).toEqual([1]);
});

test("a sibling that still reaches the domain keeps it cacheable across the domain's flush", () => {
	const b = start();
	b.add("ctx.entry.set", { ...tag, sid: 0x101 });
	b.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
	flush(b, 1, { gran: "domain" });
	unmap(b);
	expect(stale(b)).toEqual([1]);
});

test("an entry set before its domain id is told belongs to the id", () => {
	const b = new Builder();
	b.add("dom.created", { dom: D, kind: "unmanaged" });
	b.add("dom.map", { dom: D, iova: 0x1000, pa: 0x9000, len: 0x1000 });
	b.add("ctx.entry.set", { iommu: UNIT, sid: 0x100, dom: D });
	unmap(b);
	expect(stale(b)).toEqual([1]);
	b.add("tag.assigned", { ...tag, ref: 1 });
	expect(stale(b)).toEqual([1]);
	flush(b, 1);
	expect(stale(b)).toEqual([]);
});

test("where no context entry is ever logged, hw.attach tells who reaches what", () => {
	const b = start(false);
	b.add("hw.attach", { dev: DEV1, dom: D });
	unmap(b);
	expect(stale(b)).toEqual([1]);
	b.add("hw.attach", { dev: DEV1, dom: "domain:9" });
	flush(b, 1, { gran: "domain" });
	unmap(b, 0x2000);
	expect(stale(b)).toEqual([]);
});

test("a log that says nothing about caches says nothing about stale entries", () => {
	const b = new Builder();
	b.add("dom.created", { dom: D, kind: "unmanaged" });
	b.add("hw.attach", { dev: DEV1, dom: D });
	b.add("dom.map", { dom: D, iova: 0x1000, pa: 0x9000, len: 0x1000 });
	unmap(b);
	expect(stale(b)).toEqual([]);
	expect(fold(header(), b.records).iotlb.armed).toBe(false);
});

test("the windows: longest, and most bytes at one time", () => {
	const b = start();
	unmap(b, 0x1000);
	unmap(b, 0x2000, 0x2000);
	flush(b, 1, { gran: "domain" });
	const { windows } = fold(header(), b.records).iotlb;
	expect(windows).toMatchObject({
		count: 2,
		framesMax: 3,
		frames: 0,
		longestNs: 3000,
	});
});

test("a snapshot keeps its stale entries when the live projection drops them", () => {
	const b = start();
	unmap(b);
	const world = createWorld(header());
	for (const record of b.records) applyRecord(world, record);
	const before = snapshotWorld(world);
	const more = new Builder();
	flush(more, 1);
	for (const record of more.records)
		applyRecord(world, { ...record, seq: record.seq + 100 });
	expect(staleIn(world.iotlb, D, 0, 100, () => true)).toEqual([]);
	expect(staleIn(before.iotlb, D, 0, 100, () => true)).toHaveLength(1);
});
