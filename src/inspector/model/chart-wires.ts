/**
 * The wires of a statechart. Each leaves its line sideways, runs in the gutter beside the column, and enters its target's box.
 * Wires to one target share their way (a bus), so a gutter holds one track per target and not one per transition.
 */
import type { Chart, ChartState } from "./chart.ts";
import type { Box } from "./chart-layout.ts";
import { columnsOf, TRACK } from "./chart-layout.ts";
import {
	type BoxLine,
	LINE_HEIGHT,
	linesOf,
	TITLE_HEIGHT,
} from "./chart-text.ts";

/** A drawn transition. */
export interface Wire {
	readonly from: string;
	readonly to: string;
	readonly line: BoxLine;
	/** SVG path. */
	readonly path: string;
}
/** How many tracks each gutter needs: gutter n of a state is left of its n-th column. */
export interface Gutters {
	count(path: string, column: number): number;
}

/** Which gutter a wire takes and on which sides it leaves and enters. */
interface Route {
	/** The state whose gutter it is. */
	readonly level: string;
	readonly gutter: number;
	readonly leaves: "left" | "right" | "down" | "inside";
	readonly enters: "left" | "right" | "top";
}

const isAround = (outer: string, inner: string): boolean =>
	outer === "" || inner === outer || inner.startsWith(`${outer}.`);

/** The innermost state that holds both, or is one of them. */
function meeting(a: string, b: string): string {
	const parts = a === "" ? [] : a.split(".");
	for (let length = parts.length; length > 0; length--) {
		const path = parts.slice(0, length).join(".");
		if (isAround(path, b)) return path;
	}
	return "";
}

/** Column and row of the child of `level` that holds `path`. */
function cell(
	columns: readonly (readonly ChartState[])[],
	path: string,
): { column: number; row: number } {
	for (const [column, states] of columns.entries()) {
		const row = states.findIndex((state) => isAround(state.path, path));
		if (row >= 0) return { column, row };
	}
	return { column: 0, row: -1 };
}

function routeOf(chart: Chart, from: string, to: string): Route {
	const level = meeting(from, to);
	const columns = columnsOf(chart, level);
	const target = cell(columns, to);
	if (level === from)
		return { level, gutter: target.column, leaves: "inside", enters: "left" };
	const source = cell(columns, from);
	if (level === to)
		return { level, gutter: source.column, leaves: "left", enters: "right" };
	if (source.column === target.column) {
		const isNext =
			target.row === source.row + 1 &&
			columns[source.column]?.[source.row]?.path === from &&
			columns[target.column]?.[target.row]?.path === to;
		return isNext
			? { level, gutter: source.column, leaves: "down", enters: "top" }
			: { level, gutter: source.column, leaves: "left", enters: "left" };
	}
	const goesRight = target.column > source.column;
	return {
		level,
		gutter: goesRight ? target.column : source.column,
		leaves: goesRight ? "right" : "left",
		enters: goesRight ? "left" : "right",
	};
}

const busKey = (route: Route, to: string): string =>
	JSON.stringify([route.level, route.gutter, to, route.enters]);

/** Counts the tracks of every gutter, before anything has a place. */
export function guttersOf(chart: Chart): Gutters {
	const counts = new Map<string, number>();
	const seen = new Set<string>();
	for (const state of chart.states)
		for (const line of linesOf(chart, state)) {
			if (line.to === undefined) continue;
			const route = routeOf(chart, state.path, line.to);
			const bus = busKey(route, line.to);
			if (route.leaves === "down" || seen.has(bus)) continue;
			seen.add(bus);
			const gutter = `${route.level} ${route.gutter}`;
			counts.set(gutter, (counts.get(gutter) ?? 0) + 1);
		}
	return { count: (path, column) => counts.get(`${path} ${column}`) ?? 0 };
}

