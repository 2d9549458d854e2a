/**
 * What random calls on random machines made the judge object to although Linux does just that: each of them shrunk to the calls that it takes.
 * The opposite, that each invariant is broken by a fault, is faults.test.ts.
 */
import { expect, test } from "vitest";
import { createIommuSystem } from "../../src/index.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import type { Json } from "../../src/vocabulary/fields.ts";
import type { ReservedRegion, Topology } from "../../src/vocabulary/header.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";

const MSI: ReservedRegion = {
	start: "0xfee00000",
	last: "0xfeefffff",
	kind: "msi",
};
const DIRECT: ReservedRegion = {
	start: "0xc0000000",
	last: "0xc0000fff",
	kind: "direct",
};
const [D1, D2] = [deviceId("0000:01:00.0"), deviceId("0000:01:01.0")] as const;
const ctx = "ctx:1";

/** A group a list of devices; each device is its regions. */
function machine(
	...groups: readonly (readonly [
		driver: string,
		...members: readonly (readonly ReservedRegion[])[],
	])[]
): Topology {
	return {
		known: "complete",
		groups: groups.map(([driver, ...members], g) => ({
			group: groupId(g + 1),
			driver,
			members: members.map((resv, i) => ({
				dev: deviceId(`0000:0${g + 1}:0${i}.0`),
				resv,
			})),
		})),
	};
}

type Calls = readonly (readonly [op: string, args: object])[];
function judged(
	topology: Topology,
	calls: Calls,
	switches: { readonly [name: string]: Json } = {},
) {
	const system = createIommuSystem({ topology, switches, engine: "compiled" });
	const ends = calls.map(([op, args]) => {
		const outcome = system.dispatch({ op, args } as never);
		return outcome.ok ? "ok" : outcome.errno;
	});
	const { violations } = verifyRecords(system.header, system.records);
	return {
		ends,
		ids: [...new Set(violations.map(({ id }) => id))],
		records: system.records,
	};
}
const container: Calls = [
	["containerOpen", {}],
	["groupSetContainer", { ctx, group: groupId(1) }],
	["containerSetIommu", { ctx, version: "v2" }],
];
const entry = (iova: string) =>
	[
		"containerMap",
		{ ctx, iova, length: "0x4000", va: "0x0", prot: 3 },
	] as const;
const second = ["groupSetContainer", { ctx, group: groupId(2) }] as const;

test("a mandated direct region: the core refuses to block the device, and attaches it to its old domain all the same (LOG-4)", () => {
	const topology = machine(["vtd", [MSI, DIRECT], [MSI]]);
	expect(
		judged(topology, container.slice(0, 2)),
		"a container's claim",
	).toMatchObject({ ends: ["ok", "EINVAL"], ids: [] });
	const calls: Calls = [
		["open", {}],
		["bind", { ctx, dev: D1 }],
	];
	expect(judged(topology, calls), "iommufd's").toMatchObject({
		ends: ["ok", "EINVAL"],
		ids: [],
	});
});

test("a member that refuses what must succeed is blocked, the others go on to where the switch leads (GRP-2); the group is torn (GRP-1)", () => {
	const refuse = [{ dev: D1, to: "default", errno: "EINVAL", when: "any" }];
	const calls: Calls = [
		["open", {}],
		["bind", { ctx, dev: D1 }],
		["unbind", { ctx, dev: D1 }],
	];
	expect(
		judged(machine(["vtd", [MSI], [MSI]]), calls, { refuse }),
	).toMatchObject({ ends: ["ok", "ok", "ok"], ids: ["GRP-1", "LOG-5"] });
});

test("a replace that named an IOAS and failed goes back to a hwpt that was made by hand (HWP-7)", () => {
	const calls: Calls = [
		["open", {}],
		["bind", { ctx, dev: D1 }],
		["ioasAlloc", { ctx }],
		["hwptAlloc", { ctx, dev: D1, pt: 2 }],
		["attach", { ctx, dev: D1, pt: 3 }],
		["replace", { ctx, dev: D1, pt: 2 }],
	];
	const mended = { unwritableResult: "replace", respFailureDetaches: false };
	expect(judged(machine(["vtd", [MSI]]), calls, mended)).toMatchObject({
		ends: ["ok", "ok", "ok", "ok", "ok", "EFAULT"],
		ids: [],
	});
});

test("AMD's leaves are of every power of two: an unmap of one page of two clears both (PT-16)", () => {
	const { ends, ids, records } = judged(machine(["amd-vi", [MSI]]), container);
	expect([ends, ids]).toEqual([["ok", "ok", "ok"], []]);
	expect(records.find(({ type }) => type === "dom.unmap")?.data).toMatchObject({
		len: 0x1000,
		unmapped: 0x2000,
	});
});

