/** A domain's address space as a strip: what is mapped above the line, what hardware may still hold of what was cleared below it. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import type { PageTablePicture, Run, StaleStrip } from "../model/page-table.ts";
import { html, svg } from "./dom.ts";
import { byteSize, hex } from "./format.ts";

const { button, div, span } = html;
const { g, path, rect, root, text, title } = svg;

/** The part of the address space that the strip shows, in bytes; undefined = around what is mapped. */
const window_ = signal<{ from: number; to: number } | undefined>(undefined);
/** Shows all that is mapped again: for another domain. */
export function resetStrip(): void {
	window_.value = undefined;
}

const STRIP_WIDTH = 780;
const STRIP_HEIGHT = 70;
/** Where the address line is. */
const GROUND = 40;
const PAGE_BYTES = 4096;
const ZOOM = 1.5;

/** Height and shape tell the page size: 4 KiB low and plain, 2 MiB taller with one bar, 1 GiB full height with two. */
function shapeOf(pageBytes: number): {
	height: number;
	bars: number;
	name: string;
} {
	if (pageBytes >= 2 ** 30) return { height: 38, bars: 2, name: "1 GiB" };
	if (pageBytes >= 2 ** 21)
		return { height: 28, bars: 1, name: byteSize(pageBytes) };
	if (pageBytes > PAGE_BYTES)
		return { height: 22, bars: 0, name: byteSize(pageBytes) };
	return { height: 16, bars: 0, name: byteSize(pageBytes) };
}

function runPart(run: Run, from: number, scale: number): VNode {
	const x = (run.iova - from) * scale;
	const width = Math.max(1.5, run.lengthBytes * scale - 0.5);
	const { height, bars, name } = shapeOf(run.pageBytes);
	const y = GROUND - height;
	const rights = `${run.rights & 1 ? "r" : "–"}${run.rights & 2 ? "w" : "–"}`;
	return g(
		{ key: run.iova, class: `run${run.rights & 2 ? "" : " is-read-only"}` },
		title(
			null,
			`${hex(run.iova)} … ${hex(run.iova + run.lengthBytes - 1)} → ${hex(run.pa)}, ${byteSize(run.lengthBytes)} in pages of ${name}, ${rights}`,
		),
		rect({ x, y, width, height }),
		...barsOf(x, y, width, bars),
	);
}

/** Below the line: what hardware may still hold. */
function stalePart(range: StaleStrip, from: number, scale: number): VNode {
	const { iova, lengthBytes, seq, isCertain } = range;
	return g(
		{ key: `stale ${iova}`, class: `ghost${isCertain ? "" : " possible"}` },
		title(
			null,
			`${hex(iova)} +${byteSize(lengthBytes)}: cleared at seq ${seq}, hardware may still translate it`,
		),
		rect({
			x: (iova - from) * scale,
			y: GROUND + 3,
			width: Math.max(3, lengthBytes * scale - 0.5),
			height: 10,
		}),
	);
}

/** What the shapes mean, drawn as they are drawn. */
function legend(): VNode {
	const shown = [
		["4 KiB", PAGE_BYTES, ""],
		["2 MiB", 2 ** 21, ""],
		["1 GiB", 2 ** 30, ""],
		["read-only", PAGE_BYTES, " is-read-only"],
	] as const;
	return span(
		{ class: "dim legend" },
		...shown.map(([name, bytes, more]) => {
			const { height, bars } = shapeOf(bytes);
			return span(
				{ class: "legend-item" },
				root(
					{ width: 16, height: 40, "aria-hidden": "true" },
					g(
						{ class: `run${more}` },
						rect({ x: 1, y: 39 - height, width: 14, height }),
						...barsOf(1, 39 - height, 14, bars),
					),
				),
				name,
			);
		}),
		span(
			{ class: "legend-item" },
			root(
				{ width: 16, height: 40, "aria-hidden": "true" },
				g({ class: "ghost" }, rect({ x: 1, y: 29, width: 14, height: 10 })),
			),
			"cleared, may be cached",
		),
	);
}

