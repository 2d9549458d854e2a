/** Which context, PASID and CD entries a command takes; records that make and move tags, in any order. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { iotlbOf } from "../../src/inspector/model/iotlb.ts";
import { applyRecord } from "../../src/world/apply.ts";
import { snapshotWorld } from "../../src/world/create.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { TOPOLOGY, UNIT } from "../world/build.ts";
import { D, DID, Exact } from "./exact.ts";

const PASID = 7;
const SID = 0x100;

describe("context, PASID and CD entries", () => {
	const ENTRIES = [
		[SID, 0],
		[SID, PASID],
		[0x108, 0],
	] as const;
	/** What is left of the three after one command. */
	const left = (
		more: Partial<LogHeader>,
		fields: Parameters<Exact["issue"]>[0],
	): readonly (readonly number[])[] => {
		const log = new Exact({}, more);
		for (const [sid, pasid] of ENTRIES)
			log.add("ctx.entry.set", { iommu: UNIT, sid, pasid, dom: D, did: DID });
		for (const [sid, pasid] of ENTRIES)
			log.add("ctx.entry.cleared", { iommu: UNIT, sid, pasid });
		log.flush(fields);
		return (log.world.iotlb.units.get(UNIT)?.staleContexts ?? []).map(
			({ sid, pasid }) => [sid, pasid],
		);
	};
	const on = (driver: string, scalable = false): Partial<LogHeader> => ({
		iommu: { strict: true, cachingMode: false, scalable },
		topology: {
			...TOPOLOGY,
			groups: TOPOLOGY.groups.map((group) => ({ ...group, driver })),
		},
	});
	test.each([
		[
			"VT-d, PASID cache of PASID 7",
			on("vtd", true),
			{ kind: "pasid", gran: "pasid", pasid: PASID },
			[0, 2],
		],
		[
			"VT-d, the same as older imports spell it",
			on("vtd", true),
			{ kind: "pasid", gran: "device", pasid: PASID },
			[0, 2],
		],
		[
			"VT-d, PASID cache of PASID 0",
			on("vtd", true),
			{ kind: "pasid", gran: "pasid", pasid: 0 },
			[1],
		],
		[
			"VT-d, PASID cache of the domain",
			on("vtd", true),
			{ kind: "pasid", gran: "domain" },
			[],
		],
		[
			"VT-d, PASID cache of another domain",
			on("vtd", true),
			{ kind: "pasid", gran: "domain", did: 77 },
			[0, 1, 2],
		],
		[
			"VT-d, context cache in scalable mode",
			on("vtd", true),
			{ kind: "context", gran: "device", sid: SID },
			[0, 1, 2],
		],
		[
			"SMMUv3, CFGI_CD",
			on("smmu-v3"),
			{ kind: "pasid", gran: "pasid", did: undefined, sid: SID, pasid: PASID },
			[0, 2],
		],
		[
			"SMMUv3, CFGI_CD_ALL",
			on("smmu-v3"),
			{ kind: "pasid", gran: "device", did: undefined, sid: SID },
			[2],
		],
		[
			"SMMUv3, CFGI_STE",
			on("smmu-v3"),
			{ kind: "context", gran: "device", did: undefined, sid: SID },
			[2],
		],
		[
			"AMD, INVALIDATE_DEVTAB_ENTRY",
			on("amd-vi"),
			{ kind: "context", gran: "device", sid: SID },
			[1, 2],
		],
		[
			"AMD, all pages of PASID 7",
			on("amd-vi"),
			{ kind: "piotlb", gran: "pasid", pasid: PASID },
			[0, 2],
		],
		[
			"AMD, a page of PASID 7",
			on("amd-vi"),
			{ kind: "piotlb", gran: "page", pasid: PASID, addr: 0, mask: 0 },
			[0, 1, 2],
		],
	] as const)("%s", (_, more, fields, stay) => {
		expect(left(more, fields as never)).toEqual(stay.map((i) => ENTRIES[i]));
	});
});

