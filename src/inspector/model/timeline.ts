/**
 * What the timeline strip shows of a window of the log: density, lanes of actors, spans of operations. Numbers per pixel; the
 * page paints them on a canvas.
 */
import type { LogIndex } from "./log-index.ts";
import { LOOK_BACK, type Span, type Spans } from "./spans.ts";

/** Spans drawn one by one at most; above that only their density is worth drawing. */
export const SPANS_DRAWN_MAX = 3000;

/**
 * A window [from, to) of record positions. The axis is the order of the log, not time: a recording's clocks can step back between
 * witnesses, and what led to what is a matter of order.
 */
export interface TimelineWindow {
	readonly from: number;
	readonly to: number;
	/** Columns of the drawing. */
	readonly columns: number;
	/** Numbers of the actors that get a lane. */
	readonly lanes: readonly number[];
}

/** The drawing's numbers. */
export interface TimelinePicture {
	/** Records per column. */
	readonly density: Uint32Array;
	/** Per lane, records per column. */
	readonly lanes: readonly Uint16Array[];
	readonly spans: readonly Span[];
	/** Spans inside the window that were left out. */
	readonly spansLeftOut: number;
}

const LANE_COUNT_MAX = 0xffff;

/** Computes what to draw. Linear in the records of the window, some milliseconds for a million. */
export function timelinePicture(
	index: LogIndex,
	spans: Spans,
	window: TimelineWindow,
): TimelinePicture {
	const { columns } = window;
	const density = new Uint32Array(columns);
	const lanes = window.lanes.map(() => new Uint16Array(columns));
	const laneOf = new Int32Array(index.actors.names.length).fill(-1);
	for (const [lane, actor] of window.lanes.entries()) laneOf[actor] = lane;
	const first = window.from;
	const scale = columns / Math.max(window.to - window.from, 1e-9);
	const end = Math.min(window.to, index.count);
	for (let at = Math.max(first, 0); at < end; at++) {
		const column = Math.min(
			columns - 1,
			Math.floor((at - window.from) * scale),
		);
		density[column] = (density[column] as number) + 1;
		const lane = laneOf[index.actor[at] as number] as number;
		if (lane < 0) continue;
		const row = lanes[lane] as Uint16Array;
		const count = row[column] as number;
		if (count < LANE_COUNT_MAX) row[column] = count + 1;
	}
	return { density, lanes, ...spansInside(spans, first, end) };
}

function spansInside(
	spans: Spans,
	first: number,
	end: number,
): Pick<TimelinePicture, "spans" | "spansLeftOut"> {
	const drawn: Span[] = [];
	let leftOut = 0;
	const from = Math.max(0, spans.firstFrom(first) - LOOK_BACK);
	const to = spans.firstFrom(end);
	for (let number = from; number < to; number++) {
		const ended = spans.end[number] as number;
		if (ended >= 0 && ended < first) continue;
		if (drawn.length < SPANS_DRAWN_MAX) drawn.push(spans.span(number));
		else leftOut++;
	}
	return { spans: drawn, spansLeftOut: leftOut };
}

const KIND_ORDER = [
	"host",
	"group",
	"device",
	"hwpt",
	"domain",
	"ioas",
	"access",
	"fault-queue",
	"idev",
	"pages",
	"ctx",
	"iommu",
	"task",
];

/** The kind of an actor by its name: `ctx:1/hwpt:3@2` → `hwpt`. Names of other systems give their part before the first colon. */
export function actorKind(name: string): string {
	const slash = name.startsWith("ctx:") ? name.indexOf("/") : -1;
	const colon = name.indexOf(":", slash + 1);
	return colon < 0 ? name : name.slice(slash + 1, colon);
}

const collator = new Intl.Collator("en", { numeric: true });

/** Actor numbers in the order of lanes: by kind, then by name with numbers as numbers. */
export function laneOrder(names: readonly string[]): number[] {
	const rank = (name: string): number => {
		const at = KIND_ORDER.indexOf(actorKind(name));
		return at < 0 ? KIND_ORDER.length : at;
	};
	return names
		.map((_, id) => id)
		.sort((a, b) => {
			const left = names[a] as string;
			const right = names[b] as string;
			return rank(left) - rank(right) || collator.compare(left, right);
		});
}
