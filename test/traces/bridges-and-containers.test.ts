/**
 * Recordings made for topologies and calls that the others lack: members of one group behind a conventional bridge below a PCIe-to-PCI bridge, functions
 * below a PCIe switch, several legacy containers, random calls, a recording set up by `capture` alone.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { runConform } from "../../src/replay/conform.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { parseGroups } from "../../src/traces/groups.ts";
import { importRecording } from "../../src/traces/import.ts";
import { partOf } from "../../src/traces/recording.ts";
import { drain, importAll, only } from "./support.ts";

const folder = (name: string): string =>
	join(import.meta.dirname, "../../logs/kernel", name);
const load = async (name: string) => drain(await importRecording(folder(name)));
/** Without markers a trace always begins inside a call, as far as it tells. */
const lost = (records: Parameters<typeof only>[0]) =>
	only(records, "trace.lost")
		.map(({ data }) => data.why)
		.filter((why) => why !== "the trace begins inside a call");

test.each([
	["i_bridges.N1", 29, "EDU_DMA", 58],
	["i_type1.N1", 1, "EDU_DMA", 2],
	["i_type1_two.N1", 4, "EDU_DMA", 0],
	["i_capture.N1", 0, "", 0],
] as const)(
	"%s: every line is understood, it holds, all answers are the model's",
	async (name, dma, skipped, predicted) => {
		const { header, records, report } = await load(name);
		expect(report.unexplained).toEqual([]);
		expect(lost(records)).toEqual([]);
		const { fidelity, verdict, summary } = verifyRecords(header, records);
		expect({ fidelity, verdict }).toEqual({ fidelity: "L1", verdict: "holds" });
		expect(summary.predictions).toMatchObject({ predicted, outside: 0 });
		const conform = await runConform([folder(name)]);
		expect(conform.mismatches).toEqual([]);
		expect(conform.calls - conform.matched).toBe(dma);
		expect(conform.skipped.map(({ reason }) => reason.split(":")[0])).toEqual(
			skipped === "" ? [] : [skipped],
		);
	},
);

describe("the requester id at the root bus", () => {
	const aliases = (text: string) =>
		Object.fromEntries(
			parseGroups(text).flatMap(({ members }) =>
				members.flatMap(({ name, alias }) =>
					alias === undefined ? [] : [[name, alias.toString(16)]],
				),
			),
		);

	test("below two bridges it is that of the one next to the root; below a switch, or without isolation, its own", async () => {
		const { header } = await load("i_bridges.N1");
		const told = header.topology.groups.flatMap(({ members }) =>
			members.map(({ dev, aliases: ids }) => [dev.slice(12), ids]),
		);
		expect(Object.fromEntries(told)).toMatchObject({
			"02:01.1": [0x200],
			"02:05.0": [0x200],
			"03:03.0": [0x200],
			"06:00.1": undefined,
			"07:00.0": undefined,
			"09:00.1": undefined,
		});
	});

	test("a conventional bridge on the root bus speaks for itself, one from PCIe to PCI for its bus", () => {
		expect(
			aliases(`group 6 type=DMA
  0000:00:11.0 0x1b36:0x000e class=0x060400 driver=none path=pci0000:00/0000:00:11.0
  0000:02:04.0 0x1234:0x11e8 class=0x00ff00 driver=vfio-pci path=pci0000:00/0000:00:11.0/0000:02:04.0
group 7 type=DMA
  0000:00:1e.0 0x8086:0x244e class=0x060401 driver=none path=pci0000:00/0000:00:1e.0
  0000:03:02.1 0x1234:0x11e8 class=0x00ff00 driver=vfio-pci path=pci0000:00/0000:00:1e.0/0000:03:02.1
  0000:03:06.0 0x1b36:0x0001 class=0x060400 driver=none path=pci0000:00/0000:00:1e.0/0000:03:06.0
  0000:04:01.0 0x1234:0x11e8 class=0x00ff00 driver=vfio-pci path=pci0000:00/0000:00:1e.0/0000:03:06.0/0000:04:01.0
`),
		).toEqual({
			"0000:02:04.0": "200",
			"0000:03:02.1": "f0",
			"0000:03:06.0": "f0",
			"0000:04:01.0": "f0",
		});
	});

	test("a port without its driver is told by its group of its own; a file without bridges by the path", () => {
		expect(
			aliases(`group 2 type=DMA
  0000:00:04.0 0x1b36:0x000c class=0x060400 driver=none path=pci0000:00/0000:00:04.0
group 3 type=DMA
  0000:05:00.1 0x1234:0x11e8 class=0x00ff00 driver=none path=pci0000:00/0000:00:04.0/0000:05:00.1
group 4 type=DMA
  0000:02:01.0 0x1234:0x11e8 class=0x00ff00 driver=none path=pci0000:00/0000:00:09.0/0000:01:00.0/0000:02:01.0
`),
		).toEqual({ "0000:02:01.0": "200" });
	});
});

