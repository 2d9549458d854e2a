/** Calls at random on one mock device: every operation, mostly on objects that fit. */
import fc from "fast-check";
import type { Topology } from "../../src/vocabulary/header.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";

export const dev = deviceId("0000:01:00.0");
export const ctx = "ctx:1";
export const topology: Topology = {
	known: "complete",
	groups: [{ group: groupId(1), driver: "mock", members: [{ dev, resv: [] }] }],
};
/** A call, and what it should answer. */
export type Step = readonly [op: string, args: object, wanted?: object];

export const START: readonly Step[] = [
	["open", {}, { ctx }],
	["bind", { dev }, { idev: 1 }],
	["ioasAlloc", {}, { ioas: 2 }],
	["ioasAlloc", {}, { ioas: 3 }],
];
export const map = (ioas: number, iova: string, length = "0x4000"): Step => [
	"map",
	{ ioas, iova, length, va: "0x70000000", prot: 3 },
	{ iova },
];

/** What stands at the start: calls mostly name what fits, sometimes anything. */
export const SET_UP: readonly Step[] = [
	...START,
	["hwptAlloc", { dev, pt: 2, flags: 3 }, { hwpt: 4 }],
	["faultQueueAlloc", {}, { fault: 5 }],
	[
		"hwptAlloc",
		{
			dev,
			pt: 4,
			flags: 4,
			data: { type: 0xdead, bytes: "01000000" },
			fault: 5,
		},
		{ hwpt: 6 },
	],
	["accessCreate", { pinning: true }, { access: 7 }],
	["accessAttach", { access: 7, ioas: 2 }, {}],
	["dirtySet", { hwpt: 4, on: true }, {}],
	map(2, "0x2000000"),
];
const FITTING: { readonly [name: string]: readonly number[] } = {
	ioas: [2, 3],
	src: [2, 3],
	dst: [2, 3],
	pt: [2, 3, 4, 6],
	hwpt: [4, 6],
	fault: [5],
	access: [7],
};
const any = fc.integer({ min: 1, max: 9 });
const idFor = (name: string) =>
	FITTING[name] === undefined
		? any
		: fc.oneof(
				{ weight: 5, arbitrary: fc.constantFrom(...FITTING[name]) },
				{ weight: 1, arbitrary: any },
			);
const span = fc.constantFrom(
	{ iova: "0x2000000", length: "0x1000" },
	{ iova: "0x2001000", length: "0x3000" },
	{ iova: "0x2000000", length: "0x4000" },
);
const data = { type: 0xdead, bytes: "01000000" };
const one = (op: string, args: object, ...more: fc.Arbitrary<object>[]) =>
	fc
		.tuple(fc.constant(args), ...more)
		.map((all) => [op, Object.assign({}, ...all)] as Step);
const ids = (...names: string[]) =>
	fc.record(Object.fromEntries(names.map((name) => [name, idFor(name)])));
/** Any call that the situation knows. */
export const step = fc.oneof(
	one("ioasAlloc", {}),
	one("faultQueueAlloc", {}),
	one("faultQueueClose", {}, ids("fault")),
	one("faultRead", {}, ids("fault")),
	one("faultAnswer", { code: 0, cookie: 1 }, ids("fault")),
	one("pageRequest", { dev, grpid: 1, addr: "0x1000", perm: 1 }),
	one("hwptAlloc", { dev, flags: 3 }, ids("pt")),
	one("hwptAlloc", { dev, flags: 4, data }, ids("pt", "fault")),
	one("attach", { dev }, ids("pt")),
	one("replace", { dev }, ids("pt")),
	one("detach", { dev }),
	one("destroy", {}, ids("id")),
	one("map", { va: "0x70000000", prot: 3 }, ids("ioas"), span),
	one("unmap", {}, ids("ioas"), span),
	one(
		"copy",
		{ srcIova: "0x2000000", length: "0x1000", prot: 1 },
		ids("src", "dst"),
	),
	one("vfioIoas", {}, ids("ioas")),
	one("vfioSetIommu", { version: "v1" }),
	one("vfioMap", { va: "0x70000000", prot: 3 }, span),
	one("vfioUnmap", {}, span),
	one("vfioUnmap", {}),
	one("vfioInfo", {}),
	one("accessCreate", { pinning: true }),
	one("accessCreate", { pinning: false }),
	one("accessCreate", { mdev: "mdev-1" }),
	one("accessAttach", {}, ids("access", "ioas")),
	one("accessReplace", {}, ids("access", "ioas")),
	one("accessDetach", {}, ids("access")),
	one("accessPin", {}, ids("access"), span),
	one("accessUnpin", { item: 0 }, ids("access")),
	one("accessDestroy", {}, ids("access")),
	one("dirtySet", { on: true }, ids("hwpt")),
	one("deviceWrote", {}, ids("hwpt"), span),
	one("dirtyGet", { pageSize: "0x800" }, ids("hwpt"), span),
	one(
		"invalidate",
		{ type: 0xdeadbeef, entryLen: 8, entries: "0100000000000000" },
		ids("hwpt"),
	),
	one("unbind", { dev }),
	one("bind", { dev }),
	one("irqRequest", { dev }),
	one("close", {}),
);
