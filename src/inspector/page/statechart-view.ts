/** A statechart, drawn from its definition, with the states at the cursor and the last transition lit. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { h } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { chartSvg, isFailure } from "../export/chart-svg.ts";
import { mermaidChart } from "../export/mermaid-chart.ts";
import { rvDot } from "../export/rv-dot.ts";
import { scxml } from "../export/scxml.ts";
import { chartOfDefinition, edgeLabel, withParents } from "../model/chart.ts";
import type { Chart } from "../model/chart.ts";
import {
	type Box,
	type ChartLayout,
	layoutChart,
} from "../model/chart-layout.ts";
import { LINE_HEIGHT, TITLE_HEIGHT } from "../model/chart-text.ts";
import type { Wire } from "../model/chart-wires.ts";
import {
	ENTITY_MACHINES,
	machineOf,
	TRANSACTION_MACHINES,
} from "../model/machines.ts";
import type { ChartPlace } from "../worker/protocol.ts";
import { html, svg } from "./dom.ts";
import { jumpButtons } from "./jump-buttons.ts";
import { saveText } from "./save.ts";
import { isOwnLog, moveTo, selectedActor, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, div, label, option, p, select, span } = html;
const { defs, g, marker, path, rect, root, text, title, tspan } = svg;

/** What the reader wants to see: the operation at the cursor, the selected actor, or a machine by id. */
const choice = signal("operation");
const ACTORS_OFFERED_MAX = 400;
const HAS_CHART = /^(?:group|device|domain):|\/(?:hwpt|ioas):/;

interface ChooserProps {
	readonly log: ViewProps["log"];
	readonly charts: readonly Chart[];
}

function Chooser({ log, charts }: ChooserProps): VNode {
	const isOurs = isOwnLog(log);
	const hasChart = (name: string): boolean => !isOurs || HAS_CHART.test(name);
	const actors = log.progress.value.summary.actors
		.filter(hasChart)
		.slice(0, ACTORS_OFFERED_MAX);
	const chosen = selectedActor.value;
	const offered =
		chosen !== undefined && hasChart(chosen) && !actors.includes(chosen)
			? [chosen, ...actors]
			: actors;
	const machines = isOurs
		? [...ENTITY_MACHINES, ...TRANSACTION_MACHINES].map((m) => m.id)
		: charts.map((chart) => chart.id);
	return label(
		null,
		span({ class: "dim" }, "show "),
		select(
			{
				"aria-label": "Statechart of",
				value: choice.value,
				onChange: (event: Event) => {
					const { value } = event.target as HTMLSelectElement;
					choice.value = value;
					if (value.startsWith("actor ")) selectedActor.value = value.slice(6);
				},
			},
			option(
				{ value: "operation" },
				isOurs ? "operation at the cursor" : "actor of the record",
			),
			log.progress.value.summary.types.includes("saga.begun")
				? option({ value: "saga" }, "saga at the cursor")
				: null,
			h(
				"optgroup",
				{ label: "actors" },
				...offered.map((name) => option({ value: `actor ${name}` }, name)),
			),
			h(
				"optgroup",
				{ label: "machines" },
				...machines.map((id) => option({ value: `machine ${id}` }, id)),
			),
		),
	);
}

function Exports({ chart }: { chart: Chart }): VNode {
	const offer = (
		name: string,
		ending: string,
		type: string,
		make: () => string,
	): VNode =>
		button(
			{
				class: "export",
				title: `Save as ${name}`,
				onClick: () => saveText(`${chart.id}.${ending}`, type, make()),
			},
			name,
		);
	return span(
		{ class: "exports" },
		offer("SVG", "svg", "image/svg+xml", () => chartSvg(layoutChart(chart))),
		offer("Mermaid", "mmd", "text/plain", () => mermaidChart(chart)),
		offer("SCXML", "scxml", "application/xml", () => scxml(chart)),
		offer("RV dot", "dot", "text/vnd.graphviz", () => rvDot(chart)),
	);
}

/** Size of the drawings. */
const scale = signal(1);
const SCALE_STEP = 1.2;
const SCALE_MIN = 0.3;
const SCALE_MAX = 3;
/** Margins of a drawing in its pane. */
const MARGIN = 24;

