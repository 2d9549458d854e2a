/**
 * Whose entries a command takes: the table of commands again, sent at one domain id with two PASIDs, at a nested domain, at devices of
 * several requesters. In logs of ranges and of entries.
 */
import { describe, expect, test } from "vitest";
import { COMMANDS, type CommandRow } from "../../src/iotlb/commands.ts";
import { spacesOf, type Space } from "../../src/iotlb/state.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { TOPOLOGY, UNIT } from "../world/build.ts";
import { D, DID, Exact, page, pointer } from "./exact.ts";

const P = "domain:8" as const;
const PASID = 7;
const SID = 0x100;

const headerFor = ({ driver, kind }: CommandRow): Partial<LogHeader> => ({
	iommu: { strict: true, cachingMode: false, scalable: kind === "pasid" },
	topology: {
		...TOPOLOGY,
		groups: TOPOLOGY.groups.map((group) => ({ ...group, driver })),
	},
});

/** The command for the first 2 MiB, or for what it names; where it names a PASID, for 7. */
const fieldsOf = ({ kind, gran, ih, ttl, stage, pasid }: CommandRow) => ({
	kind,
	gran,
	...(gran === "page" ? { addr: 0x1000, mask: 9 } : {}),
	...(kind === "context" || kind === "devtlb" || gran === "device"
		? { sid: SID }
		: {}),
	...(ih === true ? { ih } : {}),
	...(ttl === true ? { ttl: 3 } : {}),
	...(stage === undefined ? {} : { stage }),
	...(pasid === true ? { pasid: PASID } : {}),
});

/** First frames of leaves and tables that a tag still holds. */
interface Held {
	readonly leaf: readonly number[];
	readonly walk: readonly number[];
	readonly device: readonly number[];
}
function held(space: Space): Held {
	const entries = [...(space.walks?.entries.values() ?? [])];
	const of = (kind: string, ranges: readonly number[]): number[] =>
		[
			...new Set([
				...entries.filter((e) => e.kind === kind).map((e) => e.start),
				...ranges,
			]),
		].sort((a, b) => a - b);
	return {
		leaf: of(
			"leaf",
			space.stale.flatMap(({ parts }) => parts.map(({ start }) => start)),
		),
		walk: of(
			"directory",
			space.tables.map(({ start }) => start),
		),
		device: of(
			"device",
			space.device.map(({ start }) => start),
		),
	};
}

/** Pages 1 and 513 and the tables that held them are taken out of `dom`, whose table is logged entry by entry or by ranges. */
function takeOut(log: Exact, dom: typeof D | typeof P, exact: boolean): void {
	if (exact) {
		for (const [i, table] of [4, 5].entries()) {
			log.table(table, 1);
			log.write(table, 1, page(100 + i));
			log.write(3, i, pointer(table));
		}
		for (const [i, table] of [4, 5].entries()) {
			log.write(table, 1, 0);
			log.write(3, i, 0);
		}
		return;
	}
	for (const iova of [0x1000, 0x201000]) {
		log.add("dom.map", { dom, iova, pa: iova + 0x100000, len: 0x1000 });
		log.add("dom.unmap", { dom, iova, len: 0x1000, unmapped: 0x1000 });
		log.add("table.unlinked", { dom, table: iova, iova, level: 1 });
	}
}

const drops = (
	before: readonly number[],
	how: string,
	inRange: number,
): readonly number[] =>
	how === "none"
		? before
		: how === "range" || how === "level"
			? before.filter((one) => one !== inRange)
			: [];

const ROWS = COMMANDS.map(
	(command) => [`${command.driver} ${command.name}`, command] as const,
);

describe.each([
	["ranges", false],
	["entries", true],
] as const)("a domain id with two PASIDs, in a log of %s", (_, exact) => {
	test.each(ROWS)("%s", (_name, command) => {
		const { kind, pasid } = command;
		const log = new Exact(
			exact ? {} : { hardware: ["cacheLeaf", "cacheDirectory"] },
			headerFor(command),
		);
		const dom = exact ? D : P;
		const did = exact ? DID : 9;
		if (!exact) {
			log.add("dom.created", { dom: P, kind: "unmanaged" });
			log.add("did.assigned", { iommu: UNIT, did, dom: P });
		}
		for (const id of exact ? [PASID] : [0, PASID])
			log.add("ctx.entry.set", { iommu: UNIT, sid: SID, pasid: id, dom, did });
		if (kind === "devtlb") log.flush({ kind, gran: "page", sid: SID });
		takeOut(log, dom, exact);
		// What the device took over is what is left of interest then.
		if (kind === "devtlb") log.flush({ did });
		const spaces = spacesOf(log.world.iotlb, dom);
		expect(spaces.map((space) => space.pasid)).toEqual([0, PASID]);
		const before = spaces.map(held);
		log.flush({
			did,
			...fieldsOf(command),
			...(kind === "devtlb" ? { did: undefined } : {}),
		} as never);
		for (const [i, space] of spaces.entries()) {
			const was = before[i] as Held;
			const isMeant = pasid !== true || space.pasid === PASID;
			const how = (part: string): string => (isMeant ? part : "none");
			expect(was[kind === "devtlb" ? "device" : "leaf"]).toEqual([1, 513]);
			expect(held(space)).toEqual({
				leaf: drops(was.leaf, how(command.drops.leaf), 1),
				walk: drops(was.walk, how(command.drops.walk), 0),
				device: drops(was.device, how(command.drops.device), 1),
			});
		}
	});
});

