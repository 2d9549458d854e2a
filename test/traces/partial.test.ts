/** Less than everything: calls alone, markers alone, probes alone, tracepoints alone, a trace that starts in the middle. */
import { describe, expect, test } from "vitest";
import { ImportError } from "../../src/traces/import.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import {
	importAll,
	load,
	mapLines,
	only,
	RECORDINGS,
	TRACEPOINT_LINE,
} from "./support.ts";

const outcomes = (records: Parameters<typeof only>[0]): string[] =>
	records.flatMap((record) =>
		record.type.startsWith("dev.") ? [`${record.type} ${record.actor}`] : [],
	);

describe("the same story from less", () => {
	const full = load("a_bridge_v1.M1");
	const { trace = "", calls = "" } = full;

	test("calls alone", async () => {
		const whole = await importAll(full);
		const { header, records, report } = await importAll({ calls });
		expect(header).toMatchObject({ fidelity: "L0" });
		expect(report.calls.read).toBeGreaterThan(50);
		expect(outcomes(records)).toEqual(outcomes(whole.records));
		expect(only(records, "hw.attach")).toEqual([]);
		expect(only(records, "ioas.ranges.read")).toHaveLength(1);
	});

	test("calls alone through the main input, as from a pipe", async () => {
		const { records } = await importAll({ trace: calls });
		expect(records.map(({ type }) => type)).toEqual(
			(await importAll({ calls })).records.map(({ type }) => type),
		);
	});

	test("a trace with markers, without calls", async () => {
		const whole = await importAll(full);
		const { header, records, report } = await importAll({ trace });
		expect(header).toMatchObject({
			fidelity: "L1",
			topology: { known: "unknown" },
		});
		expect(report.unexplained).toEqual([]);
		expect(outcomes(records)).toEqual(outcomes(whole.records));
		expect(only(records, "hw.attach").map(({ data }) => data.dev)).toEqual(
			only(whole.records, "hw.attach").map(({ data }) => data.dev),
		);
		expect(only(records, "grp.member.added")).toHaveLength(4);
	});

	test("with markers alone areas still come before their maps and go before their unmaps", async () => {
		const { records } = await importAll({ trace });
		const orders = [
			["area.claimed", "dom.map"],
			["area.draining", "dom.unmap"],
		] as const;
		for (const [first, then] of orders) {
			const later = only(records, then).filter(
				({ op }) =>
					op !== 0 && records.some((r) => r.op === op && r.type === first),
			);
			expect(later.length).toBeGreaterThan(0);
			for (const { op, seq } of later)
				for (const record of only(records, first))
					if (record.op === op) expect(record.seq).toBeLessThan(seq);
		}
	});

	test("what is older than the trace is said to be", async () => {
		const lines = trace.split("\n");
		const { records } = await importAll({ trace: lines.slice(500).join("\n") });
		const older = only(records, "trace.lost").map(({ data }) => data.why);
		expect(older).toContain("a bound device is older than the trace");
		expect(older).toContain("an hwpt is older than the trace");
		const whole = await importAll({ trace });
		expect(only(whole.records, "trace.lost")).toEqual([]);
	});

	test("probes alone: their own brackets are the operations", async () => {
		const bare = mapLines(trace, (line) =>
			line.includes("tracing_mark_write") ? undefined : line,
		);
		const { records, report } = await importAll({ trace: bare });
		expect(report.unexplained).toEqual([]);
		expect(outcomes(records)).toEqual(
			outcomes((await importAll(full)).records),
		);
		const names = only(records, "op.begin").map(({ data }) => data.op);
		expect(names).toEqual(
			"bind bind bind attach attach attach replace replace replace replace detach detach detach unbind unbind unbind".split(
				" ",
			),
		);
	});

	test("a trace that starts in the middle of life: objects are learned, not assumed", async () => {
		const lines = trace.split("\n");
		for (const start of [200, 400, 800, 1200]) {
			const { records, report } = await importAll({
				...full,
				trace: lines.slice(start).join("\n"),
			});
			expect(report.unexplained).toEqual([]);
			for (const record of records)
				expect(recordProblem(record)).toBeUndefined();
		}
	});

	test("neither a trace nor calls", async () => {
		await expect(importAll({ groups: "group 1" })).rejects.toThrow(ImportError);
	});

	test("a log of our own is not a recording", async () => {
		await expect(
			importAll({ trace: '{"format":"iommu-ledger","version":1}\n' }),
		).rejects.toThrow(/log of iommu-ledger/);
	});
});

describe.each(RECORDINGS)(
	"%s filtered to the kernel's own tracepoints",
	(name) => {
		test("fidelity L0, no line unexplained, nothing but what the lines say", async () => {
			const parts = load(name);
			const { header, records, report } = await importAll({
				name: "x",
				...(parts.groups === undefined ? {} : { groups: parts.groups }),
				...(parts.cmdline === undefined ? {} : { cmdline: parts.cmdline }),
				trace: mapLines(parts.trace, (line) =>
					TRACEPOINT_LINE.test(line) ? line : undefined,
				),
			});
			expect(header.fidelity).toBe("L0");
			expect(report.unexplained).toEqual([]);
			for (const record of records)
				expect(recordProblem(record)).toBeUndefined();
			// No guess: a domain has content only where a flush of its id names it.
			const flushed = new Set(
				only(records, "did.assigned").map(({ data }) => data.dom),
			);
			for (const { data } of only(records, "dom.unmap"))
				expect(flushed.has(data.dom)).toBe(true);
			expect(only(records, "dom.map")).toEqual([]);
			expect(only(records, "ig.list.add")).toEqual([]);
		});
	},
);

test("without probes one switch takes all members of a group to one domain", async () => {
	const parts = load("b_mfunc_v1.M1");
	const { records, report } = await importAll({
		name: "x",
		groups: parts.groups ?? "",
		trace: mapLines(parts.trace, (line) =>
			TRACEPOINT_LINE.test(line) ? line : undefined,
		),
	});
	const attaches = only(records, "hw.attach");
	expect(attaches.length).toBe(18);
	for (let i = 0; i < attaches.length; i += 3)
		expect(
			new Set(attaches.slice(i, i + 3).map(({ data }) => data.dom)).size,
		).toBe(1);
	expect([...report.attributed.keys()]).toContain(
		"attach: cache tag assigned just before by the same task",
	);
});
