/**
 * Where the boxes of a statechart go. States stand below each other in the order in which they are written, which for a
 * transaction is the order of its steps; states that hold others stand to their right, parallel regions side by side. Wires
 * (chart-wires.ts) run in gutters beside the columns, so that no wire crosses a text and any machine gives a drawing that can be
 * read; a layout by forces or ranks lets labels collide (field-notes §2.10.7).
 */
import type { Chart, ChartState } from "./chart.ts";
import { stateAt } from "./chart.ts";
import {
	type BoxLine,
	LINE_HEIGHT,
	linesOf,
	textWidth,
	TITLE_HEIGHT,
	titleNote,
} from "./chart-text.ts";
import { type Gutters, guttersOf, type Wire, wiresOf } from "./chart-wires.ts";

/** A state's box. Pixels; x and y are the upper left corner. */
export interface Box {
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
	readonly state: ChartState;
	readonly note: string;
	readonly lines: readonly BoxLine[];
	/** Where the text of its lines starts: to the right of the wires that run inside. */
	readonly linesX: number;
	/** Holds other boxes. */
	readonly isOuter: boolean;
	/** A region of a parallel state: its border is dashed. */
	readonly isRegion: boolean;
	/** Entered first of its siblings. */
	readonly isInitial: boolean;
}
/** A drawing. */
export interface ChartLayout {
	readonly chart: Chart;
	readonly width: number;
	readonly height: number;
	/** Outer boxes before those inside. */
	readonly boxes: readonly Box[];
	readonly wires: readonly Wire[];
}

const MARGIN = 10;
const PADDING = 10;
const GAP = 16;
const BOX_WIDTH_MIN = 96;
/** A gutter's width without wires, and what each wire adds. */
const GUTTER = 10;
/** Distance between wires that run beside each other. */
export const TRACK = 7;

/** A state with its size and the place of what is inside it, relative to its own corner. */
interface Block {
	readonly state: ChartState;
	readonly note: string;
	readonly lines: readonly BoxLine[];
	readonly linesX: number;
	readonly width: number;
	readonly height: number;
	readonly inside: readonly {
		readonly block: Block;
		readonly x: number;
		readonly y: number;
	}[];
}

/** The children of a state as columns: what is atomic, then what holds others; parallel regions are a column each. */
export function columnsOf(chart: Chart, path: string): ChartState[][] {
	const children = chart.states.filter((state) => state.parent === path);
	if (stateAt(chart, path).kind === "parallel")
		return children.map((child) => [child]);
	const isOuter = (state: ChartState): boolean =>
		state.kind === "compound" || state.kind === "parallel";
	return [
		children.filter((child) => !isOuter(child)),
		children.filter(isOuter),
	].filter((column) => column.length > 0);
}

/** Lays a chart out. */
export function layoutChart(chart: Chart): ChartLayout {
	const gutters = guttersOf(chart);
	const root = blockOf(chart, stateAt(chart, ""), gutters);
	const boxes: Box[] = [];
	place(chart, root, MARGIN - PADDING, MARGIN - PADDING, boxes);
	const wires = wiresOf(chart, boxes, gutters);
	const right = Math.max(...boxes.map((box) => box.x + box.width), 0);
	const bottom = Math.max(...boxes.map((box) => box.y + box.height), 0);
	return {
		chart,
		width: Math.ceil(right + MARGIN),
		height: Math.ceil(bottom + MARGIN),
		boxes,
		wires,
	};
}

function blockOf(chart: Chart, state: ChartState, gutters: Gutters): Block {
	const lines = linesOf(chart, state);
	const note = titleNote(state);
	const columns = columnsOf(chart, state.path);
	const room = (column: number): number =>
		GUTTER + TRACK * gutters.count(state.path, column);
	const linesX = columns.length > 0 && state.path !== "" ? room(0) : 0;
	const head = TITLE_HEIGHT + lines.length * LINE_HEIGHT + PADDING;
	const texts = [
		textWidth(state.name) * 1.2 + textWidth(note) + (note === "" ? 0 : 18),
		...lines.map((line) => textWidth(line.text) + linesX),
	];
	let width = Math.max(BOX_WIDTH_MIN, ...texts) + 2 * PADDING;
	let height = head;
	const inside: { block: Block; x: number; y: number }[] = [];
	let x = PADDING;
	for (const [number, column] of columns.entries()) {
		x += room(number);
		let y = head;
		let columnWidth = 0;
		for (const child of column) {
			const block = blockOf(chart, child, gutters);
			inside.push({ block, x, y });
			y += block.height + GAP;
			columnWidth = Math.max(columnWidth, block.width);
		}
		const isEven = column.every((child) => child.kind !== "compound");
		if (isEven) widen(inside, column, columnWidth);
		x += columnWidth;
		height = Math.max(height, y - GAP + PADDING);
		width = Math.max(width, x + PADDING);
	}
	return { state, note, lines, linesX, width, height, inside };
}

/** Boxes of one column get one width: their wires leave at one line. */
function widen(
	inside: { block: Block; x: number; y: number }[],
	column: readonly ChartState[],
	width: number,
): void {
	for (const [i, item] of inside.entries())
		if (column.includes(item.block.state))
			inside[i] = { ...item, block: { ...item.block, width } };
}

function place(
	chart: Chart,
	block: Block,
	x: number,
	y: number,
	boxes: Box[],
): void {
	const { state } = block;
	const parent =
		state.parent === undefined ? undefined : stateAt(chart, state.parent);
	boxes.push({
		x,
		y,
		width: block.width,
		height: block.height,
		state,
		note: block.note,
		lines: block.lines,
		linesX: x + PADDING + block.linesX,
		isOuter: block.inside.length > 0,
		isRegion: parent?.kind === "parallel",
		isInitial: parent?.initial === state.path,
	});
	for (const item of block.inside)
		place(chart, item.block, x + item.x, y + item.y, boxes);
}
