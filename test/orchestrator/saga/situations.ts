/** Sagas on several machines: groups of one to four devices, automatic and manual hwpts, steps that fail in each place. */
import type { LiveSystem } from "../../../src/orchestrator/create.ts";
import type { Saga } from "../../../src/orchestrator/saga/saga.ts";
import type { Json } from "../../../src/vocabulary/fields.ts";
import type {
	Topology,
	TopologyGroup,
} from "../../../src/vocabulary/header.ts";
import {
	type DeviceId,
	deviceId,
	groupId,
} from "../../../src/vocabulary/ids.ts";
import { MSI } from "../../../src/scenarios/setting.ts";

/** One saga in one setting. `fails`: the errno it ends with, rolled back. */
export interface Situation {
	readonly name: string;
	readonly topology: Topology;
	readonly switches: { readonly [name: string]: Json };
	readonly setUp: (system: LiveSystem) => Promise<void>;
	readonly saga: (system: LiveSystem) => Saga;
	readonly fails?: string;
}

const ctx = "ctx:1";
const deviceNamed = (group: number, i: number): DeviceId =>
	deviceId(`0000:${String(group).padStart(2, "0")}:00.${i}`);
const devicesOf = (group: number, n: number): DeviceId[] =>
	Array.from({ length: n }, (_, i) => deviceNamed(group, i));
const groupOf = (group: number, n: number, driver = "vtd"): TopologyGroup => ({
	group: groupId(group),
	driver,
	members: devicesOf(group, n).map((dev) => ({ dev, resv: [MSI] })),
});
const machine = (...groups: readonly TopologyGroup[]): Topology => ({
	known: "complete",
	groups,
});

const area = (system: LiveSystem, ioas: number, va = "0x700000") =>
	system.map({ ctx, ioas, iova: "0x100000", length: "0x4000", va, prot: 3 });

/** All devices of some groups bound; IOAS A and B with one area each. */
async function ready(
	system: LiveSystem,
	groups: readonly (readonly [group: number, devices: number])[],
): Promise<{ a: number; b: number }> {
	await system.open();
	for (const [group, n] of groups)
		for (const dev of devicesOf(group, n)) await system.bind({ ctx, dev });
	const a = await system.ioasAlloc({ ctx });
	const b = await system.ioasAlloc({ ctx });
	await area(system, a);
	await area(system, b, "0x900000");
	return { a, b };
}
async function attachAll(
	system: LiveSystem,
	pt: number,
	devices: readonly DeviceId[],
): Promise<void> {
	for (const dev of devices) await system.attach({ ctx, dev, pt });
}

/** A group of `n` moves from one IOAS to the other, both through automatic hwpts. */
const automatic = (
	n: number,
	flow: string,
	more: Partial<Situation> & { readonly refuse?: Json } = {},
): Situation => ({
	name: `${n} devices, automatic hwpts, ${flow}`,
	topology: machine(groupOf(7, n)),
	switches: {
		flow,
		...(more.refuse === undefined ? {} : { refuse: more.refuse }),
	},
	setUp: async (system) => {
		const { a } = await ready(system, [[7, n]]);
		await attachAll(system, a, devicesOf(7, n));
	},
	saga: (system) => system.moveGroup({ ctx, group: groupId(7), pt: n + 2 }),
	...more,
});

/** Both hwpts made by hand. */
const manual = (
	n: number,
	flow: string,
	more: Partial<Situation> & { readonly refuse?: Json } = {},
): Situation => ({
	...automatic(n, flow),
	name: `${n} devices, manual hwpts, ${flow}`,
	setUp: async (system) => {
		const { a, b } = await ready(system, [[7, n]]);
		const dev = deviceNamed(7, 0);
		const h1 = await system.hwptAlloc({ ctx, dev, pt: a });
		await system.hwptAlloc({ ctx, dev, pt: b });
		await attachAll(system, h1, devicesOf(7, n));
	},
	saga: (system) => system.moveGroup({ ctx, group: groupId(7), pt: n + 4 }),
	...(more.refuse === undefined
		? {}
		: { switches: { flow, refuse: more.refuse } }),
	...more,
});

/** The driver refuses a device in the new domain. */
const refused = (dev: DeviceId, to: string, errno = "EINVAL"): Json => [
	{ dev, to, errno, when: "forward" },
];

/**
 * IOAS A (3) has a mapping that may be written, one that may not, and half of one (a copy of a part); B (4) has the second from a map of the
 * same memory. Two groups are attached to A.
 */
function copying(more: {
	readonly name: string;
	readonly switches?: { readonly [name: string]: Json };
	readonly to?: (
		system: LiveSystem,
		ioases: { readonly a: number; readonly b: number },
	) => Promise<void>;
	readonly saga?: Situation["saga"];
	readonly fails?: string;
}): Situation {
	const { to, switches = {}, ...rest } = more;
	const readOnly = { iova: "0x200000", length: "0x3000", va: "0x800000" };
	return {
		topology: machine(groupOf(1, 1), groupOf(3, 1)),
		saga: (system) => system.moveAll({ ctx, from: 3, to: 4 }),
		...rest,
		switches,
		setUp: async (system) => {
			await system.open();
			const devices = [deviceNamed(1, 0), deviceNamed(3, 0)];
			for (const dev of devices) await system.bind({ ctx, dev });
			const a = await system.ioasAlloc({ ctx });
			const b = await system.ioasAlloc({ ctx });
			await area(system, a);
			for (const ioas of [a, b])
				await system.map({ ctx, ioas, ...readOnly, prot: 1 });
			const part = { srcIova: "0x101000", length: "0x2000", prot: 3 };
			// With EFAULT for the answer the mapping stands all the same.
			await system
				.copy({ ctx, src: a, dst: a, ...part, dstIova: "0x300000" })
				.catch(() => {});
			await attachAll(system, a, devices);
			await to?.(system, { a, b });
		},
	};
}

