/** The topology file: what it describes, and that mistakes are named with line and column. */
import { expect, test } from "vitest";
import { hostOf } from "../../src/drivers/host.ts";
import {
	parseTopology,
	TopologyError,
} from "../../src/drivers/topology-file.ts";

const GOOD = `
topology: 1
iommus:
  dmar0:
    driver: vtd
    aw: 39
    snoopControl: false
    reserved: [{ kind: msi, start: 0xfee00000, last: 0xfeefffff }]
  smmu1: { driver: smmu-v3, ias: 44, reserved: [{ kind: sw-msi, start: 0x8000000, last: 0x80fffff }] }
groups:
  - group: 11
    iommu: dmar0
    devices:
      - { name: "0000:01:00.0" }
      - { name: "0000:02:01.0", bridge: "0000:01:00.0" }
      - { name: "0000:02:02.0", bridge: "0000:01:00.0", kernelDriver: nvme }
  - group: 3
    iommu: smmu1
    reserved: [{ kind: direct, start: "0xfffffffffff00000", last: "0xffffffffffffffff" }]
    devices: [{ name: platform-eth0, caps: { dirty: true } }]
`;

test("groups, bridges, MSI windows, direct regions, kernel drivers, properties of the unit", () => {
	const topology = parseTopology(GOOD);
	const [pci, platform] = topology.groups;
	expect(pci).toMatchObject({ group: "group:11", driver: "vtd" });
	expect(pci?.members.map((m) => m.aliases)).toEqual([
		undefined,
		[0x200],
		[0x200],
	]);
	expect(pci?.members[0]?.resv).toEqual([
		{ kind: "msi", start: "0xfee00000", last: "0xfeefffff" },
	]);
	expect(platform?.members[0]?.caps).toEqual({
		iommu: "smmu1",
		ias: 44,
		dirty: true,
	});
	const host = hostOf(topology);
	expect(host.groups.get("group:11")).toMatchObject({ ocnt: 1 });
	expect(host.devs.get("device:platform-eth0")).toMatchObject({
		requireDirect: true,
	});
	expect(host.devs.get("device:platform-eth0")?.resv.at(-1)?.last).toBe(
		0xffff_ffff_ffff_ffffn,
	);
});

test("an absent device is in the file, not in the machine", () => {
	const topology = parseTopology(
		GOOD.replace(
			'bridge: "0000:01:00.0" }',
			'bridge: "0000:01:00.0", absent: true }',
		),
	);
	const late = topology.groups[0]?.members.filter(({ absent }) => absent);
	expect(late?.map(({ dev }) => dev)).toEqual(["device:0000:02:01.0"]);
	const host = hostOf(topology);
	expect(host.groups.get("group:11")?.members).toEqual([
		"device:0000:01:00.0",
		"device:0000:02:02.0",
	]);
	expect(host.devs.has("device:0000:02:01.0")).toBe(false);
});

test("JSON is read too", () => {
	const text = JSON.stringify({
		topology: 1,
		iommus: { a: { driver: "amd-vi" } },
		groups: [{ group: 1, iommu: "a", devices: [{ name: "0000:00:01.0" }] }],
	});
	expect(parseTopology(text).groups[0]?.driver).toBe("amd-vi");
});

test.each([
	[
		"a driver nobody knows",
		GOOD.replace("driver: vtd", "driver: vtx"),
		/unknown driver personality "vtx"; known: mock, vtd/,
		5,
	],
	[
		"a unit that is not there",
		GOOD.replace("iommu: smmu1", "iommu: smmu2"),
		/names iommu "smmu2"/,
		18,
	],
	[
		"a device twice",
		GOOD.replace('"0000:02:02.0"', '"0000:02:01.0"'),
		/device 0000:02:01.0 is in two groups/,
		16,
	],
	[
		"a region upside down",
		GOOD.replace("last: 0xfeefffff", "last: 0x1000"),
		/start is above last/,
		8,
	],
	[
		"an unknown field",
		GOOD.replace("bridge:", "brigde:"),
		/[Uu]nrecognized key.*brigde/,
		15,
	],
	[
		"a bad address",
		GOOD.replace('"0xfffffffffff00000"', '"fff"'),
		/hex text/,
		19,
	],
	[
		"an absent device with a driver",
		GOOD.replace("kernelDriver: nvme", "absent: true, kernelDriver: nvme"),
		/absent at boot, so no kernel driver has it/,
		16,
	],
	[
		"a group that nobody is in at boot",
		GOOD.replace("caps: {", "absent: true, caps: {"),
		/every device of group 3 is absent/,
		20,
	],
	["broken YAML", "topology: [1", /./, 1],
	["an empty file", "", /./, 1],
])("%s is named with its line", (_, text, message, line) => {
	const error = (() => {
		try {
			parseTopology(text);
		} catch (e) {
			return e as TopologyError;
		}
		return undefined;
	})();
	expect(error).toBeInstanceOf(TopologyError);
	expect(error?.message).toMatch(message);
	expect(error?.line).toBe(line);
});
