/** Legacy VFIO containers in the live system: the answers of facts §5 and vectors 44 and 45, and what they share with iommufd. */
import { expect, test } from "vitest";
import { createIommuSystem } from "../../src/index.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";

const outcomes = (name: string) => {
	const { calls, header, records } = runScenario(runScenarioNamed(name));
	const report = verifyRecords(header, records);
	expect(report.violations).toEqual([]);
	return Object.fromEntries(
		Object.entries(calls).map(([label, { errno, result }]) => [
			label,
			errno ?? (result as { bytes?: string } | undefined)?.bytes ?? "ok",
		]),
	);
};
const SHARED = {
	open: "ok",
	"group 1": "ok",
	"group 1 again": "EINVAL",
	type: "ok",
	"type again": "EINVAL",
	map: "ok",
	"map over it": "EEXIST",
	"map over the MSI window": "EINVAL",
	"map behind it": "ok",
	"group 2": "ok",
	"unmap nothing": "0x0",
	"group 2 leaves": "ok",
	"group 1 leaves": "ok",
	close: "ok",
};

test("v1: the first page takes the whole entry, the middle takes nothing", () => {
	expect(outcomes("legacy-v1")).toEqual({
		...SHARED,
		"unmap the first page": "0x200000",
		"unmap from the middle": "0x0",
		"unmap whole": "0x200000",
		"unmap all": "0x0",
	});
});
test("v2: both are EINVAL, whole entries go", () => {
	expect(outcomes("legacy-v2")).toEqual({
		...SHARED,
		"unmap the first page": "EINVAL",
		"unmap from the middle": "EINVAL",
		"unmap whole": "0x200000",
		"unmap all": "0x200000",
	});
});

test("a group in a container cannot be bound, and the other way round; its devices go back to their default domain", () => {
	const { topology, devices } = runScenarioNamed("legacy-v2");
	const system = createIommuSystem({ topology });
	const group = topology.groups[0]!.group;
	const dev = devices["dev1"]!;
	const box = system.containerOpen();
	const ctx = system.open();
	system.groupSetContainer({ ctx: box, group });
	expect(() => system.bind({ ctx, dev })).toThrow(/EPERM/);
	expect(() => system.ioasAlloc({ ctx: box })).toThrow(/EBADF/);
	system.groupUnsetContainer({ ctx: box, group });
	expect(system.bind({ ctx, dev })).toBe(1);
	expect(() => system.groupSetContainer({ ctx: box, group })).toThrow(/EPERM/);
	system.unbind({ ctx, dev });
	system.containerClose({ ctx: box });
	system.close({ ctx });
	expect(() => system.containerClose({ ctx: box })).toThrow(/EBADF/);
	const report = verifyRecords(system.header, system.records);
	expect(report.violations).toEqual([]);
});
