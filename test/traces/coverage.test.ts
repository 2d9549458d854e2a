/**
 * A recording with parts missing never shows a violation that the whole one does not: begun late, cut short, with holes, with an overwritten
 * buffer, out of order, with whole kinds of events filtered out.
 */
import { describe, expect, test } from "vitest";
import { createVerifier, type Report } from "../../src/replay/verify.ts";
import { importAll, load, mapLines, only, type Parts } from "./support.ts";

async function verify(parts: Parts): Promise<Report> {
	const { header, records } = await importAll(parts);
	const verifier = createVerifier(header);
	for (const record of records) verifier.next(record);
	return verifier.finish();
}

const idsOf = (report: Report): string[] =>
	report.violations.map(({ id }) => id);
const cpuOf = (line: string): string => /\[(\d+)\]/.exec(line)?.[1] ?? "";

/** Head and event lines of a trace. */
function split(parts: Parts): { head: string[]; lines: string[] } {
	const all = (parts.trace ?? "").split("\n").filter((line) => line !== "");
	return {
		head: all.filter((line) => line.startsWith("#")),
		lines: all.filter((line) => !line.startsWith("#")),
	};
}

type Damage = (lines: readonly string[], at: number) => readonly string[];
const DAMAGES: { readonly [kind: string]: Damage } = {
	"begun late": (lines, at) => lines.slice(at),
	"cut short": (lines, at) => lines.slice(0, at),
	"a hole": (lines, at) => {
		const n = lines.length >> 3;
		const marker = `CPU:0 [LOST ${n} EVENTS]`;
		return [...lines.slice(0, at), marker, ...lines.slice(at + n)];
	},
	"one CPU overwritten": (lines, at) => {
		const kept = lines.filter(
			(line, index) => index >= at || cpuOf(line) === "000",
		);
		const first = kept.findIndex((line) => cpuOf(line) !== "000");
		const overwritten = `# entries-in-buffer/entries-written: ${kept.length}/${lines.length}   #P:2`;
		const marker = "##### CPU 1 buffer started ####";
		return [overwritten, ...kept.toSpliced(Math.max(0, first), 0, marker)];
	},
};
const WHOLE: {
	readonly [kind: string]: (lines: readonly string[]) => string[];
} = {
	"CPU after CPU": (lines) => [
		...lines.filter((line) => cpuOf(line) === "000"),
		...lines.filter((line) => cpuOf(line) !== "000"),
	],
	"bursts swapped": (lines) => {
		const out: string[] = [];
		for (let at = 0; at < lines.length; at += 20) {
			const burst = lines.slice(at, at + 20);
			out.push(...burst.filter((line) => cpuOf(line) === "001"));
			out.push(...burst.filter((line) => cpuOf(line) !== "001"));
		}
		return out;
	},
	backwards: (lines) => lines.toReversed(),
};

describe.each([
	"a_bridge_v1.M1",
	"f2_attach_v1.B1",
	"f4_ro_mfunc_v1.B5",
	"e_type1_v1.M2",
	"h_hotplug.M1",
])("%s", (name) => {
	const parts = load(name);
	const { head, lines } = split(parts);
	const withLines = (kept: readonly string[]): Parts => ({
		...parts,
		trace: `${[...head, ...kept].join("\n")}\n`,
	});
	const known = verify(parts).then((report) => new Set(idsOf(report)));
	const check = async (damaged: Parts): Promise<void> => {
		const ids = await known;
		for (const one of [damaged, { ...damaged, calls: undefined }])
			expect(
				idsOf(await verify(one as Parts)).filter((id) => !ids.has(id)),
			).toEqual([]);
	};

	test.each(Object.keys(DAMAGES))("%s", async (kind) => {
		for (const part of [0.1, 0.35, 0.6, 0.85])
			await check(
				withLines(
					DAMAGES[kind]?.(lines, Math.floor(lines.length * part)) ?? [],
				),
			);
	});
	test.each(Object.keys(WHOLE))("%s", async (kind) => {
		await check(withLines(WHOLE[kind]?.(lines) ?? []));
	});
});

describe.each(["b_mfunc_v1.M1", "f2_ctl_late_v1.B1"])(
	"%s without one kind of event",
	(name) => {
		const parts = load(name);
		const events = [
			...new Set(
				[...(parts.trace ?? "").matchAll(/^.*?\s\d+\.\d+: (\w+):/gm)].map(
					([, event = ""]) => event,
				),
			),
		];
		test.each(events)("%s", async (event) => {
			const trace = mapLines(parts.trace, (line) =>
				line.includes(` ${event}: `) ? undefined : line,
			);
			const report = await verify({ ...parts, trace });
			expect(idsOf(report)).toEqual([]);
		});
	},
);

test("the same recording twice, one after the other: the first verdict stands, the second part is not judged", async () => {
	const parts = load("f2_attach_v1.B1");
	const once = await verify(parts);
	const twice = await verify({
		...parts,
		trace: `${parts.trace}${parts.trace}`,
	});
	expect(twice.violations.map(({ id, seq }) => [id, seq])).toEqual(
		once.violations.map(({ id, seq }) => [id, seq]),
	);
});

test("line ends of another system in every part", async () => {
	const parts = load("f2_attach_v1.B1");
	const foreign = Object.fromEntries(
		Object.entries(parts).map(([part, text]) => [
			part,
			part === "name" ? text : text?.replaceAll("\n", "\r\n"),
		]),
	);
	expect(await verify(foreign)).toEqual(await verify(parts));
});

test("calls from before and after the trace are told apart from it", async () => {
	const parts = load("a_bridge_v1.M1");
	const { head, lines } = split(parts);
	const middle = lines.slice(lines.length >> 2, -(lines.length >> 2));
	const { records } = await importAll({
		...parts,
		trace: `${[...head, ...middle].join("\n")}\n`,
	});
	expect(
		only(records, "trace.lost").map(({ data }) => [data.why, data.open]),
	).toEqual(
		expect.arrayContaining([
			["these calls came before the trace", true],
			["the trace begins here: calls came before it", false],
			["the trace ends here: other parts of the recording go on", true],
		]),
	);
});
