/** The timeline: density of records, operations as spans, a lane per actor; zoomed with the wheel, clicked to move the cursor. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { h } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { laneOrder } from "../model/timeline.ts";
import { html } from "./dom.ts";
import { grouped } from "./format.ts";
import {
	cursor,
	firstLog,
	hasTimeline,
	marked,
	moveIn,
	useCall,
} from "./state.ts";
import {
	followCursor,
	pan,
	windowOf,
	zoom,
	zoomAround,
} from "./timeline-window.ts";
import type { LogClient } from "./log-client.ts";
import { theme } from "./theme.ts";
import { useWidth } from "./use-width.ts";
import { LANE_HEIGHT, paintTimeline, TOP_HEIGHT } from "./timeline-paint.ts";

const { button, canvas, div, span } = html;

/** The first lane shown. */
const laneTop = signal(0);

const LANES_SHOWN = 6;
const ZOOM_STEP = 1.25;

const MARKS_DRAWN_MAX = 200;

/** Violations inside the window. */
function marksShown(
	marks: Uint32Array | undefined,
	from: number,
	to: number,
): number[] {
	const inside = [...(marks ?? [])].filter((at) => at >= from && at < to);
	return [...new Set(inside)].slice(0, MARKS_DRAWN_MAX);
}

/** The lanes on screen: numbers of actors. */
function lanesShown(log: LogClient, room: number): number[] {
	if (room === 0) return [];
	const order = laneOrder(log.progress.value.summary.actors);
	const top = Math.max(0, Math.min(laneTop.value, order.length - room));
	return order.slice(top, top + room);
}

interface StripProps {
	readonly log: LogClient;
	/** The cursor in it. */
	readonly at: number;
	/** Shown beside another one: without lanes. */
	readonly isPair: boolean;
}

function LaneNames(
	props: StripProps & { readonly lanes: readonly number[] },
): VNode {
	const { log, lanes, isPair } = props;
	const names = log.progress.value.summary.actors;
	const move = (by: number) => () => {
		laneTop.value = Math.max(
			0,
			Math.min(laneTop.value + by, names.length - LANES_SHOWN),
		);
	};
	return div(
		{ class: "lane-names" },
		div(
			{ class: "lane-head" },
			span(null, "records"),
			span(null, "operations"),
			isPair ? span({ class: "lane-log", title: log.name }, log.name) : null,
		),
		...lanes.map((id) =>
			div({ class: "lane-name", title: names[id] ?? "" }, names[id] ?? ""),
		),
		names.length > LANES_SHOWN && lanes.length > 0
			? div(
					{ class: "lane-moves" },
					button(
						{ "aria-label": "Lanes above", onClick: move(-LANES_SHOWN) },
						"▴",
					),
					button(
						{ "aria-label": "Lanes below", onClick: move(LANES_SHOWN) },
						"▾",
					),
				)
			: null,
	);
}

function zoomTools(): VNode {
	return div(
		{ class: "timeline-tools" },
		...(
			[
				["+", "Zoom in", () => zoomAround(cursor.value, 1 / 2)],
				["−", "Zoom out", () => zoomAround(cursor.value, 2)],
				[
					"↔",
					"Show the whole log",
					() => {
						zoom.value = undefined;
					},
				],
			] as const
		).map(([face, name, run]) =>
			button({ "aria-label": name, title: name, onClick: run }, face),
		),
	);
}

/** What wheel and pointer do: zoom, pan, move the cursor. */
function movesOf(
	from: number,
	to: number,
	width: number,
	move: (at: number) => void,
): object {
	const positionOf = (event: MouseEvent): number =>
		from + (event.offsetX / width) * (to - from);
	return {
		onWheel: (event: WheelEvent) => {
			event.preventDefault();
			if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
				pan(((event.deltaX || event.deltaY) / width) * (to - from));
			else
				zoomAround(
					positionOf(event),
					event.deltaY > 0 ? ZOOM_STEP : 1 / ZOOM_STEP,
				);
		},
		onPointerDown: (event: PointerEvent) => {
			(event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
			move(Math.floor(positionOf(event)));
		},
		onPointerMove: (event: PointerEvent) => {
			if (event.buttons === 1) move(Math.floor(positionOf(event)));
		},
	};
}

/** A line over the paper at a position. */
function ruleAt(
	kind: string,
	at: number | undefined,
	window: { from: number; to: number },
	width: number,
): VNode | null {
	if (at === undefined) return null;
	const { from, to } = window;
	const x = (at + 0.5 - from) * (width / (to - from));
	return div({
		class: kind,
		style: {
			transform: `translateX(${x}px)`,
			visibility: at >= from && at < to ? "visible" : "hidden",
		},
	});
}

/** The strip of one log. */
export function TimelineStrip({ log, at, isPair }: StripProps): VNode {
	const [place, width] = useWidth(800);
	const paper = useRef<HTMLCanvasElement | null>(null);
	const isFirst = log === firstLog.value;
	const { summary } = log.progress.value;
	const { from, to } = windowOf(log);
	const room = isPair ? 0 : LANES_SHOWN;
	const lanes = lanesShown(log, room);
	const picture = useCall(
		log,
		"timeline",
		{ from, to, columns: width, lanes },
		summary.count,
	);
	const marks = useCall(log, "marks", {}, summary.folded);
	useLayoutEffect(followCursor, [cursor.value]);
	useLayoutEffect(() => {
		if (paper.current === null || picture === undefined) return;
		paintTimeline(paper.current, picture, { from, to, width });
		hasTimeline.value = true;
	}, [picture, width, theme.value]);
	const scale = width / (to - from);
	const height = TOP_HEIGHT + room * LANE_HEIGHT;
	return div(
		{
			class: "timeline",
			role: "group",
			"aria-label": isPair ? `Timeline of ${log.name}` : "Timeline",
		},
		h(LaneNames, { log, at, isPair, lanes }),
		div(
			{
				class: "timeline-paper",
				ref: place,
				style: { height: `${height}px` },
				...movesOf(from, to, width, (to_) => void moveIn(log, to_)),
			},
			canvas({
				ref: paper,
				role: "img",
				"aria-label": `Records ${grouped(from + 1)} to ${grouped(to)} of ${grouped(summary.count)}: density, operations, actors`,
				style: { width: `${width}px`, height: `${height}px` },
			}),
			...marksShown(marks, from, to).map((mark) =>
				div(
					{
						key: mark,
						class: "violation-mark",
						title: "violation",
						style: {
							transform: `translateX(${(mark + 0.5 - from) * scale}px)`,
						},
					},
					"✕",
				),
			),
			isFirst ? ruleAt("mark-line", marked.value, { from, to }, width) : null,
			ruleAt("cursor-line", at, { from, to }, width),
		),
		isFirst ? zoomTools() : null,
	);
}
