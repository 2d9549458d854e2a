/**
 * A statechart as SCXML (W3C Recommendation of 2015). Guards become calls in `cond`, actions become calls in `script`: whoever
 * runs the file supplies functions of those names.
 */
import type { Chart, ChartEdge, ChartState } from "../model/chart.ts";
import { stateAt } from "../model/chart.ts";
import { xmlText } from "./xml.ts";

/** Ids in SCXML are XML names; a path is one when its parts are. */
const idOf = (chart: Chart, path: string): string => {
	const text = path === "" ? chart.id : path;
	const safe = text.replace(
		/[^\w.-]/g,
		(sign) => `_x${sign.codePointAt(0)?.toString(16)}_`,
	);
	return /^[A-Za-z_]/.test(safe) ? safe : `_${safe}`;
};

const call = (name: string): string => `${xmlText(name)}()`;

/** The document as text. */
export function scxml(chart: Chart): string {
	const root = stateAt(chart, "");
	const name = xmlText(chart.id);
	const initial =
		root.initial === undefined
			? ""
			: ` initial="${xmlText(idOf(chart, root.initial))}"`;
	const lines = [
		'<?xml version="1.0" encoding="UTF-8"?>',
		`<scxml xmlns="http://www.w3.org/2005/07/scxml" version="1.0" name="${name}" datamodel="ecmascript"${root.kind === "parallel" ? "" : initial}>`,
		`  <!-- ${xmlText(chart.about).replaceAll("--", "- -")} -->`,
	];
	const hasOwn =
		root.kind === "parallel" ||
		root.entry.length > 0 ||
		chart.edges.some((edge) => edge.from === "");
	if (hasOwn) element(chart, root, "  ", lines);
	else
		for (const child of childrenOf(chart, ""))
			element(chart, child, "  ", lines);
	lines.push("</scxml>");
	return `${lines.join("\n")}\n`;
}

const childrenOf = (chart: Chart, path: string): ChartState[] =>
	chart.states.filter((state) => state.parent === path);

function element(
	chart: Chart,
	state: ChartState,
	indent: string,
	lines: string[],
): void {
	const kind = {
		atomic: "state",
		compound: "state",
		parallel: "parallel",
		final: "final",
		history: "history",
	}[state.kind];
	const initial =
		state.initial === undefined || state.kind !== "compound"
			? ""
			: ` initial="${xmlText(idOf(chart, state.initial))}"`;
	lines.push(
		`${indent}<${kind} id="${xmlText(idOf(chart, state.path))}"${initial}>`,
	);
	const inner = `${indent}  `;
	for (const [tag, actions] of [
		["onentry", state.entry],
		["onexit", state.exit],
	] as const)
		if (actions.length > 0)
			lines.push(
				`${inner}<${tag}><script>${actions.map(call).join("; ")}</script></${tag}>`,
			);
	for (const actor of state.invokes)
		lines.push(`${inner}<invoke src="${xmlText(actor)}"/>`);
	for (const edge of chart.edges)
		if (edge.from === state.path) lines.push(inner + transition(chart, edge));
	for (const child of childrenOf(chart, state.path))
		element(chart, child, inner, lines);
	lines.push(`${indent}</${kind}>`);
}

function transition(chart: Chart, edge: ChartEdge): string {
	const event = {
		event: edge.event,
		always: undefined,
		after: `after.${edge.event}`,
		done: `done.${edge.event}`,
		error: `error.${edge.event}`,
	}[edge.trigger];
	const parts = [
		...(event === undefined ? [] : [`event="${xmlText(event)}"`]),
		...(edge.guard === undefined ? [] : [`cond="${call(edge.guard)}"`]),
		...(edge.to === undefined
			? []
			: [`target="${xmlText(idOf(chart, edge.to))}"`]),
		...(edge.to !== undefined && !edge.reenter ? ['type="internal"'] : []),
	].join(" ");
	if (edge.actions.length === 0) return `<transition ${parts}/>`;
	return `<transition ${parts}><script>${edge.actions.map(call).join("; ")}</script></transition>`;
}