describe.each([
	["ranges", false],
	["entries", true],
] as const)("a nested domain, its parent in a log of %s", (_, exact) => {
	test.each(ROWS)("%s", (_name, command) => {
		const { kind } = command;
		// The parent is D, logged entry by entry, or P.
		const log = new Exact({}, headerFor(command));
		const parent = exact ? D : P;
		const nested = "domain:9" as const;
		if (!exact) {
			log.add("dom.created", { dom: P, kind: "unmanaged", nest: true });
			log.add("did.assigned", { iommu: UNIT, did: 21, dom: P });
		}
		log.add("dom.created", { dom: nested, kind: "nested", parent });
		log.add("ctx.entry.set", { iommu: UNIT, sid: SID, dom: nested, did: 22 });
		takeOut(log, parent, exact);
		const spaces = spacesOf(log.world.iotlb, parent);
		const space = spaces.find(({ dom }) => dom === nested) as Space;
		const own = spaces.filter(({ dom }) => dom === parent).map(held);
		const before = held(space);
		expect(before).toEqual({ leaf: [1, 513], walk: [0, 512], device: [] });
		log.flush({
			did: 22,
			...fieldsOf(command),
			...(command.pasid === true ? { pasid: 0 } : {}),
			...(kind === "devtlb" ? { did: undefined } : {}),
		} as never);
		const after = held(space);
		expect(after.leaf).toEqual(drops(before.leaf, command.drops.combined, 1));
		// Pointers into the second stage go with what is not for the first alone.
		const isFirst = kind === "piotlb" || command.stage === 1;
		const walk = isFirst ? "none" : command.drops.walk;
		expect(after.walk).toEqual(drops(before.walk, walk, 0));
		// The parent's own entries have another id.
		if (command.gran !== "global")
			expect(spaces.filter(({ dom }) => dom === parent).map(held)).toEqual(own);
	});
});

test("a parent's own entries are second-stage ones: no command for first stages takes them", () => {
	for (const fields of [
		{ kind: "piotlb", gran: "pasid", pasid: 0 },
		{ kind: "iotlb", gran: "domain", stage: 1 },
	]) {
		const log = new Exact();
		log.add("dom.created", { dom: P, kind: "unmanaged", nest: true });
		log.add("ctx.entry.set", { iommu: UNIT, sid: SID, dom: P, did: 9 });
		takeOut(log, P, false);
		log.flush({ did: 9, ...fields });
		expect(spacesOf(log.world.iotlb, P).map((one) => held(one).leaf)).toEqual([
			[1, 513],
		]);
	}
});

test("a nested domain under its parent's id (a VMID) has a tag of its own, and hwpt.live names the parent, too", () => {
	const log = new Exact(
		{},
		headerFor(
			COMMANDS.find(({ driver }) => driver === "smmu-v3") as CommandRow,
		),
	);
	const nested = "domain:9" as const;
	log.add("dom.created", { dom: P, kind: "unmanaged" });
	log.add("hwpt.live", {
		hwpt: "ctx:1/hwpt:1@1",
		kind: "paging",
		dom: P,
		auto: false,
		nestParent: true,
	});
	log.add("hwpt.live", {
		hwpt: "ctx:1/hwpt:2@1",
		kind: "nested",
		dom: nested,
		parent: "ctx:1/hwpt:1@1",
		auto: false,
	});
	log.add("did.assigned", { iommu: UNIT, did: 9, dom: P });
	log.add("ctx.entry.set", { iommu: UNIT, sid: SID, dom: nested, did: 9 });
	log.add("ctx.entry.set", { iommu: UNIT, sid: 0x108, dom: P, did: 9 });
	takeOut(log, P, false);
	const tags = (): unknown =>
		spacesOf(log.world.iotlb, P).map((one) => [
			one.dom,
			one.did,
			held(one).leaf,
		]);
	expect(tags()).toEqual([
		[P, 9, [1, 513]],
		[nested, 9, [1, 513]],
	]);
	// arm-smmu-v3.c: TLBI S2_IPA takes the second stage's own entries only …
	log.flush({ did: 9, gran: "page", addr: 0x1000, mask: 0, stage: 2 });
	expect(tags()).toEqual([
		[P, 9, [513]],
		[nested, 9, [1, 513]],
	]);
	// … TLBI NH_ALL the rest.
	log.flush({ did: 9, stage: 1 });
	expect(tags()).toEqual([
		[P, 9, [513]],
		[nested, 9, []],
	]);
});

