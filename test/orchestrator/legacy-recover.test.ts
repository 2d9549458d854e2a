/**
 * Legacy containers come back: the state out of the records is the live one after every operation, with drivers that refuse too; a system that
 * is opened on any prefix of the log, within operations too, goes on to write the same log.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryStore } from "../../src/log/memory-store.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import type { Command } from "../../src/orchestrator/commands.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { firstDifference } from "../../src/orchestrator/redecide.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { MSI } from "../../src/scenarios/setting.ts";
import type { LogHeader, Topology } from "../../src/vocabulary/header.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { expectEqualAllAlong } from "./fold-compare.ts";

const dev = (group: number, fn: number) => deviceId(`0000:0${group}:00.${fn}`);
const topology: Topology = {
	known: "complete",
	groups: [
		[1, "vtd", 2],
		[2, "vtd", 1],
		[3, "amd-vi", 1],
		[4, "mock", 1],
	].map(([group, driver, n]) => ({
		group: groupId(group as number),
		driver: driver as string,
		members: Array.from({ length: n as number }, (_, i) => ({
			dev: dev(group as number, i),
			resv: driver === "mock" ? [] : [MSI],
		})),
	})),
};
const box = "ctx:1";
const iommufd = "ctx:2";
const START = [
	["containerOpen", {}],
	["open", {}],
] as const;
type Step = readonly [op: string, args: object];
const commandsOf = (steps: readonly Step[]): Command[] =>
	[...START, ...steps].map(([op, args]) => ({
		op,
		args,
	})) as unknown as Command[];

const boxes = fc.constantFrom(box, box, box, "ctx:3");
const group = fc.integer({ min: 1, max: 4 }).map(groupId);
const range = fc.constantFrom(
	{ iova: "0x100000", length: "0x4000" },
	{ iova: "0x104000", length: "0x1000" },
	{ iova: "0x102000", length: "0x1000" },
	{ iova: "0xfee00000", length: "0x1000" },
	{ iova: "0x200000", length: "0x200000" },
);
const one = (op: string, parts: { [name: string]: fc.Arbitrary<unknown> }) =>
	fc.record(parts).map((args) => [op, args] as Step);
const step: fc.Arbitrary<Step> = fc.oneof(
	{ weight: 4, arbitrary: one("groupSetContainer", { ctx: boxes, group }) },
	{ weight: 2, arbitrary: one("groupUnsetContainer", { ctx: boxes, group }) },
	{
		weight: 3,
		arbitrary: one("containerSetIommu", {
			ctx: boxes,
			version: fc.constantFrom("v1", "v2"),
		}),
	},
	{
		weight: 5,
		arbitrary: fc
			.record({ ctx: boxes, mm: fc.constantFrom(1, 2) })
			.chain((fixed) =>
				range.map(
					(where): Step => [
						"containerMap",
						{ ...fixed, ...where, va: "0x70000000", prot: 3 },
					],
				),
			),
	},
	{
		weight: 3,
		arbitrary: boxes.chain((ctx) =>
			fc
				.option(range, { nil: {} })
				.map((where): Step => ["containerUnmap", { ctx, ...where }]),
		),
	},
	one("containerClose", { ctx: boxes }),
	one("containerOpen", {}),
	// What iommufd does with the same groups meanwhile.
	group.chain((id) =>
		fc.constantFrom<Step[]>(
			["bind", { ctx: iommufd, dev: dev(Number(id.slice(6)), 0) }],
			["unbind", { ctx: iommufd, dev: dev(Number(id.slice(6)), 0) }],
		),
	),
);
const rule = fc.record({
	dev: fc.constantFrom(dev(1, 0), dev(1, 1), dev(2, 0), dev(3, 0)),
	to: fc.constantFrom("any", "domain:6", "domain:8", "blocking"),
	errno: fc.constantFrom("EINVAL", "ENOMEM"),
	when: fc.constantFrom("forward", "any"),
});

async function prefixStore(
	header: LogHeader,
	records: readonly LogRecord[],
): Promise<LogStore> {
	const store = memoryStore(header);
	await store.append(records as readonly TimedFact[]);
	return store;
}
/** Opens a system on the first `cut` records and gives it the commands that are not in them yet; what the log holds then. */
async function goneOn(
	header: LogHeader,
	records: readonly LogRecord[],
	cut: number,
): Promise<LogRecord[]> {
	const store = await prefixStore(header, records.slice(0, cut));
	const system = await createIommuSystem({
		store,
		engine: "compiled",
		onBroken: "start",
	});
	for (const { type, seq, data } of records) {
		if (type !== "op.begin" || seq <= cut) continue;
		const { op, args } = data as unknown as Command;
		await system.dispatch({ op, args } as Command);
	}
	await system.dispose();
	const all: LogRecord[] = [];
	for await (const batch of store.read(1)) all.push(...batch.records);
	return all;
}

