/** Recordings of Linux 6.12 that ship with the project: verdicts, ids and evidence; and the same recordings with lines removed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bisect, shrink } from "../../src/replay/shrink.ts";
import {
	createVerifier,
	type Report,
	verifyRecords,
} from "../../src/replay/verify.ts";
import { memorySource } from "../../src/traces/bytes.ts";
import { importParts, type Recording } from "../../src/traces/import.ts";
import { findRecording } from "../../src/traces/recording.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

const folder = (name: string): string =>
	join(import.meta.dirname, "../../logs/kernel", name);

interface Imported {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
}
async function load(recording: Recording): Promise<Imported> {
	const { header, batches } = await importParts(recording);
	const records: LogRecord[] = [];
	for await (const batch of batches)
		records.push(
			...batch.map(
				(record) => ({ ...record, data: { ...record.data } }) as LogRecord,
			),
		);
	return { header, records };
}
async function judge(name: string): Promise<Report> {
	const { header, records } = await load(await findRecording(folder(name)));
	return verifyRecords(header, records);
}
/** The recording with its trace changed line by line. */
async function changed(
	name: string,
	change: (lines: string[]) => string[],
): Promise<Imported> {
	const recording = await findRecording(folder(name));
	const bytes = readFileSync(join(folder(name), "trace.txt.gz"));
	const lines = change(gunzipSync(bytes).toString("utf8").split("\n"));
	return load({
		...recording,
		trace: memorySource("trace.txt", lines.join("\n")),
	});
}
const found = (report: Report): string[] => [
	...new Set(report.violations.map(({ id, evidence }) => `${id} ${evidence}`)),
];

test.each([
	["f2_attach_v1.B1", ["PT-32 proven"]],
	["f2_detach_v1.B1", ["PT-32 proven"]],
	["f2_replace_mfunc_v1.B1", ["PT-32 proven"]],
	["f2_ctl_nodma_v1.B1", ["PT-32 possible"]],
	["f2_ctl_late_v1.B1", []],
	["f2_ctl_nodelay_v1.B1", []],
	["f1_extra_resv_v1.A1", ["RSV-2 proven", "IOP-2 possible"]],
	["f1_ctl_two_mfunc.A1", []],
	["f4_ro_mfunc_v1.B5", ["VFT-7 possible"]],
	["a_mfunc_v1.M1", []],
	["b_bridge_v1.M1", []],
	["c_mfunc_v2.M1", []],
	["e_type1_v2.M1", []],
	["g_superpage.M1", []],
] as const)(
	"%s",
	async (name, expected) => {
		const report = await judge(name);
		expect(found(report)).toEqual(expected);
		expect(report.verdict).toBe(expected.length > 0 ? "violated" : "holds");
		expect(report.fidelity).toBe("L1");
	},
	30_000,
);

test("the unflushed unmap says what was reached through it", async () => {
	const report = await judge("f2_attach_v1.B1");
	const [violation] = report.violations;
	expect(violation).toMatchObject({ id: "PT-32", evidence: "proven" });
	expect(violation?.message).toMatch(
		/0x103d8000-0x103d8fff .* physical 0x10307c000/,
	);
	expect(violation?.useCount).toBeGreaterThan(5);
	expect(violation?.uses.some(({ what }) => what.includes("0x10307c000"))).toBe(
		true,
	);
	expect(report.staleWindows.longestNs).toBeGreaterThan(2e9);
	expect(report.warnings.some(({ id }) => id === "PT-54")).toBe(true);
});

test("a failed replace inside one IOAS: the drop, the bare region, the map that was accepted", async () => {
	const report = await judge("f1_same_single_v1.A1");
	expect(report.violations[0]?.id).toBe("RSV-5");
	expect(new Set(report.violations.map(({ id }) => id))).toEqual(
		new Set(["RSV-5", "RSV-2"]),
	);
	expect(
		report.violations.some(
			({ id, evidence }) => id === "RSV-2" && evidence === "proven",
		),
	).toBe(true);
	// Provoked copy faults (fail-nth) are warnings; the reservations are not.
	expect(report.warnings.some(({ id }) => id === "VFT-7")).toBe(true);
});

test.each(["a_mfunc_v1.M1", "b_mfunc_v1.M1", "c_bridge_v1.M1"])(
	"%s exercises what it must",
	async (name) => {
		const report = await judge(name);
		const checked = new Map(
			report.invariants.map((one) => [one.id, one.checked]),
		);
		for (const id of [
			"GRP-1",
			"GRP-4",
			"GRP-6",
			"GRP-7",
			"GRP-8",
			"RSV-2",
			"RSV-3",
		])
			expect([id, (checked.get(id) ?? 0) > 0]).toEqual([id, true]);
	},
);

