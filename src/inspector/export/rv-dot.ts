/**
 * A statechart as Graphviz in the dialect of Linux runtime verification, from which the kernel's `rvgen` / `dot2k` makes a monitor.
 * The dialect is line-oriented (Linux 6.12 tools/verification/dot2/automata.py): node lines first, then one line of the initial
 * transition, then lines that start with a quote; state and event names without blanks; final states are double circles.
 */
import type { Chart } from "../model/chart.ts";
import { flattened } from "../model/flat-chart.ts";

/** Names become C enumerators in the monitor. Different names stay different; the result is lower case as the kernel's models are. */
function nameBook(): (text: string) => string {
	const given = new Map<string, string>();
	const taken = new Set<string>();
	return (text) => {
		const known = given.get(text);
		if (known !== undefined) return known;
		const plain = text
			.replace(/([a-z0-9])([A-Z])/g, "$1_$2")
			.replace(/[^A-Za-z0-9]+/g, "_")
			.replace(/^_+|_+$/g, "")
			.toLowerCase();
		const base = /^[a-z]/.test(plain) ? plain : `s_${plain}`;
		let name = base;
		for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
		taken.add(name);
		given.set(text, name);
		return name;
	};
}

/** The automaton as text. Throws TooManyStatesError for charts whose regions multiply beyond use. */
export function rvDot(chart: Chart): string {
	const flat = flattened(chart);
	const state = nameBook();
	const event = nameBook();
	const initial = state(flat.initial);
	const names = flat.states.map(state).toSorted();
	const final = new Set(flat.final.map(state));
	const lines = [
		"digraph state_automaton {",
		"\tcenter = true;",
		'\tsize = "7,11";',
	];
	for (const name of names)
		lines.push(
			`\t{node [shape = ${final.has(name) ? "doublecircle" : "circle"}] "${name}"};`,
		);
	lines.push(
		`\t{node [shape = plaintext, style=invis, label=""] "__init_${initial}"};`,
		`\t"__init_${initial}" -> "${initial}";`,
	);
	for (const name of names) {
		lines.push(`\t"${name}" [label = "${name}"];`);
		for (const edge of flat.edges)
			if (state(edge.from) === name)
				lines.push(
					`\t"${name}" -> "${state(edge.to)}" [ label = "${event(edge.event)}" ];`,
				);
	}
	lines.push(
		"\t{ rank = min ;",
		`\t\t"__init_${initial}";`,
		`\t\t"${initial}";`,
		"\t}",
		"}",
	);
	return `${lines.join("\n")}\n`;
}
