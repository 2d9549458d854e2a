/** The timeline: density of records, operations as spans, a lane per actor; zoomed with the wheel, clicked to move the cursor. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { h } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { laneOrder } from "../model/timeline.ts";
import { html } from "./dom.ts";
import { grouped } from "./format.ts";
import {
	count,
	cursor,
	firstLog,
	hasTimeline,
	moveTo,
	useCall,
} from "./state.ts";
import {
	followCursor,
	pan,
	shown,
	zoom,
	zoomAround,
} from "./timeline-window.ts";
import { theme } from "./theme.ts";
import { LANE_HEIGHT, paintTimeline, TOP_HEIGHT } from "./timeline-paint.ts";

const { button, canvas, div, span } = html;

/** The first lane shown. */
const laneTop = signal(0);

const LANES_SHOWN = 6;
const ZOOM_STEP = 1.25;
function useWidth(): [{ current: HTMLDivElement | null }, number] {
	const place = useRef<HTMLDivElement | null>(null);
	const [width, setWidth] = useState(800);
	useLayoutEffect(() => {
		const watcher = new ResizeObserver(([entry]) =>
			setWidth(Math.max(1, Math.floor(entry?.contentRect.width ?? 800))),
		);
		if (place.current !== null) watcher.observe(place.current);
		return () => watcher.disconnect();
	}, []);
	return [place, width];
}

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
function lanesShown(): number[] {
	const names = firstLog.value?.progress.value.summary.actors ?? [];
	const order = laneOrder(names);
	const top = Math.max(0, Math.min(laneTop.value, order.length - LANES_SHOWN));
	return order.slice(top, top + LANES_SHOWN);
}

function LaneNames(props: { lanes: readonly number[] }): VNode {
	const names = firstLog.value?.progress.value.summary.actors ?? [];
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
		),
		...props.lanes.map((id) =>
			div({ class: "lane-name", title: names[id] ?? "" }, names[id] ?? ""),
		),
		names.length > LANES_SHOWN
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
function movesOf(from: number, to: number, width: number): object {
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
			moveTo(Math.floor(positionOf(event)));
		},
		onPointerMove: (event: PointerEvent) => {
			if (event.buttons === 1) moveTo(Math.floor(positionOf(event)));
		},
	};
}

/** The strip. */
export function TimelineStrip(): VNode {
	const [place, width] = useWidth();
	const paper = useRef<HTMLCanvasElement | null>(null);
	const { from, to } = shown.value;
	const lanes = lanesShown();
	const picture = useCall(
		firstLog.value,
		"timeline",
		{ from, to, columns: width, lanes },
		count.value,
	);
	const marks = useCall(
		firstLog.value,
		"marks",
		{},
		firstLog.value?.progress.value.summary.folded,
	);
	useLayoutEffect(followCursor, [cursor.value]);
	useLayoutEffect(() => {
		if (paper.current === null || picture === undefined) return;
		paintTimeline(paper.current, picture, { from, to, width });
		hasTimeline.value = true;
	}, [picture, width, theme.value]);
	const scale = width / (to - from);
	const height = TOP_HEIGHT + LANES_SHOWN * LANE_HEIGHT;
	return div(
		{ class: "timeline", role: "group", "aria-label": "Timeline" },
		h(LaneNames, { lanes }),
		div(
			{
				class: "timeline-paper",
				ref: place,
				style: { height: `${height}px` },
				...movesOf(from, to, width),
			},
			canvas({
				ref: paper,
				role: "img",
				"aria-label": `Records ${grouped(from + 1)} to ${grouped(to)} of ${grouped(count.value)}: density, operations, actors`,
				style: { width: `${width}px`, height: `${height}px` },
			}),
			...marksShown(marks, from, to).map((at) =>
				div(
					{
						key: at,
						class: "violation-mark",
						title: "violation",
						style: { transform: `translateX(${(at + 0.5 - from) * scale}px)` },
					},
					"✕",
				),
			),
			div({
				class: "cursor-line",
				style: {
					transform: `translateX(${(cursor.value + 0.5 - from) * scale}px)`,
					visibility:
						cursor.value >= from && cursor.value < to ? "visible" : "hidden",
				},
			}),
		),
		zoomTools(),
	);
}
