/** Paints the timeline's numbers on a canvas. */
import type { Span } from "../model/spans.ts";
import { visible } from "../model/visible.ts";
import { SPAN_ROWS_MAX } from "../model/spans.ts";
import type { TimelinePicture } from "../model/timeline.ts";
import { colour } from "./theme.ts";

const DENSITY_HEIGHT = 26;
const SPAN_HEIGHT = 10;
/** Room for the marks of violations, between density and operations. */
const MARK_HEIGHT = 10;
/** Height of one lane, in pixels. */
export const LANE_HEIGHT = 13;
/** Height of density and operations together. */
export const TOP_HEIGHT =
	DENSITY_HEIGHT + MARK_HEIGHT + SPAN_ROWS_MAX * SPAN_HEIGHT + 2;

/** The window that the picture is of. */
export interface PaintWindow {
	readonly from: number;
	readonly to: number;
	readonly width: number;
}

/** Paints all of it. */
export function paintTimeline(
	canvas: HTMLCanvasElement,
	picture: TimelinePicture,
	window: PaintWindow,
): void {
	const ratio = devicePixelRatio;
	const height = TOP_HEIGHT + picture.lanes.length * LANE_HEIGHT;
	canvas.width = window.width * ratio;
	canvas.height = Math.max(height, 1) * ratio;
	canvas.style.height = `${height}px`;
	const paper = canvas.getContext("2d");
	if (paper === null) return;
	paper.scale(ratio, ratio);
	paintDensity(paper, picture.density);
	paintSpans(paper, picture.spans, window);
	for (const [row, lane] of picture.lanes.entries())
		paintLane(paper, lane, TOP_HEIGHT + row * LANE_HEIGHT);
}

function paintDensity(
	paper: CanvasRenderingContext2D,
	density: Uint32Array,
): void {
	let most = 1;
	for (const n of density) if (n > most) most = n;
	paper.fillStyle = colour("--density");
	for (let x = 0; x < density.length; x++) {
		const n = density[x] as number;
		if (n === 0) continue;
		const height = Math.max(1.5, (n / most) * (DENSITY_HEIGHT - 2));
		paper.fillRect(x, DENSITY_HEIGHT - height, 1, height);
	}
}

const SIGNS = { commit: "", fail: "✕ ", open: "", unknown: "? " } as const;
const LABEL_WIDTH_MIN = 34;

function paintSpans(
	paper: CanvasRenderingContext2D,
	spans: readonly Span[],
	window: PaintWindow,
): void {
	const scale = window.width / (window.to - window.from);
	const fills = {
		commit: colour("--span"),
		fail: colour("--bad"),
		open: colour("--span-open"),
		unknown: colour("--span-open"),
	};
	const text = colour("--span-text");
	const failText = colour("--span-fail-text");
	paper.font = "8.5px system-ui, sans-serif";
	paper.textBaseline = "middle";
	for (const { begin, end, row, outcome, name } of spans) {
		const left = (begin - window.from) * scale;
		const width = Math.max(1, (end + 1 - begin) * scale - 0.5);
		const top = DENSITY_HEIGHT + MARK_HEIGHT + row * SPAN_HEIGHT;
		paper.fillStyle = fills[outcome];
		paper.fillRect(left, top, width, SPAN_HEIGHT - 1);
		const label = visible(`${SIGNS[outcome]}${name}`);
		if (width < LABEL_WIDTH_MIN) continue;
		paper.fillStyle = outcome === "fail" ? failText : text;
		paper.save();
		paper.beginPath();
		paper.rect(left, top, width, SPAN_HEIGHT);
		paper.clip();
		paper.fillText(label, Math.max(left, 0) + 2, top + SPAN_HEIGHT / 2);
		paper.restore();
	}
}

function paintLane(
	paper: CanvasRenderingContext2D,
	lane: Uint16Array,
	top: number,
): void {
	paper.fillStyle = colour("--line");
	paper.fillRect(0, top + LANE_HEIGHT - 1, lane.length, 1);
	paper.fillStyle = colour("--lane");
	for (let x = 0; x < lane.length; x++)
		if ((lane[x] as number) > 0) paper.fillRect(x, top + 2, 1, LANE_HEIGHT - 4);
}
