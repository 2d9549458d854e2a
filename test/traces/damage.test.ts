/** Damaged, foreign and hostile input: counted and named, never a crash, and every line accounted for. */
import { describe, expect, test } from "vitest";
import { recordProblem } from "../../src/vocabulary/records.ts";
import type { Parts } from "./support.ts";
import { importAll, load, mapLines, only } from "./support.ts";

const LINE =
	"           iolab-404     [001] .....    11.058790: map: IOMMU: iova=0x00000000103d8000 - 0x00000000103d9000 paddr=0x000000010307c000 size=4096";

describe("what recorders say about themselves", () => {
	test.each([
		["CPU:1 [LOST 123 EVENTS]", 123, 1],
		["CPU:0 [LOST EVENTS]", 0, 0],
		["CPU:3 [EVENTS DROPPED]", 0, 3],
		["##### CPU 2 buffer started ####", 0, 2],
	])("%s", async (text, n, cpu) => {
		const { records, report } = await importAll({
			trace: `${LINE}\n${text}\n`,
		});
		expect(only(records, "trace.lost").map(({ data }) => data)).toContainEqual(
			expect.objectContaining({ n, cpu }),
		);
		expect(report.lost.markers).toBe(1);
		expect(report.unexplained).toEqual([]);
	});

	test("a buffer that was overwritten", async () => {
		const { records } = await importAll({
			trace: `# tracer: nop\n#\n# entries-in-buffer/entries-written: 100/250   #P:2\n${LINE}\n`,
		});
		expect(only(records, "trace.lost")[0]?.data).toEqual({
			n: 150,
			why: "buffer overwritten",
			from: 1,
			open: true,
		});
	});

	test("probe hits that the recorder missed", async () => {
		const parts = load("f2_ctl_late_v1.B1");
		const { records } = await importAll({
			...parts,
			counts: '{"kprobe_missed":7}',
		});
		expect(only(records, "trace.lost")[0]?.data.n).toBe(7);
	});

	test("the head of trace-cmd report", async () => {
		const { report } = await importAll({
			trace: `version = 7\ncpus=2\n${LINE}\n`,
		});
		expect(report).toMatchObject({ comments: 2, consumed: 1 });
	});
});

describe("lines that are none", () => {
	test("unknown events and rubbish are named with their line", async () => {
		const { records, report } = await importAll({
			trace: `${LINE}\n  x-1 [000] ..... 1.000000: sched_switch: a=b\nrubbish\n`,
		});
		expect(report.unexplained).toEqual([
			{ line: 2, event: "sched_switch", why: "event not known" },
			{ line: 3, event: "?", why: "not a trace line" },
		]);
		expect(only(records, "trace.unexplained")).toHaveLength(2);
	});

	test("the same complaint is written a limited number of times but counted in full", async () => {
		const many = `  x-1 [000] ..... 1.000000: other: a=b\n`.repeat(5000);
		const { records, report } = await importAll({ trace: many });
		expect(report.unexplainedCount).toBe(5000);
		expect(only(records, "trace.unexplained")).toHaveLength(100);
	});

	test("a last line without end", async () => {
		const { report } = await importAll({
			trace: `${LINE}\n${LINE.slice(0, 40)}`,
		});
		expect(report.truncated).toBe(true);
		expect(report.unexplainedCount).toBe(1);
		const whole = await importAll({ trace: `${LINE}\n${LINE}` });
		expect(whole.report).toMatchObject({ consumed: 2, unexplainedCount: 0 });
	});

	test("a line that never ends costs no memory and is named", async () => {
		const { report } = await importAll({
			trace: `${LINE}\n${"x".repeat(3_000_000)}\n${LINE}\n`,
		});
		expect(report).toMatchObject({ consumed: 2, unexplainedCount: 1 });
		expect(report.unexplained[0]?.why).toMatch(/longer than/);
	});

	test("line ends of another system", async () => {
		const { report } = await importAll({ trace: `${LINE}\r\n${LINE}\r\n` });
		expect(report).toMatchObject({ consumed: 2, unexplainedCount: 0 });
	});

	test("calls that are none", async () => {
		const parts = load("f2_ctl_late_v1.B1");
		const { report } = await importAll({
			...parts,
			calls: `{"t":1}\n[1,2]\nnull\n${parts.calls}{"t":5,`,
		});
		expect(report.calls.bad).toBe(4);
		expect(
			report.unexplained.map(({ line, event }) => [event, line]),
		).toContainEqual(["calls", 1]);
	});
});

/** Seeded generator (mulberry32): a failure is repeated by its seed. */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

type Mutate = (lines: string[], at: number, next: () => number) => void;
const swapAt = (lines: string[], a: number, b: number): void => {
	const kept = lines[a] ?? "";
	lines[a] = lines[b] ?? "";
	lines[b] = kept;
};
const replaceAt = (
	lines: string[],
	at: number,
	change: (line: string) => string,
): void => {
	lines[at] = change(lines[at] ?? "");
};