interface Bus {
	readonly route: Route;
	readonly to: Box;
	readonly ends: {
		readonly from: Box;
		readonly line: BoxLine;
		readonly y: number;
	}[];
	top: number;
	bottom: number;
	entryY: number;
	track: number;
}

/** Draws all wires. */
export function wiresOf(
	chart: Chart,
	boxes: readonly Box[],
	gutters: Gutters,
): Wire[] {
	const boxAt = new Map(boxes.map((box) => [box.state.path, box]));
	const buses = new Map<string, Bus>();
	const wires: Wire[] = [];
	const entries = new Map<string, number>();
	for (const from of boxes)
		for (const [row, line] of from.lines.entries()) {
			if (line.to === undefined) continue;
			const to = boxAt.get(line.to) as Box;
			const route = routeOf(chart, from.state.path, line.to);
			const y = from.y + TITLE_HEIGHT + 7 + row * LINE_HEIGHT;
			if (route.leaves === "down") {
				wires.push(downWire(from, to, line));
				continue;
			}
			const key = busKey(route, line.to);
			let bus = buses.get(key);
			if (bus === undefined) {
				const side = `${line.to} ${route.enters}`;
				const taken = entries.get(side) ?? 0;
				entries.set(side, taken + 1);
				const entryY = to.y + 10 + taken * 5;
				bus = {
					route,
					to,
					ends: [],
					top: entryY,
					bottom: entryY,
					entryY,
					track: 0,
				};
				buses.set(key, bus);
			}
			bus.ends.push({ from, line, y });
			bus.top = Math.min(bus.top, y);
			bus.bottom = Math.max(bus.bottom, y);
		}
	assignTracks([...buses.values()]);
	for (const bus of buses.values())
		for (const end of bus.ends)
			wires.push(busWire(chart, boxAt, gutters, bus, end));
	return wires;
}

/** From the bottom of a box to the top of the next one. Several such lines share the arrow. */
function downWire(from: Box, to: Box, line: BoxLine): Wire {
	const x = from.x + 24;
	return {
		from: from.state.path,
		to: to.state.path,
		line,
		path: `M${x} ${from.y + from.height}V${to.y}`,
	};
}

/** Short buses nearest to their column; buses that overlap get different tracks. */
function assignTracks(buses: readonly Bus[]): void {
	const taken = new Map<string, Bus[][]>();
	for (const bus of buses.toSorted(
		(a, b) => a.bottom - a.top - (b.bottom - b.top),
	)) {
		const gutter = `${bus.route.level} ${bus.route.gutter}`;
		const tracks = taken.get(gutter) ?? [];
		taken.set(gutter, tracks);
		let track = tracks.findIndex((others) =>
			others.every((o) => o.bottom < bus.top - 2 || o.top > bus.bottom + 2),
		);
		if (track < 0) track = tracks.push([]) - 1;
		(tracks[track] as Bus[]).push(bus);
		bus.track = track;
	}
}

function busWire(
	chart: Chart,
	boxAt: ReadonlyMap<string, Box>,
	gutters: Gutters,
	bus: Bus,
	end: Bus["ends"][number],
): Wire {
	const { route, to, entryY } = bus;
	const column = columnsOf(chart, route.level)[route.gutter] ?? [];
	const columnLeft = Math.min(
		...column.map((state) => (boxAt.get(state.path) as Box).x),
	);
	void gutters;
	const track = columnLeft - TRACK * (bus.track + 1);
	const exit =
		route.leaves === "inside"
			? track
			: route.leaves === "right"
				? end.from.x + end.from.width
				: end.from.x;
	const isInto = to.state.path === route.level;
	const entry = isInto || route.enters === "left" ? to.x : to.x + to.width;
	const lead =
		route.leaves === "inside"
			? `M${end.from.linesX - 3} ${end.y}H${track}`
			: `M${exit} ${end.y}H${track}`;
	return {
		from: end.from.state.path,
		to: to.state.path,
		line: end.line,
		path: `${lead}V${entryY}H${entry}`,
	};
}
