import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createMachine, setup } from "xstate";
import { toXState } from "../../machines/define.ts";
import { chartSvg } from "../../src/inspector/export/chart-svg.ts";
import {
	mermaidChart,
	mermaidId,
} from "../../src/inspector/export/mermaid-chart.ts";
import { rvDot } from "../../src/inspector/export/rv-dot.ts";
import { scxml } from "../../src/inspector/export/scxml.ts";
import {
	type Chart,
	chartOfDefinition,
	chartOfMachine,
	type ChartEdge,
} from "../../src/inspector/model/chart.ts";
import { layoutChart } from "../../src/inspector/model/chart-layout.ts";
import {
	flattened,
	TooManyStatesError,
} from "../../src/inspector/model/flat-chart.ts";
import {
	ENTITY_MACHINES,
	machineOf,
	TRANSACTION_MACHINES,
} from "../../src/inspector/model/machines.ts";

/** Debian packages graphviz and libxml2-utils: real readers, where they are installed. */
const hasProgram = (name: string): boolean =>
	spawnSync(name, ["-V"]).error === undefined;

const OURS = [...ENTITY_MACHINES, ...TRANSACTION_MACHINES];

/** A machine of somebody else: everything that statecharts have. */
const foreign = setup({
	guards: { isDry: () => true, isHot: () => false },
	actions: { ring: () => undefined, "<b>bold</b>": () => undefined },
	delays: { pause: 10 },
}).createMachine({
	id: 'kettle "&<x>',
	type: "parallel",
	states: {
		heat: {
			initial: "off",
			states: {
				off: {
					on: {
						PLUG: [
							{ guard: "isDry", target: "broken" },
							{ target: "on", actions: ["ring"] },
						],
					},
				},
				on: {
					entry: ["<b>bold</b>"],
					always: { guard: "isHot", target: "off" },
					after: { pause: "off" },
					on: { PLUG: { actions: "ring" } },
				},
				broken: { type: "final" },
			},
		},
		lid: {
			initial: "shut",
			states: { shut: { on: { OPEN: "up" } }, up: { on: { SHUT: "shut" } } },
		},
	},
});

const plain = (edge: ChartEdge) => ({ ...edge, reenter: edge.reenter });

describe("charts", () => {
	it.each(OURS.map((d) => [d.id, d] as const))(
		"%s: the definition and its XState machine give one chart",
		(_, definition) => {
			const own = chartOfDefinition(definition);
			const machine = chartOfMachine(toXState(definition));
			expect(
				machine.states.map((s) => [s.path, s.kind, s.initial, s.entry]),
			).toEqual(own.states.map((s) => [s.path, s.kind, s.initial, s.entry]));
			const sorted = (edges: readonly ChartEdge[]) =>
				edges.map((e) => JSON.stringify(plain(e))).sort();
			expect(sorted(machine.edges)).toEqual(sorted(own.edges));
		},
	);

	it("reads always, after, final and parallel of any machine", () => {
		const chart = chartOfMachine(foreign);
		expect(
			chart.edges
				.filter((e) => e.from === "heat.on")
				.map((e) => [e.trigger, e.event, e.guard, e.to]),
		).toEqual([
			["event", "PLUG", undefined, undefined],
			["after", "pause", undefined, "heat.off"],
			["always", "", "isHot", "heat.off"],
		]);
		expect(chart.states.map((s) => s.kind)).toEqual([
			"parallel",
			"compound",
			"atomic",
			"atomic",
			"final",
			"compound",
			"atomic",
			"atomic",
		]);
	});

	it("names guards that are put together, and inline ones", () => {
		const chart = chartOfMachine(
			createMachine({
				id: "m",
				on: { A: { guard: () => true, actions: () => undefined } },
			}),
		);
		expect(chart.edges[0]?.guard).toMatch(/guard|inline/);
	});
});