export const SITUATIONS: readonly Situation[] = [
	automatic(1, "group-owned"),
	automatic(3, "group-owned"),
	manual(2, "group-owned"),
	manual(4, "group-owned"),
	automatic(2, "device-lagging"),
	manual(3, "posted-v2"),
	manual(3, "device-forced"),
	automatic(3, "group-owned", {
		name: "the second device's driver refuses the new domain",
		refuse: refused(deviceNamed(7, 1), "ctx:1/hwpt:7@1"),
		fails: "EINVAL",
	}),
	manual(3, "device-lagging", {
		name: "device-lagging: the third device is refused when its turn comes",
		refuse: refused(deviceNamed(7, 2), "ctx:1/hwpt:7@1"),
		fails: "EINVAL",
	}),
	{
		...automatic(3, "group-owned"),
		name: "the answer of a replace cannot be copied out: the device is detached (A8)",
		switches: { unwritableResult: "replace" },
		fails: "EFAULT",
	},
	{
		...manual(3, "group-owned"),
		name: "A8 with manual hwpts",
		switches: { unwritableResult: "replace" },
		fails: "EFAULT",
	},
	{
		...automatic(1, "group-owned"),
		name: "A8 with a single device",
		switches: { unwritableResult: "replace" },
		fails: "EFAULT",
	},
	{
		name: "a hole in the object ids: placeholders on the way back",
		topology: machine(groupOf(7, 2)),
		switches: { unwritableResult: "replace" },
		setUp: async (system) => {
			const { a } = await ready(system, [[7, 2]]);
			const spare = await system.ioasAlloc({ ctx });
			await attachAll(system, a, devicesOf(7, 2));
			await system.destroy({ ctx, id: spare });
		},
		saga: (system) => system.moveGroup({ ctx, group: groupId(7), pt: 4 }),
		fails: "EFAULT",
	},
	{
		name: "moveAll: three groups, one of them elsewhere",
		topology: machine(groupOf(1, 2), groupOf(2, 1), groupOf(3, 2)),
		switches: {},
		setUp: async (system) => {
			const { a, b } = await ready(system, [
				[1, 2],
				[2, 1],
				[3, 2],
			]);
			await attachAll(system, a, devicesOf(1, 2));
			await attachAll(system, b, devicesOf(2, 1));
			await attachAll(system, a, devicesOf(3, 2));
		},
		saga: (system) => system.moveAll({ ctx, from: 6, to: 7, copy: false }),
	},
	{
		name: "moveAll: the last group is refused",
		topology: machine(groupOf(1, 2), groupOf(3, 2)),
		switches: {
			// EINVAL would make iommufd try another automatic hwpt; any other errno ends the call.
			refuse: refused(deviceNamed(3, 1), "ctx:1/hwpt:8@1", "ENOMEM"),
		},
		setUp: async (system) => {
			const { a } = await ready(system, [
				[1, 2],
				[3, 2],
			]);
			await attachAll(system, a, [...devicesOf(1, 2), ...devicesOf(3, 2)]);
		},
		saga: (system) => system.moveAll({ ctx, from: 5, to: 6, copy: false }),
		fails: "ENOMEM",
	},
	copying({
		name: "moveAll: mappings are copied first, but for what is there",
	}),
	copying({
		name: "moveAll: copies go to the IOAS of a hwpt",
		to: async (system, { b }) => {
			await system.hwptAlloc({ ctx, dev: deviceNamed(1, 0), pt: b });
		},
		saga: (system) => system.moveAll({ ctx, from: 3, to: 6 }),
	}),
	copying({
		name: "moveAll: the last group is refused, and the copies are unmapped",
		switches: {
			refuse: refused(deviceNamed(3, 0), "ctx:1/hwpt:6@1", "ENOMEM"),
		},
		fails: "ENOMEM",
	}),
	copying({
		name: "moveAll: the other IOAS maps something else there",
		to: async (system, { b }) => {
			const other = { iova: "0x301000", length: "0x1000", va: "0xb00000" };
			await system.map({ ctx, ioas: b, ...other, prot: 1 });
		},
		fails: "EEXIST",
	}),
	copying({
		name: "moveAll: the answer of a copy cannot be copied out, and the copy stands (A10)",
		switches: { unwritableResult: "copy" },
		fails: "EFAULT",
	}),
	{
		name: "evacuate: a group of three, one of them only bound",
		topology: machine(groupOf(7, 3)),
		switches: {},
		setUp: async (system) => {
			const { a } = await ready(system, [[7, 3]]);
			await attachAll(system, a, devicesOf(7, 3).slice(0, 2));
		},
		saga: (system) => system.evacuate({ ctx, dev: deviceNamed(7, 1) }),
	},
];
