/** Every command of facts pagetable-semantics.md §5.2, sent at full caches: what it must drop is gone, and nothing else. */
import { describe, expect, test } from "vitest";
import {
	alignedBlocks,
	amdFlush,
	COMMANDS,
	deviceFlush,
	smmuFlush,
	vtdFlush,
	type CommandRow,
} from "../../src/iotlb/commands.ts";
import { spacesOf } from "../../src/iotlb/state.ts";
import { UNIT } from "../world/build.ts";
import { D, Exact, page, pointer } from "./exact.ts";

/** Stale: pages 1 and 513, the tables that held them, the context entry of 0x100; with `device`, in the device's TLB instead of the IOTLB. */
function fullCaches(device: boolean): Exact {
	const log = new Exact({
		hardware: ["walk", "cacheLeaf", "cacheDirectory", "cacheDevice"],
	});
	for (const [i, table] of [4, 5].entries()) {
		log.table(table, 1);
		log.write(table, 1, page(100 + i));
		log.write(3, i, pointer(table));
	}
	for (const [i, table] of [4, 5].entries()) {
		log.write(table, 1, 0);
		log.write(3, i, 0);
	}
	if (device) log.flush({});
	log.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
	return log;
}

interface Left {
	readonly leaf: readonly number[];
	readonly walk: readonly number[];
	readonly device: readonly number[];
	readonly context: number;
}
function left(log: Exact): Left {
	const entries = spacesOf(log.world.iotlb, D).flatMap((space) => [
		...(space.walks?.entries.values() ?? []),
	]);
	const starts = (kind: string) =>
		[
			...new Set(entries.filter((e) => e.kind === kind).map((e) => e.start)),
		].sort((a, b) => a - b);
	return {
		leaf: starts("leaf"),
		walk: starts("directory"),
		device: starts("device"),
		context: log.world.iotlb.units.get(UNIT)?.staleContexts.length ?? 0,
	};
}

/** A command of this kind, for the range of page 1 where it has one. */
const fieldsOf = ({ kind, gran, ih, ttl, stage, pasid }: CommandRow) => ({
	kind,
	gran,
	...(gran === "page" ? { addr: 0x1000, mask: 0 } : {}),
	...(gran === "device" ? { sid: 0x100 } : {}),
	...(ih === true ? { ih } : {}),
	...(ttl === true ? { ttl: 3 } : {}),
	...(stage === undefined ? {} : { stage }),
	...(pasid === true ? { pasid: 0 } : {}),
});
const remaining = (
	before: readonly number[],
	drops: string,
	inRange: number,
): readonly number[] =>
	drops === "none"
		? before
		: drops === "range" || drops === "level"
			? before.filter((one) => one !== inRange)
			: [];

describe.each(
	COMMANDS.map(
		(command) => [`${command.driver} ${command.name}`, command] as const,
	),
)("%s", (_, command) => {
	const { drops } = command;
	test("drops what the table says", () => {
		const log = fullCaches(drops.device !== "none");
		const before = left(log);
		expect(drops.device === "none" ? before.leaf : before.device).toEqual([
			1, 513,
		]);
		if (drops.device === "none") expect(before.walk).toEqual([0, 512]);
		log.flush(fieldsOf(command));
		const after = left(log);
		expect(after.leaf).toEqual(remaining(before.leaf, drops.leaf, 1));
		expect(after.walk).toEqual(remaining(before.walk, drops.walk, 0));
		if (drops.device !== "none") expect(after.device).toEqual([513]);
		expect(after.context).toBe(drops.context === "none" ? 1 : 0);
	});
	test("changes nothing while it is only queued", () => {
		const log = fullCaches(drops.device !== "none");
		const before = left(log);
		log.issue(fieldsOf(command));
		expect(left(log)).toEqual(before);
	});
});

test("a TTL that names another level leaves the entry, unless the hardware ignores it", () => {
	for (const [tlbiTTL, gone] of [
		["honoured", false],
		["ignored", true],
	] as const) {
		const log = new Exact({ tlbiTTL });
		log.table(4, 1);
		log.write(4, 1, page(100));
		log.write(3, 0, pointer(4));
		log.write(4, 1, 0);
		log.flush({ gran: "page", addr: 0x1000, mask: 0, ih: true, ttl: 2 });
		expect(left(log).leaf).toEqual(gone ? [] : [1]);
	}
});

describe("commands for a range", () => {
	const covers = (
		commands: ReturnType<typeof vtdFlush>,
		start: number,
		last: number,
	): boolean =>
		commands.some(({ all }) => all) ||
		Array.from({ length: last - start + 1 }, (_, i) => start + i).every(
			(frame) =>
				commands.some(
					(one) => frame >= one.start && frame < one.start + 2 ** one.mask,
				),
		);
	test.each([
		[5, 5],
		[3, 4],
		[7, 300],
		[511, 512],
		[1024, 2047],
	])("%i to %i", (start, last) => {
		const range = { start, last };
		expect(covers(vtdFlush(range, false), start, last)).toBe(true);
		expect(covers(amdFlush(range), start, last)).toBe(true);
		expect(covers(smmuFlush(range, 1, true, 0), start, last)).toBe(true);
		expect(covers(deviceFlush(range), start, last)).toBe(true);
	});
	test("an empty gather: VT-d and AMD flush everything, SMMUv3 nothing (facts §4.2)", () => {
		expect(vtdFlush(undefined, true)).toMatchObject([{ all: true, ih: false }]);
		expect(amdFlush(undefined)).toMatchObject([{ all: true }]);
		expect(smmuFlush(undefined, 1, true, 0)).toEqual([]);
	});
	test("blocks are naturally aligned and as few as can be", () => {
		expect(alignedBlocks(3, 6)).toEqual([
			{ start: 3, mask: 0 },
			{ start: 4, mask: 2 },
			{ start: 8, mask: 0 },
		]);
	});
});