describe("devices", () => {
	/** Two devices with ATS under one domain, a range that both may have taken over. */
	function taken(): Exact {
		const log = new Exact();
		log.add("dom.created", { dom: P, kind: "unmanaged" });
		for (const sid of [SID, 0x108]) {
			log.add("ctx.entry.set", { iommu: UNIT, sid, dom: P, did: 9 });
			log.flush({ kind: "devtlb", gran: "page", did: undefined, sid } as never);
		}
		takeOut(log, P, false);
		log.flush({ did: 9 });
		return log;
	}
	const keepers = (log: Exact): number[] =>
		spacesOf(log.world.iotlb, P).flatMap(({ device }) =>
			device.map(({ sid }) => sid),
		);
	test("a command reaches the device it is sent to, and no other", () => {
		const log = taken();
		expect(keepers(log)).toEqual([SID, 0x108, SID, 0x108]);
		log.flush({
			kind: "devtlb",
			gran: "page",
			did: undefined,
			sid: SID,
		} as never);
		expect(keepers(log)).toEqual([0x108, 0x108]);
	});
	test("under a nested domain only a command for everything is sure to take what the second stage lost", () => {
		for (const [mask, stays] of [
			[20, true],
			[52, false],
		] as const) {
			const log = new Exact();
			log.add("dom.created", { dom: P, kind: "unmanaged" });
			log.add("dom.created", { dom: "domain:9", kind: "nested", parent: P });
			log.add("ctx.entry.set", {
				iommu: UNIT,
				sid: SID,
				dom: "domain:9",
				did: 9,
			});
			const flush = { kind: "devtlb", gran: "page", did: undefined, sid: SID };
			log.flush(flush as never);
			takeOut(log, P, false);
			log.flush({ did: 9 });
			expect(keepers(log)).toEqual([SID, SID]);
			log.flush({ ...flush, addr: 0, mask } as never);
			expect(keepers(log)).toEqual(stays ? [SID, SID] : []);
		}
	});
});

describe.each([
	["drops it where hardware looks for larger entries", true, [0, 1024]],
	["leaves it where it need not", false, [0, 512, 1024]],
] as const)("a command for a page of a superpage %s", (_, isWhole, left) => {
	const switches = { smallFlushDropsLargeLeaf: isWhole };
	const inside = { gran: "page", addr: 0x203000, mask: 0 } as const;
	const ends = (starts: readonly { start: number; n: number }[]): number[] =>
		starts
			.flatMap(({ start, n }) =>
				Array.from({ length: n / 512 }, (__, i) => start + i * 512),
			)
			.sort((a, b) => a - b);
	test("in a log of ranges", () => {
		const log = new Exact(switches);
		log.add("dom.created", { dom: P, kind: "unmanaged" });
		log.add("ctx.entry.set", { iommu: UNIT, sid: SID, dom: P, did: 9 });
		const range = { dom: P, iova: 0, len: 0x600000 } as const;
		log.add("dom.map", { ...range, pa: 0x40000000 });
		log.add("dom.unmap", { ...range, unmapped: range.len });
		log.flush({ did: 9, ...inside });
		expect(
			ends(
				spacesOf(log.world.iotlb, P).flatMap((s) =>
					s.stale.flatMap((one) => one.parts),
				),
			),
		).toEqual(left);
	});
	test("in a log of entries", () => {
		const log = new Exact(switches);
		for (const slot of [0, 1, 2])
			log.write(3, slot, (0x40000 + slot * 512) * 4096 + 0x83);
		for (const slot of [0, 1, 2]) log.write(3, slot, 0);
		log.flush(inside);
		const [space] = spacesOf(log.world.iotlb, D);
		expect(ends([...(space?.walks?.entries.values() ?? [])])).toEqual(left);
	});
});