function setScale(value: number): void {
	scale.value = Math.max(SCALE_MIN, Math.min(value, SCALE_MAX));
}

function ScaleButtons({ layout }: { layout: ChartLayout }): VNode {
	const fit = (event: Event): void => {
		const pane = (event.currentTarget as Element).closest(".log-view");
		setScale(((pane?.clientWidth ?? 800) - MARGIN) / layout.width);
	};
	return span(
		{ class: "scale", role: "group", "aria-label": "Size of the drawing" },
		...(
			[
				["−", "Smaller", () => setScale(scale.value / SCALE_STEP)],
				["+", "Larger", () => setScale(scale.value * SCALE_STEP)],
				["fit", "Fit the width", fit],
				["1:1", "Full size", () => setScale(1)],
			] as const
		).map(([face, name, run]) =>
			button(
				{ class: "export", "aria-label": name, title: name, onClick: run },
				face,
			),
		),
	);
}

/** What is lit. */
interface Lit {
	readonly states: ReadonlySet<string>;
	readonly around: ReadonlySet<string>;
	readonly passed: ReadonlySet<string>;
	readonly last: ChartPlace["last"];
}

const litOf = (place: ChartPlace | undefined): Lit => ({
	states: new Set(place?.states),
	around: new Set(place?.states.flatMap(withParents)),
	passed: new Set(place?.passed),
	last: place?.last,
});

function isLast(lit: Lit, from: string, to: string | undefined): boolean {
	const { last } = lit;
	if (last === undefined || to === undefined) return false;
	const leaves = withParents(last.from).includes(from);
	return leaves && (to === last.to || withParents(last.to).includes(to));
}

function boxPart(box: Box, lit: Lit): VNode {
	const { x, y, width, height, state } = box;
	const classes = ["box"];
	if (box.isOuter) classes.push("outer");
	if (box.isRegion) classes.push("region");
	if (lit.states.has(state.path)) classes.push("is-active");
	else if (lit.around.has(state.path)) classes.push("is-around");
	else if (lit.passed.has(state.path)) classes.push("is-passed");
	return g(
		{ key: state.path, class: classes.join(" "), "data-state": state.path },
		rect({ x, y, width, height, rx: 6 }),
		state.kind === "final"
			? rect({
					x: x + 3,
					y: y + 3,
					width: width - 6,
					height: height - 6,
					rx: 4,
					class: "inner",
				})
			: null,
		text(
			{ class: "name", x: x + 10, y: y + 15 },
			`${box.isInitial ? "▸ " : ""}${state.name}${lit.states.has(state.path) ? "  ●" : ""}`,
			tspan({ class: "note", dx: 8 }, box.note),
			title(null, [state.path, state.description ?? ""].join("\n")),
		),
		...box.lines.map((line, i) =>
			text(
				{
					class: isLast(lit, state.path, line.to) ? "line is-last" : "line",
					x: box.linesX,
					y: y + TITLE_HEIGHT + 11 + i * LINE_HEIGHT,
				},
				line.text,
				title(
					null,
					line.edges
						.map(
							(edge) =>
								`${edgeLabel(edge)}${edge.to === undefined ? "" : ` → ${edge.to}`}`,
						)
						.join("\n"),
				),
			),
		),
	);
}

function wirePart(wire: Wire, lit: Lit, key: number): VNode {
	const last = isLast(lit, wire.from, wire.to);
	const classes = ["wire"];
	if (isFailure(wire.line)) classes.push("failed");
	if (last) classes.push("is-last");
	return path({
		key,
		class: classes.join(" "),
		d: wire.path,
		"marker-end": last ? "url(#tip-last)" : "url(#tip)",
	});
}

const tip = (id: string): VNode =>
	marker(
		{
			id,
			viewBox: "0 0 8 8",
			refX: 7,
			refY: 4,
			markerWidth: 8,
			markerHeight: 8,
			markerUnits: "userSpaceOnUse",
			orient: "auto",
		},
		path({ d: "M0 0 8 4 0 8z", class: id }),
	);

/** Room to keep above and below the active state. */
const SIGHT_MARGIN = 110;