const barsOf = (x: number, y: number, width: number, bars: number): VNode[] =>
	Array.from({ length: bars }, (_, i) =>
		path({ d: `M${x} ${y + 6 + i * 5}h${width}`, class: "bar" }),
	);

function stripBar(
	from: number,
	to: number,
	zoom: (factor: number) => void,
): VNode {
	return div(
		{ class: "strip-bar" },
		span({ class: "mono" }, `${hex(from)} … ${hex(to)}`),
		span({ class: "dim" }, byteSize(to - from)),
		button(
			{
				class: "export",
				"aria-label": "Zoom in",
				onClick: () => zoom(1 / ZOOM),
			},
			"+",
		),
		button(
			{
				class: "export",
				"aria-label": "Zoom out",
				onClick: () => zoom(ZOOM),
			},
			"−",
		),
		button(
			{
				class: "export",
				onClick: () => {
					window_.value = undefined;
				},
			},
			"what is mapped",
		),
	);
}

/** What is mapped and what is stale, together. */
function extentOf({ extent, stale }: PageTablePicture): {
	from: number;
	to: number;
} {
	const from = Math.min(
		extent?.from ?? Number.POSITIVE_INFINITY,
		...stale.map(({ iova }) => iova),
	);
	const to = Math.max(
		extent?.to ?? 0,
		...stale.map(({ iova, lengthBytes }) => iova + lengthBytes),
	);
	return to === 0 ? { from: 0, to: 2 ** 21 } : { from, to };
}

/** The strip. */
export function Strip({ picture }: { picture: PageTablePicture }): VNode {
	const extent = extentOf(picture);
	const margin = Math.max(PAGE_BYTES * 4, (extent.to - extent.from) * 0.04);
	const wanted = window_.value ?? {
		from: Math.max(0, extent.from - margin),
		to: Math.min(picture.spaceBytes, extent.to + margin),
	};
	const from = Math.floor(wanted.from / PAGE_BYTES) * PAGE_BYTES;
	const to = Math.ceil(wanted.to / PAGE_BYTES) * PAGE_BYTES;
	const scale = STRIP_WIDTH / (to - from);
	const zoomAt = (share: number, factor: number): void => {
		const size = Math.min(
			Math.max((to - from) * factor, PAGE_BYTES * 16),
			picture.spaceBytes,
		);
		const start = from + share * (to - from) - share * size;
		const kept = Math.max(0, Math.min(start, picture.spaceBytes - size));
		window_.value = { from: kept, to: kept + size };
	};
	return div(
		{ class: "strip" },
		stripBar(from, to, (factor) => zoomAt(0.5, factor)),
		root(
			{
				viewBox: `0 0 ${STRIP_WIDTH} ${STRIP_HEIGHT}`,
				role: "img",
				"aria-label": `Address space of ${picture.domain}: ${picture.runs.length} runs`,
				onWheel: (event: WheelEvent) => {
					event.preventDefault();
					const target = event.currentTarget as SVGSVGElement;
					const box = target.getBoundingClientRect();
					const share = (event.clientX - box.left) / box.width;
					zoomAt(share, event.deltaY > 0 ? ZOOM : 1 / ZOOM);
				},
			},
			rect({
				class: "space",
				x: 0,
				y: GROUND,
				width: STRIP_WIDTH,
				height: 2,
			}),
			...picture.runs
				.filter((run) => run.iova < to && run.iova + run.lengthBytes > from)
				.map((run) => runPart(run, from, scale)),
			...picture.stale
				.filter(
					({ iova, lengthBytes }) => iova < to && iova + lengthBytes > from,
				)
				.map((range) => stalePart(range, from, scale)),
			text({ x: 0, y: STRIP_HEIGHT - 1, class: "small" }, hex(from)),
			text(
				{
					x: STRIP_WIDTH,
					y: STRIP_HEIGHT - 1,
					class: "small",
					"text-anchor": "end",
				},
				hex(to),
			),
		),
		legend(),
	);
}
