/** A statechart as a Mermaid `stateDiagram-v2`, for READMEs and issues. */
import type { Chart, ChartEdge, ChartState } from "../model/chart.ts";
import { edgeLabel, stateAt } from "../model/chart.ts";

/** Mermaid ids hold letters, digits and _. Different paths stay different. */
export const mermaidId = (path: string): string =>
	path === ""
		? "machine"
		: path.replace(/[^A-Za-z0-9]/g, (sign) =>
				sign === "." ? "__" : `_${sign.codePointAt(0)?.toString(16)}_`,
			);

/** Text in a label: Mermaid gives a meaning to : ; # and quotes. */
export const mermaidText = (text: string): string =>
	text.replace(/[#;:"'<>{}\n\r]/g, (sign) => `#${sign.codePointAt(0)};`);

/** The diagram as text. */
export function mermaidChart(chart: Chart): string {
	const lines = ["stateDiagram-v2", `\t%% ${chart.id}`];
	const root = stateAt(chart, "");
	if (root.kind === "parallel") {
		// Mermaid knows regions inside a state only, and fails to lay out nested ones: the machine's own regions stand side by side, all entered.
		for (const { path } of childrenOf(chart, ""))
			lines.push(`\t[*] --> ${mermaidId(path)}`);
		body(chart, { ...root, kind: "compound" }, "\t", lines);
	} else body(chart, root, "\t", lines);
	return `${lines.join("\n")}\n`;
}

const childrenOf = (chart: Chart, path: string): ChartState[] =>
	chart.states.filter((state) => state.parent === path);

function body(
	chart: Chart,
	state: ChartState,
	indent: string,
	lines: string[],
): void {
	const children = childrenOf(chart, state.path);
	const isParallel = state.kind === "parallel";
	if (state.initial !== undefined)
		lines.push(`${indent}[*] --> ${mermaidId(state.initial)}`);
	for (const [i, child] of children.entries()) {
		if (isParallel && i > 0) lines.push(`${indent}--`);
		const name = mermaidText(child.name);
		const isOuter = childrenOf(chart, child.path).length > 0;
		lines.push(
			`${indent}state "${name}" as ${mermaidId(child.path)}${isOuter ? " {" : ""}`,
		);
		if (isOuter) {
			body(chart, child, `${indent}\t`, lines);
			lines.push(`${indent}}`);
		}
		if (child.kind === "final")
			lines.push(`${indent}${mermaidId(child.path)} --> [*]`);
		// What leaves a region must stand in it: after the next "--" Mermaid takes its state for one of the next region.
		if (isParallel) arrows(chart, state.path, child.path, indent, lines);
	}
	if (!isParallel) arrows(chart, state.path, undefined, indent, lines);
}

/** The arrows of a level; of one region of it, or of all. */
function arrows(
	chart: Chart,
	level: string,
	region: string | undefined,
	indent: string,
	lines: string[],
): void {
	for (const edge of chart.edges) {
		const drawn = ends(edge);
		if (drawn.level !== level) continue;
		if (region !== undefined && drawn.from !== region) continue;
		const isAcross = region !== undefined && drawn.to !== region;
		const to = isAcross ? drawn.from : drawn.to;
		const label = isAcross ? `${drawn.label} → ${drawn.to}` : drawn.label;
		lines.push(
			`${indent}${mermaidId(drawn.from)} --> ${mermaidId(to)}: ${mermaidText(label)}`,
		);
	}
}

/**
 * Mermaid cannot draw from inside one composite state into another, so such an arrow is drawn between the states of the level
 * that holds both, and its label names the real ends.
 */
function ends(edge: ChartEdge): {
	level: string | undefined;
	from: string;
	to: string;
	label: string;
} {
	const { from, to = edge.from } = edge;
	if (from === "") return { level: undefined, from, to, label: "" };
	const a = from.split(".");
	const b = to === "" ? [] : to.split(".");
	let shared = 0;
	while (shared < Math.min(a.length, b.length) - 1 && a[shared] === b[shared])
		shared++;
	const level = a.slice(0, shared).join(".");
	const drawnFrom = a.slice(0, shared + 1).join(".");
	const drawnTo = b.length === 0 ? drawnFrom : b.slice(0, shared + 1).join(".");
	const source =
		drawnFrom === from ? "" : `${from.slice(drawnFrom.length + 1)} → `;
	const target = drawnTo === to ? "" : ` → ${to.slice(drawnTo.length + 1)}`;
	const label =
		source === "" && target === ""
			? edgeLabel(edge)
			: `${source}${edgeLabel(edge)}${target}`;
	return { level, from: drawnFrom, to: drawnTo, label };
}