describe("the emulator's own log, of the whole boot and without the guest's clock", () => {
	const parts = async (change: (line: string) => string) => {
		const found: Record<string, string> = {};
		for (const file of readdirSync(folder("i_bridges.N1"))) {
			const part = partOf(file);
			if (part === undefined) continue;
			const bytes = readFileSync(join(folder("i_bridges.N1"), file));
			const text = file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
			found[part] = text.toString("latin1");
		}
		const { witness = "", ...rest } = found;
		const lines = witness.split("\n").filter((line) => line !== "");
		return importAll({ ...rest, witness: lines.map(change).join("\n") });
	};
	const seen = (records: Parameters<typeof only>[0]) => [
		only(records, "witness.filled").length,
		only(records, "witness.hit").length,
		only(records, "witness.fault").length,
	];

	test("is placed by the row of commands that fits; what lies outside of the trace is left out", async () => {
		const { header, records, report } = await load("i_bridges.N1");
		expect(report.witness).toMatchObject({
			aligned: true,
			skipped: 0,
			bad: 0,
			descriptors: 1763,
		});
		expect(seen(records)).toEqual([14, 30, 14]);
		expect(verifyRecords(header, records).summary.predictions).toMatchObject({
			outside: 0,
		});
	});

	test("with QEMU's own time stamps it is the same", async () => {
		const { records, report } = await parts(
			(line) => `4711@1795665600.123456:${line}`,
		);
		expect(report.witness).toMatchObject({ aligned: true, bad: 0 });
		expect(seen(records)).toEqual([14, 30, 14]);
	});

	test("a log of another run fits nowhere, and is not used", async () => {
		const { records, report } = await parts((line) =>
			line.replace("sid 0x100 ", "sid 0x108 "),
		);
		expect(report.witness.aligned).toBe(false);
		expect(seen(records)).toEqual([0, 0, 0]);
	});
});

