/** What devices keep in TLBs of their own, judged in logs of ranges: who is meant, and who is not. */
import { expect, test } from "vitest";
import { verifyRecords } from "../../src/replay/verify.ts";
import { cacheHeader, CacheWriter } from "../../src/scenarios/cache-writer.ts";
import { deviceId, domainId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";

const UNIT = "iommu:unit0" as const;
const WITH_ATS = deviceId("0000:01:00.0");
const WITHOUT = deviceId("0000:02:00.0");
const [A, B] = [domainId(1), domainId(2)];
const IOVA = 0x1000;
const BYTES = { iova: IOVA, len: 0x1000 } as const;
const devtlb = {
	kind: "devtlb",
	gran: "page",
	sid: 0x100,
	addr: IOVA,
	mask: 0,
} as const;
const iotlb = (did: number) =>
	({ kind: "iotlb", gran: "page", did, addr: IOVA, mask: 0 }) as const;

/** Two devices in two domains, a page in each; the first has ATS. */
class Two {
	readonly log = new CacheWriter();
	constructor() {
		const { log } = this;
		for (const [dom, did, sid, dev] of [
			[A, 1, 0x100, WITH_ATS],
			[B, 2, 0x200, WITHOUT],
		] as const) {
			log.add(fact("dom.created", dom, { dom, kind: "unmanaged" }));
			log.add(fact("did.assigned", UNIT, { iommu: UNIT, did, dom }));
			log.add(fact("ctx.entry.set", UNIT, { iommu: UNIT, sid, dom, did, dev }));
			log.add(fact("hw.attach", dev, { dev, dom }));
			log.add(fact("dom.map", dom, { dom, ...BYTES, pa: did * 0x100000 }));
		}
		log.flush([devtlb]);
	}
	unmap(dom: typeof A, queued = false): void {
		const lazy = queued ? ({ queued } as const) : {};
		this.log.add(
			fact("dom.unmap", dom, { dom, ...BYTES, unmapped: 0x1000, ...lazy }),
		);
	}
	synced(dom: typeof A): void {
		this.log.add(
			fact("iotlb.synced", dom, { dom, iova: IOVA, last: IOVA + 0xfff }),
		);
	}
	ids(): (readonly [string, string])[] {
		const { violations } = verifyRecords(
			cacheHeader({ driver: "vtd" }),
			this.log.records,
		);
		return violations.map(({ id, evidence }) => [id, evidence]);
	}
}

test("a device with ATS needs a flush of its own, after the IOTLB's", () => {
	for (const [commands, found] of [
		[[iotlb(1)], [["PT-32", "possible"]]],
		[[iotlb(1), devtlb], []],
		[[iotlb(1), { ...devtlb, sid: 0x108 }], [["PT-32", "possible"]]],
		[
			[devtlb, iotlb(1)],
			[
				["PT-41", "possible"],
				["PT-32", "possible"],
			],
		],
	] as const) {
		const two = new Two();
		two.unmap(A);
		two.log.flush(commands);
		two.synced(A);
		expect(two.ids()).toEqual(found);
	}
});

test("what the device does with it proves it", () => {
	const two = new Two();
	two.unmap(A);
	two.log.flush([iotlb(1)]);
	two.synced(A);
	two.log.add(
		fact("dma.done", WITH_ATS, {
			dev: WITH_ATS,
			...BYTES,
			write: true,
			outcome: "done",
		}),
	);
	expect(two.ids()).toEqual([["PT-32", "proven"]]);
});

test("a device without ATS, under another domain of the same unit, needs none", () => {
	const two = new Two();
	two.unmap(B);
	two.log.flush([iotlb(2)]);
	two.synced(B);
	expect(two.ids()).toEqual([]);
});

test("a flush of one device's TLB says nothing of what is under way in another's domain", () => {
	const two = new Two();
	two.unmap(A);
	two.unmap(B);
	two.log.flush([iotlb(1), devtlb]);
	two.synced(A);
	two.log.flush([iotlb(2)]);
	two.synced(B);
	expect(two.ids()).toEqual([]);
});

test("a lazy unmap may leave it open until the IOVA goes out again", () => {
	for (const [commands, found] of [
		[[iotlb(1)], [["PT-34", "possible"]]],
		[[iotlb(1), devtlb], []],
	] as const) {
		const two = new Two();
		two.unmap(A, true);
		two.log.add(
			fact("iotlb.synced", A, {
				dom: A,
				iova: IOVA,
				last: IOVA + 0xfff,
				queued: true,
			}),
		);
		two.log.flush(commands);
		two.log.add(fact("iova.freed", A, { dom: A, ...BYTES }));
		expect(two.ids()).toEqual(found);
	}
});