/** Scrolls only when the active state would be at the edge or outside. */
function keepInSight(paper: SVGSVGElement | null): void {
	const active = paper?.querySelector(".is-active")?.getBoundingClientRect();
	const pane = paper?.closest(".log-view");
	if (active === undefined || !pane) return;
	const frame = pane.getBoundingClientRect();
	if (
		active.top < frame.top + SIGHT_MARGIN ||
		active.bottom > frame.bottom - SIGHT_MARGIN / 2
	)
		pane.scrollTop +=
			active.top - frame.top - (frame.height - active.height) / 2;
	if (active.left < frame.left || active.right > frame.right)
		pane.scrollLeft +=
			active.left - frame.left - (frame.width - active.width) / 2;
}

/** The drawing; the active state is kept in sight. */
function Drawing(props: {
	layout: ChartLayout;
	place: ChartPlace | undefined;
}): VNode {
	const { layout, place } = props;
	const paper = useRef<SVGSVGElement | null>(null);
	const lit = litOf(place);
	const active = place?.states.join(" ") ?? "";
	useLayoutEffect(() => {
		keepInSight(paper.current);
	}, [active, layout]);
	const wires = layout.wires.toSorted(
		(a, b) =>
			Number(isLast(lit, a.from, a.to)) - Number(isLast(lit, b.from, b.to)),
	);
	return root(
		{
			ref: paper,
			class: "chart",
			viewBox: `0 0 ${layout.width} ${layout.height}`,
			width: layout.width * scale.value,
			height: layout.height * scale.value,
			role: "img",
			"aria-label": `Statechart ${layout.chart.id}; active: ${active || "none"}`,
		},
		defs(null, tip("tip"), tip("tip-last")),
		...layout.boxes.map((box) => boxPart(box, lit)),
		...wires.map((wire, i) => wirePart(wire, lit, i)),
	);
}

/** The view. */
export function StatechartView({ log, at }: ViewProps): VNode {
	const kind = choice.value.split(" ")[0];
	const fixed = kind === "machine" ? choice.value.slice(8) : undefined;
	const actor = kind === "actor" ? selectedActor.value : undefined;
	const place = useCall(
		log,
		"chart",
		fixed === undefined
			? {
					at,
					isSaga: kind === "saga",
					...(actor === undefined ? {} : { actor }),
				}
			: undefined,
		log.progress.value.summary.folded,
	);
	const charts = useCall(
		isOwnLog(log) ? undefined : log,
		"charts",
		{},
		log.progress.value.summary.count,
	);
	const shown = fixed === undefined ? place : undefined;
	const id = fixed ?? shown?.machine;
	const flow = shown?.flow ?? "";
	const layout = useMemo(() => {
		if (id === undefined) return undefined;
		const own = isOwnLog(log) ? machineOf(id, flow) : undefined;
		const chart =
			own === undefined
				? charts?.find((one) => one.id === id)
				: chartOfDefinition(own);
		return chart === undefined ? undefined : layoutChart(chart);
	}, [id, flow, charts?.length]);
	return div(
		{ class: "statechart" },
		div(
			{ class: "view-bar" },
			h(Chooser, { log, charts: charts ?? [] }),
			layout === undefined ? null : h(ScaleButtons, { layout }),
			layout === undefined ? null : h(Exports, { chart: layout.chart }),
		),
		div(
			{ class: "chart-line" },
			shown === undefined
				? null
				: span(
						{ class: "chart-place", role: "status" },
						`${shown.subject}: ${shown.states.join(" · ")}`,
						shown.note === ""
							? null
							: span({ class: "dim" }, ` (${shown.note})`),
					),
			shown === undefined || shown.since === at
				? null
				: button(
						{ class: "link", onClick: () => moveTo(shown.since) },
						"go to the last change",
					),
		),
		layout === undefined
			? div(
					{ class: "nothing", role: "status" },
					p(
						null,
						kind === "saga"
							? "No saga is running at the cursor."
							: kind === "operation"
								? "No operation with a statechart is running at the cursor (map, unmap and reads have none). Choose an actor or a machine above, or go to another operation."
								: "This actor has no state yet at the cursor.",
					),
					jumpButtons("operation", "operation"),
				)
			: h(Drawing, { layout, place: shown }),
	);
}