test("what the kernel did in scenario 1: one switch for all, then no-ops", async () => {
	const { summary } = await judge("a_mfunc_v1.M1");
	const calls = summary.calls.filter(
		(call) => call.op === "attach" || call.op === "replace",
	);
	expect(
		calls
			.slice(0, 6)
			.map((call) => [
				call.did,
				call.switches.map((one) => one.members.length),
			]),
	).toEqual([
		["attached", [3]],
		["attached", []],
		["attached", []],
		["replaced", [3]],
		["unchanged", []],
		["unchanged", []],
	]);
});

const at = (lines: readonly string[], text: string, from = 0): number =>
	lines.findIndex((line, i) => i >= from && line.includes(text));

test("without the attach of one member: red at the replace", async () => {
	const { header, records } = await changed("a_mfunc_v1.M1", (lines) => {
		const replace = at(lines, "replace_group_handle_in");
		const second = at(
			lines,
			"attach_device_to_domain",
			at(lines, "attach_device_to_domain", replace) + 1,
		);
		return lines.toSpliced(second, 1);
	});
	const report = verifyRecords(header, records);
	const [first] = report.violations;
	expect(first?.id).toBe("GRP-7");
	expect(records[(first?.seq ?? 0) - 1]?.type).toBe("dev.replaced");
	expect(report.violations.map(({ id }) => id)).toContain("GRP-1");
});

test("without one qi_submit: possible, and the line that contradicts it is named", async () => {
	const { header, records } = await changed("a_mfunc_v1.M1", (lines) => {
		const flush = at(lines, "cache_tag_flush_range:");
		return lines.toSpliced(at(lines, "qi_submit: iotlb_inv", flush), 1);
	});
	const report = verifyRecords(header, records);
	expect(found(report)).toEqual(["PT-32 possible"]);
	const claim = /#(\d+) \(tag\.flushed\) contradicts this/.exec(
		report.violations[0]?.message ?? "",
	);
	expect(records[Number(claim?.[1]) - 1]?.type).toBe("tag.flushed");
	expect(records[(report.violations[0]?.seq ?? 0) - 1]?.type).toBe(
		"iotlb.synced",
	);

	const small = shrink(header, records, "PT-32");
	expect(small?.records.length).toBeLessThan(60);
	expect(verifyRecords(header, small?.records ?? []).violations[0]?.id).toBe(
		"PT-32",
	);
	expect(bisect(header, records, "PT-32")?.lastSeq).toBe(
		report.violations[0]?.seq,
	);
});

test("without the whole invalidation: possible, and nothing contradicts it", async () => {
	const { header, records } = await changed("a_mfunc_v1.M1", (lines) => {
		const flush = at(lines, "cache_tag_flush_range:");
		const end = at(lines, "ct_flush_range_ret", flush);
		const begin = lines.findLastIndex(
			(line, i) => i < flush && line.includes("ct_flush_range_in"),
		);
		return lines.toSpliced(begin, end - begin + 1);
	});
	const report = verifyRecords(header, records);
	expect(found(report)).toEqual(["PT-32 possible"]);
	expect(report.violations[0]?.message).not.toContain("contradicts");
});

test("after lost events absence proves nothing", async () => {
	const { header, records } = await changed("a_mfunc_v1.M1", (lines) => {
		const flush = at(lines, "cache_tag_flush_range:");
		return lines.toSpliced(at(lines, "qi_submit: iotlb_inv", flush), 1);
	});
	const synced = verifyRecords(header, records).violations[0]?.seq ?? 0;
	const judgeWith = (index: number): Report => {
		const verifier = createVerifier(header);
		records.forEach((record, i) => {
			if (i === index)
				verifier.next({
					seq: record.seq,
					t: record.t,
					type: "trace.lost",
					actor: "host",
					op: 0,
					data: { n: 3 },
				});
			else verifier.next(record);
		});
		return verifier.finish();
	};
	const lost = records.findIndex(
		(record, i) =>
			i < synced - 1 &&
			record.type === "tag.flushed" &&
			record.seq > synced - 4,
	);
	const report = judgeWith(lost);
	expect(report.violations).toEqual([]);
	expect(report.verdict).toBe("unexplained");
	expect(
		report.unexplained.some(
			({ id, missing }) =>
				id === "PT-32" && missing.includes("events were lost"),
		),
	).toBe(true);
});