describe("records of tags in any order", () => {
	const DOMS = ["domain:1", "domain:2", "domain:3"] as const;
	const dom = fc.constantFrom(...DOMS);
	const did = fc.nat(2);
	const pasid = fc.constantFrom(undefined, 0, 7);
	const sid = fc.constantFrom(0x100, 0x108);
	const page = fc.nat(3).map((at) => at * 4096);
	const given = <T extends object>(shape: T): T =>
		Object.fromEntries(
			Object.entries(shape).filter(([, value]) => value !== undefined),
		) as T;
	const record = fc.oneof(
		fc.record({ dom, parent: dom }).map((data) => ({
			type: "dom.created" as const,
			data: { ...data, kind: "nested" },
		})),
		fc.record({ dom, did }).map((data) => ({
			type: "did.assigned" as const,
			data: { ...data, iommu: UNIT },
		})),
		did.map((one) => ({
			type: "did.released" as const,
			data: { iommu: UNIT, did: one },
		})),
		fc
			.record({
				type: fc.constantFrom(
					"ctx.entry.setting",
					"ctx.entry.set",
					"ctx.entry.cleared",
				),
				data: fc.record({
					sid,
					pasid,
					dom,
					did: fc.option(did, { nil: undefined }),
				}),
			})
			.map(({ type, data }) => ({
				type,
				data: given({ iommu: UNIT, ...data }),
			})),
		fc
			.record({
				type: fc.constantFrom("tag.assigned", "tag.unassigned", "tag.flushed"),
				data: fc.record({ did, pasid, dom }),
			})
			.map(({ type, data }) => ({
				type,
				data: given({ iommu: UNIT, ...data }),
			})),
		fc.record({ dom, iova: page, out: fc.boolean() }).map(({ out, ...data }) =>
			out
				? {
						type: "dom.unmap" as const,
						data: { ...data, len: 4096, unmapped: 4096 },
					}
				: {
						type: "dom.map" as const,
						data: { ...data, len: 4096, pa: 0x100000 + data.iova },
					},
		),
		fc
			.record({
				kind: fc.constantFrom(
					"iotlb",
					"piotlb",
					"devtlb",
					"context",
					"pasid",
					"walk",
				),
				gran: fc.constantFrom("global", "domain", "pasid", "page", "device"),
				did: fc.option(did, { nil: undefined }),
				pasid,
				sid: fc.option(sid, { nil: undefined }),
				addr: page,
			})
			.map((data) => ({ type: "flush" as const, data: given(data) })),
	);
	test("no tag is lost or listed twice, and a copy goes on as the original", () => {
		fc.assert(
			fc.property(fc.array(record, { maxLength: 40 }), (records) => {
				const log = new Exact();
				let copied: ReturnType<typeof snapshotWorld> | undefined;
				const half = records.length >> 1;
				let from = 0;
				for (const [i, { type, data }] of records.entries()) {
					if (i === half) {
						copied = snapshotWorld(log.world);
						from = log.records.length;
					}
					if (type === "flush") log.flush(data as never);
					else log.add(type, data as never);
					const { byDomain, units } = log.world.iotlb;
					for (const unit of units.values())
						for (const [key, space] of unit.spaces) {
							expect(space.key).toBe(key);
							for (const one of new Set([space.dom, space.stage2 ?? space.dom]))
								expect(
									byDomain.get(one)?.filter((other) => other === space),
								).toHaveLength(1);
						}
					for (const [one, list] of byDomain)
						for (const space of list) {
							expect([space.dom, space.stage2]).toContain(one);
							expect(units.get(space.iommu)?.spaces.get(space.key)).toBe(space);
						}
				}
				if (copied === undefined) return;
				for (const one of log.records.slice(from)) applyRecord(copied, one);
				expect(iotlbOf(copied)).toEqual(iotlbOf(log.world));
			}),
			{ numRuns: 300 },
		);
	});
});