const MUTATIONS: { readonly [kind: string]: Mutate } = {
	drop: (lines, at) => lines.splice(at, 1),
	"drop twenty": (lines, at) => lines.splice(at, 20),
	duplicate: (lines, at) => lines.splice(at, 0, lines[at] ?? ""),
	"swap neighbours": (lines, at) => swapAt(lines, at, at + 1),
	"swap far": (lines, at, next) =>
		swapAt(lines, at, Math.floor(next() * lines.length)),
	"truncate line": (lines, at, next) =>
		replaceAt(lines, at, (line) => line.slice(0, next() * line.length)),
	"truncate input": (lines, at) => lines.splice(at),
	"corrupt byte": (lines, at, next) =>
		replaceAt(lines, at, (line) => {
			const where = Math.floor(next() * line.length);
			const byte = String.fromCharCode(Math.floor(next() * 256));
			return line.slice(0, where) + byte + line.slice(where + 1);
		}),
	"corrupt value": (lines, at, next) =>
		replaceAt(lines, at, (line) =>
			line.replace(
				/=0x[0-9a-f]+/,
				`=0x${Math.floor(next() * 1e9).toString(16)}`,
			),
		),
	"value not a number": (lines, at) =>
		replaceAt(lines, at, (line) => line.replace(/=(?:0x)?[0-9a-f]+/, "=zzz")),
	"value too large": (lines, at) =>
		replaceAt(lines, at, (line) =>
			line.replaceAll(/=0x[0-9a-f]+/g, `=0x${"f".repeat(16)}`),
		),
	"value far too large": (lines, at) =>
		replaceAt(lines, at, (line) =>
			line.replaceAll(/=0x[0-9a-f]+/g, `=0x${"f".repeat(40)}`),
		),
	"error pointer": (lines, at) =>
		replaceAt(lines, at, (line) =>
			line.replaceAll(/=0xffff[0-9a-f]{12}/g, "=0xfffffffffffffff4"),
		),
	"missing key": (lines, at) =>
		replaceAt(lines, at, (line) => line.replace(/ \w+=\S+/, "")),
	"other task": (lines, at) =>
		replaceAt(lines, at, (line) => line.replace(/-\d+ /, "-1 ")),
	"other event": (lines, at, next) =>
		replaceAt(lines, at, (line) => {
			const other = lines[Math.floor(next() * lines.length)] ?? "";
			const name = /: (\w+):/.exec(other)?.[1] ?? "map";
			return line.replace(/: \w+:/, `: ${name}:`);
		}),
	"time back": (lines, at) =>
		replaceAt(lines, at, (line) => line.replace(/ \d+\.\d{6}:/, " 0.000001:")),
	"failed return": (lines, at) =>
		replaceAt(lines, at, (line) => line.replace(/ret=\S+/, "ret=-12")),
	rubbish: (lines, at) => lines.splice(at, 0, '\u0000\u0001=[000]: ((("'),
	interrupt: (lines, at) =>
		replaceAt(lines, at, (line) => line.replace("] .....", "] ..h..")),
};

describe.each([
	["f2_attach_v1.B1", 20],
	["b_mfunc_v1.M1", 3],
	["e_type1_v1.M2", 3],
] as const)("mutations of %s at %i positions", (name, positions) => {
	const parts = load(name);
	const lines = (parts.trace ?? "").split("\n");
	test.each(Object.keys(MUTATIONS))("%s never crashes", async (kind) => {
		const mutate = MUTATIONS[kind] as Mutate;
		const next = random(kind.length * 7919 + name.length);
		for (let i = 0; i < positions; i++) {
			const copy = [...lines];
			mutate(copy, 12 + Math.floor(next() * (lines.length - 14)), next);
			await check({ ...parts, trace: copy.join("\n") });
		}
	});
});

test("mutated calls and emulator logs never crash", async () => {
	const parts = load("f2_attach_v1.B1");
	const next = random(4711);
	for (let i = 0; i < 60; i++) {
		const damage = (text: string | undefined): string =>
			mapLines(text, (line) => {
				if (next() > 0.1) return line;
				const where = Math.floor(next() * line.length);
				return line.slice(0, where) + line.slice(where + 1 + next() * 5);
			});
		await check({
			...parts,
			calls: damage(parts.calls),
			witness: damage(parts.witness),
			groups: damage(parts.groups),
			cmdline: damage(parts.cmdline),
			counts: damage(parts.counts),
		});
	}
});

async function check(parts: Parts): Promise<void> {
	const { records, report } = await importAll(parts);
	for (const [index, record] of records.entries()) {
		expect(record.seq).toBe(index + 1);
		const problem = recordProblem(record);
		if (problem !== undefined)
			expect.fail(`${problem}: ${record.type} #${record.seq}`);
	}
	expect(report.records).toBe(records.length);
	const named = report.unexplainedCount;
	expect(report.consumed + report.comments + named).toBeGreaterThanOrEqual(
		report.lines,
	);
}
