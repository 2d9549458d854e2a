import { describe, expect, test } from "vitest";
import { importRecording } from "../../src/traces/import.ts";
import { headerProblem } from "../../src/vocabulary/header.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import {
	drain,
	FIXTURES,
	importAll,
	load,
	only,
	RECORDINGS,
	recordedCounts,
} from "./support.ts";

describe.each(RECORDINGS)("%s", (name) => {
	test("every line is consumed, counts are the recorder's, records fit the schema", async () => {
		const imported = await importRecording(`${FIXTURES}/${name}`);
		const { header, records, report } = await drain(imported);
		expect(headerProblem(header)).toBeUndefined();
		expect(header.fidelity).toBe("L1");
		expect(report.unexplained).toEqual([]);
		expect(report.consumed + report.comments).toBe(report.lines);
		expect(Object.fromEntries(report.events)).toEqual(recordedCounts(name));
		expect(report.witness).toMatchObject({ aligned: true, skipped: 0, bad: 0 });
		for (const [index, record] of records.entries()) {
			expect(recordProblem(record)).toBeUndefined();
			expect(record.seq).toBe(index + 1);
		}
	});

	test("every operation begins once and ends once, and its records lie between", async () => {
		const { records } = await importAll(load(name));
		const open = new Set<number>();
		for (const record of records) {
			if (record.type === "op.begin") {
				expect(record.op).toBe(record.seq);
				open.add(record.seq);
			} else if (record.op !== 0) expect(open.has(record.op)).toBe(true);
			if (record.type === "op.commit" || record.type === "op.fail")
				expect(open.delete(record.op)).toBe(true);
		}
		expect(open.size).toBe(0);
	});

	test("invalidation commands count up and complete", async () => {
		const { records } = await importAll(load(name));
		const issued = only(records, "inv.issued");
		const done = only(records, "inv.completed");
		expect(issued.map(({ data }) => data.inv)).toEqual(
			issued.map((_, index) => index + 1),
		);
		for (const { data } of done)
			expect(data.inv).toBeLessThanOrEqual(issued.length);
		if (issued.length > 0)
			expect(Math.max(...done.map(({ data }) => data.inv))).toBe(issued.length);
	});
});

test("the header tells kernel, properties and topology", async () => {
	const { header } = await importAll(load("f2_attach_v1.B1"));
	expect(header).toMatchObject({
		origin: "import",
		kernel: "6.12.117+deb12-amd64",
		iommu: { strict: true, cachingMode: false, scalable: false },
	});
	expect(header.topology.known).toBe("complete");
	expect(
		header.topology.groups.find(({ group }) => group === "group:7")?.members,
	).toHaveLength(4);
	const lazy = await importAll(load("c_bridge_v1.M6"));
	expect(lazy.header.iommu.strict).toBe(false);
	const scalable = await importAll(load("a_bridge_v1.M5"));
	expect(scalable.header.iommu).toMatchObject({
		cachingMode: true,
		scalable: true,
	});
});

test("a trace that begins at boot has no members in its header: they join", async () => {
	const { header, records } = await importAll(load("boot.M1"));
	expect(header.topology.groups).toEqual([]);
	expect(only(records, "grp.member.added")).toHaveLength(21);
	expect(only(records, "grp.default.set")).toHaveLength(14);
});

test("hot removal and another group after the rescan", async () => {
	const { records } = await importAll(load("h_hotplug.M1"));
	const moves = records.flatMap(({ type, data }) =>
		type === "grp.member.added" || type === "grp.member.removed"
			? [`${type} ${data.dev} ${data.group}`]
			: [],
	);
	expect(moves.slice(0, 4)).toEqual([
		"grp.member.removed device:0000:00:10.0 group:9",
		"grp.member.removed device:0000:00:10.1 group:9",
		"grp.member.added device:0000:00:10.0 group:9",
		"grp.member.added device:0000:00:10.1 group:14",
	]);
});
