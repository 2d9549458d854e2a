/** Records of page tables that no kernel would write, in any order: they are judged, never a crash, and in bounded time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { verifyRecords } from "../../src/replay/verify.ts";
import {
	fact,
	type Fact,
	type LogRecord,
} from "../../src/vocabulary/records.ts";
import { DEV1, header, UNIT } from "../world/build.ts";

const dom = "domain:3" as const;
const table = fc.nat(6);
const slot = fc.oneof(fc.nat(3), fc.constantFrom(511, 512, 131_071, 2 ** 40));
const level = fc.constantFrom(0, 1, 2, 3, 4, 9, 1000);
const word = fc.oneof(
	fc.nat(6).map((t) => t * 4096 + 3),
	fc.constantFrom(
		0,
		3,
		0x83,
		0xffff_ffff_ffff_ffffn,
		2n ** 60n + 3n,
		2 ** 53 - 1,
	),
);
const iova = fc.constantFrom(
	0,
	4096,
	0x20_0000,
	2 ** 47,
	0xffff_ffff_ffff_f000n,
);
const some = <T>(arbitrary: fc.Arbitrary<T>) =>
	fc.option(arbitrary, { nil: undefined });
const record = <T extends object>(fields: T): T =>
	Object.fromEntries(
		Object.entries(fields).filter(([, v]) => v !== undefined),
	) as T;

const anything: fc.Arbitrary<Fact> = fc.oneof(
	fc
		.record({
			table,
			levels: level,
			format: some(
				fc.constantFrom(
					"vtd",
					"amd_v1",
					"amd_v2",
					"arm64_s1",
					"arm_v7s",
					"nonsense",
				),
			),
		})
		.map((f) => fact("table.rooted", dom, record({ dom, ...f }) as never)),
	fc
		.record({
			table,
			level,
			pa: some(iova),
			slots: some(fc.constantFrom(0, 1, 512, 2 ** 50)),
		})
		.map((f) => fact("table.allocated", dom, record({ dom, ...f }) as never)),
	fc
		.record({
			table,
			slot,
			word,
			n: some(fc.constantFrom(0, 1, 512, 10_000)),
			stride: some(fc.constantFrom(0, 4096)),
			cas: some(fc.boolean()),
			assumes: some(fc.constantFrom("empty", "full", "?")),
		})
		.map((f) => fact("slot.written", dom, record({ dom, ...f }) as never)),
	fc
		.record({
			table,
			slot,
			n: some(fc.nat(600)),
			assumes: some(fc.constantFrom("empty", "full")),
		})
		.map((f) => fact("slot.cleared", dom, record({ dom, ...f }) as never)),
	table.map((t) => fact("table.freed", dom, { dom, table: t })),
	table.map((t) => fact("table.unlinked", dom, { dom, table: t })),
	table.map((t) =>
		fact("table.linked", dom, { dom, table: t, parent: 1, slot: 0 }),
	),
	fc.nat(3).map((t) => fact("reader.entered", dom, { dom, reader: t })),
	fc.nat(3).map((t) => fact("reader.exited", dom, { dom, reader: t })),
	iova.map((at) => fact("data.walked", dom, { dom, pa: at, slot: 0 })),
	iova.map((at) =>
		fact("dma.started", DEV1, { dev: DEV1, iova: at, len: 0x10_0000_0000 }),
	),
	iova.map((at) =>
		fact("dma.done", DEV1, {
			dev: DEV1,
			iova: at,
			len: 4096,
			write: true,
			outcome: "done",
		}),
	),
	fc.constant(fact("dirty.reported", dom, { dom })),
	fc
		.record({
			inv: fc.nat(5),
			kind: fc.constantFrom("iotlb", "devtlb", "walk", "context", "?"),
			gran: fc.constantFrom("page", "domain", "global", "?"),
			addr: some(iova),
			mask: some(fc.constantFrom(0, 9, 63)),
			ttl: some(fc.nat(5)),
			ih: some(fc.boolean()),
		})
		.map((f) =>
			fact("inv.issued", UNIT, record({ iommu: UNIT, did: 5, ...f }) as never),
		),
	fc.nat(5).map((inv) => fact("inv.completed", UNIT, { iommu: UNIT, inv })),
	fc
		.record({
			op: fc.constantFrom("iommu_map", "iommu_unmap", "iommu_iova_to_phys"),
			at: iova,
		})
		.map(({ op, at }) =>
			fact("op.begin", dom, {
				op,
				args: {
					dom,
					iova: `0x${at.toString(16)}`,
					len: "0xffffffffff000",
					pa: "zzz",
				},
			}),
		),
	fc
		.constantFrom({}, { result: { unmapped: "0x1000" } }, { result: [1, "x"] })
		.map((data) => fact("op.commit", dom, data as never)),
);

test("never a crash", () => {
	fc.assert(
		fc.property(fc.array(anything, { maxLength: 80 }), (facts) => {
			let open = 0;
			const start = [
				fact("did.assigned", UNIT, { iommu: UNIT, did: 5, dom }),
				fact("ctx.entry.set", UNIT, {
					iommu: UNIT,
					sid: 0x100,
					dom,
					did: 5,
					dev: DEV1,
				}),
				fact("hw.attach", DEV1, { dev: DEV1, dom }),
				fact("dirty.set", dom, { dom, on: true }),
				fact("table.rooted", dom, { dom, table: 1, levels: 4 }),
			];
			const records = [...start, ...facts].map(({ type, actor, data }, i) => {
				if (type === "op.begin") open = i + 1;
				return {
					seq: i + 1,
					t: i,
					type,
					actor,
					op: open,
					data,
				} as unknown as LogRecord;
			});
			const report = verifyRecords(
				header({ iommu: { strict: true, cachingMode: true, scalable: false } }),
				records,
			);
			expect(["holds", "violated", "unexplained"]).toContain(report.verdict);
		}),
		{ numRuns: 120 },
	);
});