test("a container frees a domain with its entries mapped while another domain has them too (HWP-2)", () => {
	const topology = machine(["vtd", [MSI]], ["amd-vi", [MSI]]);
	const { ends, ids, records } = judged(topology, [
		...container,
		entry("0x200000"),
		second,
		["groupUnsetContainer", { ctx, group: groupId(2) }],
	]);
	expect([ends.every((end) => end === "ok"), ids]).toEqual([true, []]);
	const last = records.findIndex(({ type }) => type === "dom.freed");
	const unmapped = records
		.slice(0, last)
		.filter(
			({ type, data }) =>
				type === "dom.unmap" &&
				Number((data as { iova: unknown }).iova) === 0x20_0000,
		);
	expect(unmapped).toEqual([]);
});

test("the domain that a container took last unmaps in chunks, the others in one call; a replay that fails unmaps what it mapped", () => {
	const topology = machine(["vtd", [MSI]], ["amd-vi", [MSI]]);
	const calls: Calls = [
		...container,
		entry("0x200000"),
		entry("0x400000"),
		second,
		["containerUnmap", { ctx, iova: "0x400000", length: "0x4000" }],
	];
	const whole = judged(topology, calls);
	const doms = whole.records.filter(
		({ type }) => type === "type1.domain.added",
	);
	const [older, newer] = doms.map(({ data }) => (data as { dom: string }).dom);
	const order = whole.records
		.filter(
			({ op, type }) => type === "dom.unmap" && op === whole.records.at(-1)?.op,
		)
		.map(({ actor }) => actor);
	expect(order[0]).toBe(older);
	expect(new Set(order.slice(1))).toEqual(new Set([newer]));

	const failed = [];
	for (let failNth = 1; failNth < 40; failNth++) {
		const { ends, ids, records } = judged(topology, calls.slice(0, 6), {
			failNth,
		});
		if (ends[5] !== "ENOMEM" && ends[5] !== "EINVAL") continue;
		expect(ids, `step ${failNth}`).toEqual([]);
		const undone = records.filter(
			({ type, data }) =>
				type === "dom.unmap" && (data as { undo?: true }).undo === true,
		);
		if (undone.length > 0)
			failed.push(
				undone.map(({ data }) => Number((data as { iova: unknown }).iova)),
			);
	}
	expect(failed).toEqual([[0x20_0000]]);
});

test("the next automatic hwpt is another switch, not a detour of the one that failed (GRP-2)", () => {
	const topology = machine(["mock", []], ["mock", [], []]);
	const [other, refuses] = [deviceId("0000:02:00.0"), deviceId("0000:02:01.0")];
	const calls: Calls = [
		["open", {}],
		["bind", { ctx, dev: D1 }],
		["bind", { ctx, dev: other }],
		["ioasAlloc", { ctx }],
		["attach", { ctx, dev: D1, pt: 3 }],
		["attach", { ctx, dev: other, pt: 3 }],
	];
	const refuse = [
		{ dev: refuses, to: "any", errno: "EINVAL", when: "forward" },
	];
	const { ends, ids, records } = judged(topology, calls, { refuse });
	expect([ends[5], ids]).toEqual(["EINVAL", []]);
	const last = records.at(-1)?.op;
	const tried = records.filter(
		({ type, op }) => type === "hw.attach.failed" && op === last,
	);
	expect(
		new Set(tried.map(({ data }) => (data as { dom: string }).dom)).size,
	).toBe(2);
});

test("real: a device with a mandated direct region, plugged into a group that user space uses, stays on the domain that the detach frees (HWP-2)", () => {
	const { groups, known } = machine(["vtd", [MSI], [MSI, DIRECT]]);
	const [{ members, ...group }] = groups as [(typeof groups)[number]];
	const late = members.map((m, i) => (i === 1 ? { ...m, absent: true } : m));
	const topology = { known, groups: [{ ...group, members: late }] } as Topology;
	const calls: Calls = [
		["open", {}],
		["bind", { ctx, dev: D1 }],
		["ioasAlloc", { ctx }],
		["attach", { ctx, dev: D1, pt: 2 }],
		["hotAdd", { dev: D2 }],
		["detach", { ctx, dev: D1 }],
	];
	const { ends, ids } = judged(topology, calls);
	expect(ends.every((end) => end === "ok")).toBe(true);
	expect(ids).toEqual(["HWP-2", "GRP-1", "LOG-5"]);
	// Without the region it is blocked like the others.
	const plain = {
		known,
		groups: [{ ...group, members: late.map((m) => ({ ...m, resv: [MSI] })) }],
	} as Topology;
	expect(judged(plain, calls).ids).toEqual([]);
});
