/** Every kind of object of iommufd once: made, used as it should be, taken down. Faults (docs/invariants.md) have something to go wrong in. */
import type { ReservedRegion } from "../../vocabulary/header.ts";
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario, ScenarioStep } from "../run-scenario.ts";
import { area, call, MSI } from "../setting.ts";

const devices = {
	dev1: deviceId("0000:01:00.0"),
	dev2: deviceId("0000:01:00.1"),
	guest: deviceId("0001:01:00.0"),
	plain: deviceId("0000:03:00.0"),
	untracked: deviceId("0000:04:00.0"),
	late: deviceId("0000:04:00.1"),
};
const GUEST_WINDOW: ReservedRegion = {
	start: "0x3000000",
	last: "0x3000fff",
	kind: "reserved",
};
/** All but the one that comes late. */
const BOUND = ["dev1", "dev2", "guest", "plain", "untracked"] as const;
/** Flags of HWPT_ALLOC. */
const NEST_PARENT = 1;
const DIRTY_TRACKING = 2;
const FAULT_QUEUE = 4;
/** The selftest's first stage, and two entries of its invalidation. */
const FIRST_STAGE = { type: 0xdead, bytes: "01000000" };
const TWO_ENTRIES = "0000000001000000".repeat(2);

const request = (label: string, grpid: number): ScenarioStep =>
	call(label, "pageRequest", { dev: "guest", grpid, addr: "0x1000", perm: 1 });
const span = { iova: "0x101000", length: "0x1000" };