describe("the layout", () => {
	const inside = (
		a: { x: number; y: number; width: number; height: number },
		b: typeof a,
	) =>
		a.x >= b.x &&
		a.y >= b.y &&
		a.x + a.width <= b.x + b.width &&
		a.y + a.height <= b.y + b.height;
	const apart = (
		a: Parameters<typeof inside>[0],
		b: Parameters<typeof inside>[0],
	) =>
		a.x + a.width <= b.x ||
		b.x + b.width <= a.x ||
		a.y + a.height <= b.y ||
		b.y + b.height <= a.y;

	it.each([
		...OURS.map((d) => [d.id, chartOfDefinition(d)] as const),
		["foreign", chartOfMachine(foreign)] as const,
	])(
		"%s: boxes lie in their parents and beside their siblings, every transition is drawn or written",
		(_, chart) => {
			const { boxes, wires, width, height } = layoutChart(chart);
			expect(boxes).toHaveLength(chart.states.length);
			for (const box of boxes) {
				expect(box.x + box.width).toBeLessThanOrEqual(width);
				expect(box.y + box.height).toBeLessThanOrEqual(height);
				const parent = boxes.find(
					(b) => b.state.path === box.state.parent && b !== box,
				);
				if (box.state.parent !== undefined && parent !== undefined)
					expect(inside(box, parent)).toBe(true);
				for (const other of boxes)
					if (other !== box && other.state.parent === box.state.parent)
						expect(apart(box, other)).toBe(true);
			}
			const written = boxes.flatMap((b) => b.lines.flatMap((l) => l.edges));
			expect(written).toHaveLength(chart.edges.length);
			const moves = new Set(
				chart.edges
					.filter((e) => e.to !== undefined && e.to !== e.from)
					.map((e) => `${e.from} ${e.to}`),
			);
			expect(new Set(wires.map((w) => `${w.from} ${w.to}`))).toEqual(moves);
		},
	);

	it("draws replace with its unwinding to the right, in a size that can be read", () => {
		const { boxes, width } = layoutChart(
			chartOfDefinition(machineOf("replace") as (typeof OURS)[number]),
		);
		const unwinding = boxes.find((b) => b.state.path === "unwinding");
		const switching = boxes.find((b) => b.state.path === "Switching");
		expect(unwinding?.x).toBeGreaterThan(
			(switching?.x ?? 0) + (switching?.width ?? 0),
		);
		expect(width).toBeLessThan(1000);
	});

	it("never refuses: deep, empty and huge charts", () => {
		const state = (
			path: string,
			parent: string | undefined,
			kind: "atomic" | "compound",
		): Chart["states"][number] => ({
			path,
			name: path,
			parent,
			kind,
			initial: undefined,
			entry: [],
			exit: [],
			invokes: [],
			description: undefined,
		});
		const deep: Chart["states"][number][] = [state("", undefined, "compound")];
		for (let i = 1, path = ""; i < 30; i++) {
			const next = path === "" ? "s" : `${path}.s`;
			deep.push(state(next, path, i === 29 ? "atomic" : "compound"));
			path = next;
		}
		expect(
			layoutChart({ id: "deep", about: "", states: deep, edges: [] }).boxes,
		).toHaveLength(30);
		expect(
			layoutChart({
				id: "empty",
				about: "",
				states: [state("", undefined, "atomic")],
				edges: [],
			}).boxes,
		).toHaveLength(1);
		const many = [
			state("", undefined, "compound"),
			...Array.from({ length: 300 }, (_, i) => state(`s${i}`, "", "atomic")),
		];
		// Edge i goes from i to 7i: six of 300 stay where they are, and three events share each way.
		const edges = Array.from(
			{ length: 900 },
			(_, i): ChartEdge => ({
				from: `s${i % 300}`,
				to: `s${(i * 7) % 300}`,
				trigger: "event",
				event: `E${i}`,
				guard: undefined,
				actions: [],
				reenter: false,
			}),
		);
		expect(
			layoutChart({ id: "many", about: "", states: many, edges }).wires.length,
		).toBe(294);
	});
});