describe("entries of a legacy container", () => {
	test("without the probe of their removal they go by the call's answer", async () => {
		const { records, report } = await load("i_type1.N1");
		expect(report.events.has("t1_unmap_unpin_ret")).toBe(false);
		expect(report.attributed.get("type1 entry: from the call's result")).toBe(
			only(records, "type1.entry.removed").length,
		);
		expect(only(records, "type1.entry.removed").length).toBeGreaterThan(5);
	});

	test("several containers: the pointer of each is its own, whoever closes", async () => {
		const { records } = await load("i_type1_two.N1");
		const opened = only(records, "ctx.opened").map(({ data }) => data.ctx);
		const named = new Set(
			only(records, "type1.entry.removed").map(({ data }) => data.ctx),
		);
		expect(opened.length).toBeGreaterThan(1);
		for (const ctx of named) expect(opened).toContain(ctx);
	});

	test("an answer that no set of entries explains: what is in it is not known any more, and nothing is judged by it", async () => {
		const call = (t: number, name: string, args: object, out: object) =>
			JSON.stringify({
				t: t * 1000,
				t_end: t * 1000 + 500,
				tid: 7,
				call: name,
				args,
				out,
				ret: name === "OPEN_CONTAINER" ? 5 : 0,
				errno: 0,
			});
		const map = (t: number, iova: string) =>
			call(
				t,
				"VFIO_IOMMU_MAP_DMA",
				{ container: 5, iova, size: "0x2000", flags: 3 },
				{},
			);
		const unmap = (t: number, unmapped: string) =>
			call(
				t,
				"VFIO_IOMMU_UNMAP_DMA",
				{ container: 5, iova: "0x1000", size: "0x8000", flags: 0 },
				{ unmapped },
			);
		const calls = (unmapped: string): string =>
			[
				call(1, "OPEN_CONTAINER", {}, { fd: 5 }),
				call(2, "VFIO_SET_IOMMU", { container: 5, type: 1 }, {}),
				map(3, "0x1000"),
				map(4, "0x4000"),
				unmap(5, unmapped),
				map(6, "0x1000"),
			].join("\n");
		const told = await importAll({ calls: calls("0x4000") });
		expect(only(told.records, "type1.entry.removed")).toHaveLength(2);
		expect(only(told.records, "type1.entry.added")).toHaveLength(3);
		const untold = await importAll({ calls: calls("0x3000") });
		expect(only(untold.records, "type1.entry.removed")).toEqual([]);
		expect(only(untold.records, "type1.entry.added")).toHaveLength(2);
		expect(only(untold.records, "trace.lost").map(({ data }) => data)).toEqual([
			expect.objectContaining({ event: "t1_unmap_unpin_ret" }),
		]);
	});
});

test("an IOAS that nothing was done with is known by its number when it goes", async () => {
	const line = (t: string, text: string): string =>
		`            init-150     [001] ...1.  ${t}: ${text}`;
	const calls = [
		`{"t":1000000,"t_end":1100000,"seq":1,"tid":150,"call":"OPEN_IOMMUFD","args":{},"out":{"fd":7},"ret":7,"errno":0}`,
		`{"t":2000000,"t_end":2100000,"seq":2,"tid":150,"call":"IOMMU_IOAS_ALLOC","args":{"iommufd":7},"out":{"ioas_id":1},"ret":0,"errno":0}`,
		`{"t":3000000,"t_end":3100000,"seq":3,"tid":150,"call":"IOMMU_DESTROY","args":{"iommufd":7,"id":1},"out":{},"ret":0,"errno":0}`,
		`{"t":4000000,"t_end":4100000,"seq":4,"tid":150,"call":"IOMMU_IOAS_ALLOC","args":{"iommufd":7},"out":{"ioas_id":1},"ret":0,"errno":0}`,
		`{"t":5000000,"t_end":5100000,"seq":5,"tid":150,"call":"CLOSE_IOMMUFD","args":{"fd":7},"out":{},"ret":0,"errno":0}`,
	].join("\n");
	const destroyed = (t: string, obj: string) =>
		line(
			t,
			`ioas_destroy_in: (iommufd_ioas_destroy+0x4/0x40 [iommufd]) obj=${obj} ioas_id=1`,
		);
	const trace = [
		"# tracer: nop",
		destroyed("0.003050", "0xffff88800a0bbe00"),
		line(
			"0.003060",
			"obj_remove_ret: (iommufd_fops_ioctl+0x114/0x1b0 [iommufd] <- iommufd_object_remove) id=1 ret=0",
		),
		destroyed("0.005050", "0xffff88800a0bbf00"),
		"",
	].join("\n");
	const { records } = await importAll({ trace, calls });
	expect(lost(records)).toEqual([]);
	expect(only(records, "obj.gone").map(({ data }) => data.obj)).toEqual([
		"ctx:1/ioas:1@1",
		"ctx:1/ioas:1@2",
	]);
	expect(only(records, "ctx.closed").map(({ data }) => data.ctx)).toEqual([
		"ctx:1",
	]);
});
