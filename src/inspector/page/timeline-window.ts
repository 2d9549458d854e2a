/** The part of the log that the timeline shows. Other views over time follow it. */
import { computed, signal } from "@preact/signals";
import type { LogClient } from "./log-client.ts";
import { count, cursor, firstLog } from "./state.ts";

/** The window, in record positions; undefined = all. */
export const zoom = signal<{ from: number; to: number } | undefined>(undefined);

const RECORDS_SHOWN_MIN = 20;

/** The window as numbers. */
export const shown = computed(() => {
	const { from, to } = zoom.value ?? { from: 0, to: count.value };
	return { from, to: Math.max(to, from + 1) };
});

/** The window in a log's own positions: a log beside the first shows the same share of its records. */
export function windowOf(log: LogClient): { from: number; to: number } {
	const { from, to } = shown.value;
	if (log === firstLog.value) return { from, to };
	const scale = log.progress.value.summary.count / Math.max(1, count.value);
	const start = Math.floor(from * scale);
	return { from: start, to: Math.max(start + 1, Math.ceil(to * scale)) };
}

/** Zooms so that `at` stays where it is. */
export function zoomAround(at: number, factor: number): void {
	const { from, to } = shown.value;
	const size = (to - from) * factor;
	if (size >= count.value) {
		zoom.value = undefined;
		return;
	}
	const width = Math.max(size, Math.min(RECORDS_SHOWN_MIN, count.value));
	const share = (at - from) / (to - from);
	setWindow(at - share * width, width);
}

/** Moves the window by some records. */
export function pan(by: number): void {
	const { from, to } = shown.value;
	if (zoom.value !== undefined) setWindow(from + by, to - from);
}

/** Keeps the cursor inside the window while it is moved by other means. */
export function followCursor(): void {
	const { from, to } = shown.value;
	const at = cursor.value;
	if (zoom.value === undefined || (at >= from && at < to)) return;
	setWindow(at - (to - from) / 2, to - from);
}

function setWindow(start: number, size: number): void {
	const from = Math.round(Math.max(0, Math.min(start, count.value - size)));
	zoom.value = { from, to: Math.round(from + size) };
}