/** Reads SVG, SCXML as strictly as needed: tags must nest, attributes must be quoted and escaped. */
function tagsOf(xml: string): string[] {
	const open: string[] = [];
	const seen: string[] = [];
	const body = xml
		.replace(/<\?xml[^>]*\?>/, "")
		.replace(/<!--[\s\S]*?-->/g, "");
	let at = 0;
	for (const m of body.matchAll(
		/<(\/?)([\w:-]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g,
	)) {
		expect(body.slice(at, m.index)).not.toMatch(/[<>]/);
		at = m.index + m[0].length;
		if (m[1] === "/") expect(open.pop()).toBe(m[2]);
		else {
			seen.push(m[2] as string);
			if (m[4] !== "/") open.push(m[2] as string);
		}
	}
	expect(body.slice(at)).not.toMatch(/[<>]/);
	expect(open).toEqual([]);
	return seen;
}

describe("exports", () => {
	const charts = [
		...OURS.map((d) => chartOfDefinition(d)),
		chartOfMachine(foreign),
	];

	it.each(charts.map((c) => [c.id, c] as const))(
		"%s: SVG and SCXML are well-formed and complete",
		(_, chart) => {
			expect(tagsOf(chartSvg(layoutChart(chart)))[0]).toBe("svg");
			const document = scxml(chart);
			const tags = tagsOf(document);
			const count = (tag: string) => tags.filter((t) => t === tag).length;
			expect(count("transition")).toBe(chart.edges.length);
			const own = count("state") + count("parallel") + count("final");
			expect([chart.states.length, chart.states.length - 1]).toContain(own);
			const ids = [...document.matchAll(/ id="([^"]+)"/g)].map(
				(m) => m[1] as string,
			);
			expect(new Set(ids).size).toBe(ids.length);
			for (const m of document.matchAll(/ (?:target|initial)="([^"]+)"/g))
				expect(ids).toContain(m[1]);
		},
	);

	it.each(charts.map((c) => [c.id, c] as const))(
		"%s: Mermaid holds every state once and every transition",
		(_, chart) => {
			const text = mermaidChart(chart);
			for (const { path } of chart.states)
				if (path !== "")
					expect(
						text
							.split(` as ${mermaidId(path)}`)
							.filter((s) => /^(?:$| \{|\n)/.test(s)).length,
					).toBe(1);
			const arrows = text
				.split("\n")
				.filter((line) => line.includes("-->") && !line.includes("[*]"));
			expect(arrows).toHaveLength(
				chart.edges.filter((e) => e.from !== "").length,
			);
			for (const line of arrows)
				expect(line).toMatch(
					/^\t+\w+ --> \w+: [^:;"<>{}]*(?:#\d+;[^:;"<>{}]*)*$/,
				);
			expect(text.split("{").length).toBe(text.split("}").length);
		},
	);

	it.each(charts.map((c) => [c.id, c] as const))(
		"%s: the runtime verification dialect can be read as rvgen reads it",
		(_, chart) => {
			const flat = flattened(chart);
			const automaton = readRv(rvDot(chart));
			expect(automaton.states).toHaveLength(flat.states.length);
			expect(automaton.edges).toHaveLength(flat.edges.length);
			const keys = automaton.edges.map(([from, , event]) => `${from} ${event}`);
			expect(new Set(keys).size).toBe(keys.length);
			for (const name of [
				...automaton.states,
				...automaton.edges.map((e) => e[2]),
			])
				expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
			for (const [from, to] of automaton.edges)
				expect(automaton.states).toEqual(expect.arrayContaining([from, to]));
			expect(automaton.states).toContain(automaton.initial);
		},
	);

	it("Mermaid: a machine's regions are all entered, without a divider, which Mermaid 11 reads inside states only", () => {
		const text = mermaidChart(chartOfDefinition(machineOf("domain") as never));
		const lines = text.split("\n").map((line) => line.trim());
		expect(lines.slice(2, 4)).toEqual(["[*] --> content", "[*] --> use"]);
		expect(lines).not.toContain("--");
	});

	it.skipIf(!hasProgram("xmllint"))("SVG and SCXML pass xmllint", () => {
		const folder = mkdtempSync(join(tmpdir(), "charts-"));
		const files = charts.flatMap((chart, i) => {
			const texts = [chartSvg(layoutChart(chart)), scxml(chart)];
			return texts.map((text, k) => {
				const path = join(folder, `${i}-${k}.xml`);
				writeFileSync(path, text);
				return path;
			});
		});
		const run = spawnSync("xmllint", ["--noout", ...files]);
		rmSync(folder, { recursive: true });
		expect(String(run.stderr)).toBe("");
		expect(run.status).toBe(0);
	});

	it.skipIf(!hasProgram("dot"))("Graphviz reads every automaton", () => {
		const run = spawnSync("dot", ["-Tcanon"], {
			input: charts.map((chart) => rvDot(chart)).join("\n"),
		});
		expect(String(run.stderr)).toBe("");
		expect(String(run.stdout).match(/^digraph/gm)).toHaveLength(charts.length);
	});

	it("refuses to multiply regions beyond use", () => {
		const region = {
			initial: "a",
			states: { a: { on: { X: "b" } }, b: {}, c: {} },
		};
		const regions = Object.fromEntries(
			Array.from({ length: 12 }, (_, i) => [
				`r${i}`,
				{ ...region, states: { a: { on: { [`X${i}`]: "b" } }, b: {} } },
			]),
		);
		expect(() =>
			flattened(
				chartOfMachine(
					createMachine({ id: "big", type: "parallel", states: regions }),
				),
			),
		).toThrow(TooManyStatesError);
	});
});

/** The line-oriented reader of Linux 6.12 tools/verification/dot2/automata.py, in our words. */
function readRv(text: string): {
	states: string[];
	initial: string;
	edges: [string, string, string][];
} {
	const lines = text.split("\n");
	expect(lines[0]).toMatch(/^digraph state_automaton \{$/);
	let at = lines.findIndex((line) => line.trim().startsWith("{node"));
	const states: string[] = [];
	let initial = "";
	for (; lines[at]?.trim().startsWith("{node"); at++) {
		const name =
			(lines[at] as string).trim().split(/\s+/).at(-1)?.replace(/["};]/g, "") ??
			"";
		if (name.startsWith("__init_")) initial = name.slice(7);
		else states.push(name);
	}
	expect(lines[at]).toContain("->");
	at++;
	const edges: [string, string, string][] = [];
	for (; lines[at]?.trim().startsWith('"'); at++) {
		const words = (lines[at] as string).trim().split(/\s+/);
		if (words[1] !== "->") continue;
		edges.push(
			[words[0] as string, words[2] as string, words.at(-2) as string].map(
				(w) => w.replaceAll('"', ""),
			) as [string, string, string],
		);
	}
	return { states: [...new Set(states)], initial, edges };
}
