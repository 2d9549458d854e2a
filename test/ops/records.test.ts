/** The records of each operation, in the order of facts/iommufd-semantics.md §2.17, undo records included. */
import { expect, test } from "vitest";
import { ioasCopy } from "../../machines/ops/map.ts";
import { respondAlways } from "../../machines/ops/ioas.ts";
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import { APERTURE, groupOf, K4, Kit, VA } from "./kit.ts";

/** Makes the n-th failable step with this name fail. */
function failing(k: Kit, name: string, n = 1): void {
	let left = n;
	k.s.fail = (step): ErrnoName | undefined =>
		step === name && --left === 0 ? "ENOMEM" : undefined;
}
/** An IOAS with two domains, one auto, one manual. */
function twoDomains() {
	const k = new Kit();
	const a = k.ioas();
	const d = k.mock(a) as { idev: number; stdev: number; hwpt: number };
	const h = k.hwpt(d.idev, a) as number;
	const doms = [d.hwpt, h].map((id) => k.hwptOf(id).dom);
	return { k, a, d, h, doms };
}
const UNMAP = ["dom.unmap", "iotlb.synced"];

test("map: claim, pin, every domain in order, live; unmap: every domain but the storage one first, flush before unpin", () => {
	const { k, a, doms } = twoDomains();
	k.map(a, APERTURE, 2n * K4);
	expect(k.types()).toEqual([
		"area.claimed",
		"pages.pinned",
		"dom.map",
		"dom.map",
		"area.live",
	]);
	expect(
		k.facts.flatMap((f) => (f.type === "dom.map" ? [f.data.dom] : [])),
	).toEqual(doms);
	k.unmap(a, APERTURE, 2n * K4);
	expect(k.types()).toEqual([
		"area.draining",
		...UNMAP,
		...UNMAP,
		"pages.unpinned",
		"area.gone",
		"pages.freed",
	]);
	expect(
		k.facts.flatMap((f) => (f.type === "dom.unmap" ? [f.data.dom] : [])),
	).toEqual([doms[1], doms[0]]);
});

test("a map that the second domain refuses is undone in the first, unpinned, and the area is gone", () => {
	const { k, a } = twoDomains();
	const before = k.ioasOf(a);
	failing(k, "dom.map", 2);
	expect(k.map(a, APERTURE, K4)).toBe("ENOMEM");
	expect(k.types()).toEqual([
		"area.claimed",
		"pages.pinned",
		"dom.map",
		...UNMAP,
		"pages.unpinned",
		"area.gone",
		"pages.freed",
	]);
	const undone = k.facts
		.filter((f) => (f.data as { undo?: boolean }).undo === true)
		.map((f) => f.type);
	expect(undone).toEqual(["dom.unmap", "pages.unpinned", "area.gone"]);
	expect(k.ioasOf(a)).toEqual(before);
});

test("copy of two adjoining areas: the second slice fails, both are undone", () => {
	const { k, a } = twoDomains();
	const source = k.ioas();
	k.map(source, APERTURE, K4);
	k.map(source, APERTURE + K4, K4, VA + 8n * K4);
	const args = {
		flags: 7,
		dstId: a,
		srcId: source,
		length: 2n * K4,
		dstIova: APERTURE,
		srcIova: APERTURE,
	};
	const copy = () =>
		k.run((x) => ioasCopy(x, { ...args, respond: respondAlways }));
	failing(k, "pages.pin", 2);
	expect(copy()).toMatchObject({ errno: "ENOMEM" });
	expect(
		k.types("ioas.copied.from", "area.claimed", "area.gone", "area.live"),
	).toEqual([
		"ioas.copied.from",
		"area.claimed",
		"area.claimed",
		"area.gone",
		"area.gone",
	]);
	k.s.fail = undefined;
	expect(copy().errno).toBeUndefined();
	expect(k.types("area.live")).toHaveLength(2);
	expect(k.s.host.mem.pages?.size).toBe(2);
});

test("HWPT_ALLOC fills before it is live; removal swaps with the tail and hands the storage on", () => {
	const { k, a, d, h, doms } = twoDomains();
	k.map(a, APERTURE, K4);
	const third = k.hwpt(d.idev, a) as number;
	expect(k.types()).toEqual([
		"hwpt.reserved",
		"obj.ref",
		"dom.created",
		"resv.added",
		"dom.map",
		"iopt.dom.added",
		"hwpt.live",
	]);
	const last = k.hwptOf(third).dom;
	k.replace(d.stdev, h);
	const removed = k.facts.find((f) => f.type === "iopt.dom.removed");
	expect(removed?.data).toMatchObject({ dom: doms[0], order: [last, doms[1]] });
	expect(k.types("hw.attach", "dom.unmap", "dom.freed", "obj.gone")).toEqual([
		"hw.attach",
		"dom.unmap",
		"dom.freed",
		"obj.gone",
	]);
	expect([...k.ioasOf(a).iopt.doms].map((x) => x.dom)).toEqual([last, doms[1]]);
	expect(k.ioasOf(a).iopt.areas?.value.sdom).toBe(last);
});

test("with large leaves off every core map is one page (batch_iommu_map_small)", () => {
	const { k, a } = twoDomains();
	k.hugePages(a, 0);
	k.map(a, APERTURE, 3n * K4);
	expect(k.types("dom.map")).toHaveLength(6);
});

test("attach of a group: reservation, one hw.attach a member, handle, list; a second device touches no hardware", () => {
	const k = new Kit(groupOf(2));
	const dev = k.bind("device:1") as number;
	k.bind("device:2");
	const h = k.hwpt(dev, k.ioas()) as number;
	k.attach("device:1", h);
	expect(k.types()).toEqual([
		"resv.added",
		"grp.handle.set",
		"hw.attach",
		"hw.attach",
		"grp.domain.set",
		"ig.hwpt.set",
		"obj.ref",
		"ig.list.add",
		"obj.ref",
		"dev.attached",
	]);
	k.attach("device:2", h);
	expect(k.types()).toEqual([
		"resv.added",
		"obj.ref",
		"ig.list.add",
		"obj.ref",
		"dev.attached",
	]);
});

test("every record of a mixed run fits the schema", () => {
	const seen: string[] = [];
	const k = new Kit(groupOf(3), (facts) => {
		for (const f of facts) {
			const problem = recordProblem({ seq: 1, t: 1, op: 0, ...f });
			if (problem !== undefined) seen.push(`${f.type}: ${problem}`);
		}
	});
	const dev = k.bind("device:1") as number;
	const [a, b] = [k.ioas(), k.ioas()];
	const h = k.hwpt(dev, a) as number;
	k.attach("device:1", h);
	k.map(a, APERTURE, 5n * K4);
	k.attach("device:1", b);
	k.detach("device:1");
	k.unmap(a, 0n, 0xffff_ffff_ffff_ffffn);
	k.mock(b);
	k.destroy(h);
	expect(seen).toEqual([]);
});