const map = (iova: string, length: string, mm?: number): Step => [
	"containerMap",
	{ ctx: box, iova, length, va: "0x70000000", prot: 3, ...(mm && { mm }) },
];
/** Two groups that share a domain, one of another driver, entries with and without a domain to be in, groups that leave. */
const LONG: readonly Step[] = [
	["groupSetContainer", { ctx: box, group: groupId(1) }],
	["containerSetIommu", { ctx: box, version: "v2" }],
	map("0x100000", "0x4000"),
	map("0x200000", "0x200000", 2),
	["groupSetContainer", { ctx: box, group: groupId(2) }],
	["groupSetContainer", { ctx: box, group: groupId(3) }],
	map("0x500000", "0x1000"),
	["bind", { ctx: iommufd, dev: dev(4, 0) }],
	["bind", { ctx: iommufd, dev: dev(2, 0) }],
	["containerUnmap", { ctx: box, iova: "0x100000", length: "0x4000" }],
	["groupUnsetContainer", { ctx: box, group: groupId(1) }],
	["containerOpen", {}],
	["groupSetContainer", { ctx: "ctx:3", group: groupId(1) }],
	["containerSetIommu", { ctx: "ctx:3", version: "v1" }],
	["groupUnsetContainer", { ctx: box, group: groupId(3) }],
	["groupUnsetContainer", { ctx: box, group: groupId(2) }],
	["groupSetContainer", { ctx: box, group: groupId(2) }],
	["containerSetIommu", { ctx: box, version: "v1" }],
	map("0x100000", "0x2000"),
	["containerUnmap", { ctx: box }],
	["containerClose", { ctx: box }],
];

describe("legacy containers", () => {
	test("fold to the live state, and a crash at any record changes nothing", async () => {
		const header = runHeader(topology);
		const records = expectEqualAllAlong(header, commandsOf(LONG));
		expect(verifyRecords(header, records).violations).toEqual([]);
		for (let cut = 1; cut <= records.length; cut++) {
			const after = await goneOn(header, records, cut);
			expect({ cut, first: firstDifference(after, records) }).toEqual({
				cut,
				first: -1,
			});
		}
	});

	test("a driver that refuses is asked: the group stays outside, or does not get its type", () => {
		const to = [{ to: "any", errno: "ENOMEM", when: "forward" }];
		const refuse = to.map((one) => ({ ...one, dev: dev(1, 1) }));
		const header = runHeader(topology, { refuse });
		const records = expectEqualAllAlong(header, commandsOf(LONG.slice(0, 5)));
		const failed = records.flatMap(({ type, data }) =>
			type === "op.fail" ? [data as { errno: string; step: string }] : [],
		);
		expect(failed[0]).toEqual({ errno: "ENOMEM", step: "group.claim" });
		const later = runHeader(topology, {
			refuse: [{ ...refuse[0]!, dev: dev(2, 0), to: "domain:6" }],
		});
		const log = expectEqualAllAlong(later, commandsOf(LONG));
		expect(log.some(({ type }) => type === "hw.attach.failed")).toBe(true);
	});

	test("random calls, with drivers that refuse: the fold is the live state", () => {
		fc.assert(
			fc.property(
				fc.array(step, { minLength: 5, maxLength: 40 }),
				fc.array(rule, { maxLength: 2 }),
				(steps, refuse) => {
					expectEqualAllAlong(
						runHeader(topology, { refuse }),
						commandsOf(steps),
					);
				},
			),
			{ numRuns: 150 },
		);
	});

	test("random calls, cut anywhere: the next answers are the same", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { minLength: 5, maxLength: 30 }),
				fc.array(rule, { maxLength: 1 }),
				fc.nat(),
				async (steps, refuse, at) => {
					const header = runHeader(topology, { refuse });
					const records = expectEqualAllAlong(header, commandsOf(steps));
					const cut = 1 + (at % records.length);
					const after = await goneOn(header, records, cut);
					expect(firstDifference(after, records)).toBe(-1);
				},
			),
			{ numRuns: 60 },
		);
	});
});