/** Two devices that share a hwpt with dirty tracking, and an IOAS of small pages. */
const paging: readonly ScenarioStep[] = [
	call("ioas T", "ioasAlloc", {}, "T"),
	call("ioas T gone", "destroy", { id: "T" }),
	call("ioas A", "ioasAlloc", {}, "A"),
	call("allow", "allowIovas", {
		ioas: "A",
		ranges: [
			{ start: "0x0", last: "0xfffffff" },
			{ start: "0x20000000", last: "0x2fffffff" },
		],
	}),
	area("map A", "A", "0x700000"),
	call(
		"hwpt H",
		"hwptAlloc",
		{ dev: "dev1", pt: "A", flags: DIRTY_TRACKING },
		"H",
	),
	call("attach 1", "attach", { dev: "dev1", pt: "H" }),
	call("attach 2", "attach", { dev: "dev2", pt: "H" }),
	call("refused: cannot track", "attach", { dev: "untracked", pt: "H" }),
	call("track", "dirtySet", { hwpt: "H", on: true }),
	call("device writes", "deviceWrote", { hwpt: "H", ...span }),
	call("read dirty", "dirtyGet", { hwpt: "H", ...span, pageSize: "0x1000" }),
	call("stop tracking", "dirtySet", { hwpt: "H", on: false }),
	call("ioas S", "ioasAlloc", {}, "S"),
	call("small pages", "optionSet", {
		option: "huge-pages",
		ioas: "S",
		value: 0,
	}),
	area("map S", "S", "0x900000"),
	call("hwpt S", "hwptAlloc", { dev: "dev1", pt: "S" }, "HS"),
	call("move both", "replace", { dev: "dev1", pt: "HS" }),
	call("slot", "vfioIoas", { ioas: "S" }),
	call("v1", "vfioSetIommu", { version: "v1" }),
	call("cut", "vfioUnmap", { iova: "0x102000", length: "0x2000" }),
	call("slot empty", "vfioIoasClear", {}),
	area("map S again", "S", "0xc00000", "0x200000"),
	call("attach alone", "attach", { dev: "plain", pt: "A" }),
];
/** An in-kernel user that moves with a pin, and is detached with one. */
const access: readonly ScenarioStep[] = [
	call("create P", "accessCreate", { pinning: true }, "P"),
	call("attach P", "accessAttach", { access: "P", ioas: "A" }),
	call("pin", "accessPin", { access: "P", ...span }),
	call("unpin", "accessUnpin", { access: "P", item: 0 }),
	call("ioas B", "ioasAlloc", {}, "B"),
	call("copy", "copy", {
		src: "A",
		dst: "B",
		srcIova: "0x100000",
		length: "0x4000",
		dstIova: "0x100000",
		prot: 3,
	}),
	call("pin again", "accessPin", { access: "P", ...span }),
	call("move P", "accessReplace", { access: "P", ioas: "B" }),
	call("pin in B", "accessPin", { access: "P", ...span }),
	call("unmap under the pin", "unmap", {
		ioas: "B",
		iova: "0x100000",
		length: "0x4000",
	}),
	call("destroy P", "accessDestroy", { access: "P" }),
];
/** A guest's first stage on a nesting parent, its faults answered by it and by the kernel. */
const nesting: readonly ScenarioStep[] = [
	call("ioas G", "ioasAlloc", {}, "G"),
	area("map G", "G", "0xb00000", "0x2000000"),
	call(
		"parent",
		"hwptAlloc",
		{ dev: "guest", pt: "G", flags: NEST_PARENT },
		"GP",
	),
	call("queue", "faultQueueAlloc", {}, "F"),
	call(
		"nested",
		"hwptAlloc",
		{
			dev: "guest",
			pt: "GP",
			flags: FAULT_QUEUE,
			data: FIRST_STAGE,
			fault: "F",
		},
		"GN",
	),
	call(
		"second nested",
		"hwptAlloc",
		{ dev: "guest", pt: "GP", data: FIRST_STAGE },
		"GN2",
	),
	call("refused: has children", "destroy", { id: "GP" }),
	call("attach guest", "attach", { dev: "guest", pt: "GN" }),
	call("invalidate", "invalidate", {
		hwpt: "GN",
		type: 0xdeadbeef,
		entryLen: 8,
		entries: TWO_ENTRIES,
	}),
	request("fault 1", 1),
	call("read", "faultRead", { fault: "F" }),
	call("answer", "faultAnswer", { fault: "F", cookie: 1, code: 0 }),
	request("fault 2", 2),
	call("detach guest", "detach", { dev: "guest" }),
	call("nested gone", "destroy", { id: "GN" }),
	call("second nested gone", "destroy", { id: "GN2" }),
	call("parent gone", "destroy", { id: "GP" }),
	call("queue closed", "faultQueueClose", { fault: "F" }),
	call("queue gone", "destroy", { id: "F" }),
];
const end: readonly ScenarioStep[] = [
	call("detach 1", "detach", { dev: "dev1" }),
	call("detach 2", "detach", { dev: "dev2" }),
	call("detach plain", "detach", { dev: "plain" }),
	call("hwpt H gone", "destroy", { id: "H" }),
	call("hwpt S gone", "destroy", { id: "HS" }),
	...["A", "S", "B", "G"].map((ioas) =>
		call(`ioas ${ioas} gone`, "destroy", { id: ioas }),
	),
	...BOUND.map((dev) => call(`unbind ${dev}`, "unbind", { dev })),
	call("close", "close", {}),
];

/** The tour. */
export const tour: RunScenario = {
	name: "tour",
	title: "Every kind of object once: made, used, taken down",
	about:
		"Paging, small pages cut by type1 v1, dirty tracking, an in-kernel user, nesting with page faults, and everything given back; breaks nothing",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "vtd",
				members: [
					{ dev: devices.dev1, resv: [MSI], caps: { dirty: true } },
					{ dev: devices.dev2, resv: [MSI], caps: { dirty: true } },
				],
			},
			{
				group: groupId(2),
				driver: "mock",
				members: [{ dev: devices.guest, resv: [GUEST_WINDOW] }],
			},
			{
				group: groupId(4),
				driver: "vtd",
				members: [
					{ dev: devices.untracked, resv: [MSI], caps: { dirty: false } },
					{ dev: devices.late, resv: [MSI], absent: true },
				],
			},
			{
				group: groupId(3),
				driver: "vtd",
				members: [
					{
						dev: devices.plain,
						resv: [MSI],
						caps: { dirty: false, snoopControl: false },
					},
				],
			},
		],
	},
	devices,
	steps: [
		{ label: "plug in", do: "hotAdd", args: { dev: "late" } },
		call("open", "open", {}, "ctx"),
		...BOUND.map((dev) => call(`bind ${dev}`, "bind", { dev })),
		...paging,
		...access,
		...nesting,
		...end,
	],
};
