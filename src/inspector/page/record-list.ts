/**
 * The list of records, windowed: only the rows on screen exist. The scroll bar is scaled, since browsers cap an element's height
 * (field-notes §4.2: 33,554,428 px in Chromium; half of that elsewhere) and a log does not care.
 */
import { effect, signal } from "@preact/signals";
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Row } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { dataInShort, grouped } from "./format.ts";
import { ExportButtons } from "./record-export.ts";
import {
	count,
	cursor,
	firstLog,
	hasRows,
	moveTo,
	query,
	useCall,
} from "./state.ts";
import { h } from "preact";

const { div, input, p, span } = html;

const ROW_HEIGHT = 20;
const SCROLL_HEIGHT_MAX = 8_000_000;
const ROWS_KEPT_MAX = 4000;

/** Positions that match the query; undefined = all. */
export const matches = signal<Uint32Array | undefined>(undefined);
const isSearching = signal(false);

const QUERY_DELAY_MS = 150;

/** Runs the query whenever it, or the log's length, changes. */
export function startFilter(): void {
	let timer: ReturnType<typeof setTimeout> | undefined;
	effect(() => {
		const text = query.value;
		const log = firstLog.value;
		void count.value;
		clearTimeout(timer);
		if (text.trim() === "") {
			matches.value = undefined;
			isSearching.value = false;
			return;
		}
		isSearching.value = true;
		timer = setTimeout(async () => {
			const found = await log?.call("filter", { query: text });
			if (query.peek() !== text) return;
			matches.value = found;
			isSearching.value = false;
		}, QUERY_DELAY_MS);
	});
}

/** Index in `found` of the last match at or before `at`. */
function matchNear(found: Uint32Array, at: number): number {
	let low = 0;
	let high = found.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((found[middle] as number) <= at) low = middle + 1;
		else high = middle;
	}
	return Math.max(0, low - 1);
}

function useRowCache(): Map<number, Row> {
	const cache = useRef(new Map<number, Row>());
	const log = useRef(firstLog.value);
	if (log.current !== firstLog.value || cache.current.size > ROWS_KEPT_MAX) {
		cache.current = new Map();
		log.current = firstLog.value;
	}
	return cache.current;
}

function rowLine(
	row: Row | undefined,
	at: number,
	top: number,
	opHere: number,
	isBroken: boolean,
): VNode {
	const isHere = at === cursor.value;
	const classes = ["row"];
	if (isBroken) classes.push("is-broken");
	if (isHere) classes.push("is-here");
	if (row !== undefined && row.op !== 0 && row.op === opHere)
		classes.push("is-same-op");
	if (row?.type === "op.fail") classes.push("is-failure");
	return div(
		{
			key: at,
			class: classes.join(" "),
			role: "option",
			"aria-selected": isHere,
			style: { transform: `translateY(${top}px)` },
			onPointerDown: () => moveTo(at),
		},
		span(
			{ class: "seq" },
			isBroken ? span({ class: "broken", title: "violation" }, "✕ ") : null,
			row?.seq ?? "",
		),
		span({ class: "type" }, row?.type ?? "…"),
		span({ class: "actor" }, row?.actor ?? ""),
		span(
			{ class: "data" },
			row === undefined
				? ""
				: `${row.text.includes('"undo":true') ? "↩ " : ""}${dataInShort(row.text)}`,
		),
	);
}

function SearchField(): VNode {
	const found = matches.value;
	const said =
		query.value.trim() === ""
			? `${grouped(count.value)} records`
			: isSearching.value
				? "searching…"
				: `${grouped(found?.length ?? 0)} match`;
	return div(
		{ class: "search" },
		input({
			id: "query",
			type: "search",
			placeholder: "search: type:dom.* actor:group:7 op:replace iova:0x1 -word",
			"aria-label": "Search the records",
			value: query.value,
			onInput: (event: Event) => {
				query.value = (event.target as HTMLInputElement).value;
			},
		}),
		span({ class: "found", "aria-live": "polite" }, said),
		h(ExportButtons, null),
	);
}

/** A window of rows that is scrolled by bar, wheel and cursor. */
function useScroll(total: number) {
	const place = useRef<HTMLDivElement | null>(null);
	const [height, setHeight] = useState(400);
	const [top, setTop] = useState(0);
	const ownScroll = useRef(-1);
	const shownRows = Math.ceil(height / ROW_HEIGHT);
	const topMax = Math.max(0, total - Math.floor(height / ROW_HEIGHT));
	const scrollHeight = Math.min(total * ROW_HEIGHT, SCROLL_HEIGHT_MAX);
	const scrollMax = Math.max(1, scrollHeight - height);
	const scrollTo = (row: number): void => {
		const next = Math.max(0, Math.min(row, topMax));
		setTop(next);
		ownScroll.current = Math.round((next / Math.max(topMax, 1)) * scrollMax);
		if (place.current !== null) place.current.scrollTop = ownScroll.current;
	};
	useLayoutEffect(() => {
		const watcher = new ResizeObserver(([entry]) =>
			setHeight(entry?.contentRect.height ?? 400),
		);
		if (place.current !== null) watcher.observe(place.current);
		return () => watcher.disconnect();
	}, []);
	return {
		place,
		height,
		top,
		shownRows,
		scrollHeight,
		scrollTo,
		/** The bar was moved: by the reader, unless it stands where we put it. */
		onScroll: () => {
			const now = place.current?.scrollTop ?? 0;
			if (Math.abs(now - ownScroll.current) < 1.5) return;
			setTop((now / scrollMax) * topMax);
		},
		onWheel: (event: WheelEvent) => {
			event.preventDefault();
			scrollTo(top + event.deltaY / ROW_HEIGHT);
		},
	};
}

/** The rows at these positions, as far as they are here; asks for the rest. */
function useRows(positions: readonly number[]): Map<number, Row> {
	const cache = useRowCache();
	const isMissing = positions.some((at) => !cache.has(at));
	const fresh = useCall(
		firstLog.value,
		"rows",
		isMissing ? { positions } : undefined,
	);
	for (const row of fresh ?? []) cache.set(row.at, row);
	useLayoutEffect(() => {
		if (cache.size > 0) hasRows.value = true;
	}, [fresh]);
	return cache;
}

/** The list with its search field. */
export function RecordList(): VNode {
	const found = matches.value;
	const total = found?.length ?? count.value;
	const scroll = useScroll(total);
	const { top, height, shownRows, scrollTo } = scroll;
	useLayoutEffect(() => {
		const row =
			found === undefined ? cursor.value : matchNear(found, cursor.value);
		const isOutside = row < top + 1 || row > top + shownRows - 3;
		if (isOutside) scrollTo(row - Math.floor(shownRows / 2));
	}, [cursor.value, found, total, height]);
	const first = Math.floor(top);
	const positions: number[] = [];
	for (let row = first; row < Math.min(total, first + shownRows + 1); row++)
		positions.push(found === undefined ? row : (found[row] as number));
	const rows = useRows(positions);
	const marks = useCall(
		firstLog.value,
		"marks",
		{},
		firstLog.value?.progress.value.summary.folded,
	);
	const broken = useMemo(() => new Set(marks), [marks]);
	const opHere = rows.get(cursor.value)?.op || -1;
	return div(
		{ class: "records" },
		h(SearchField, null),
		div(
			{
				class: "record-scroll",
				ref: scroll.place,
				role: "listbox",
				tabIndex: 0,
				"aria-label": "Records",
				onScroll: scroll.onScroll,
				onWheel: scroll.onWheel,
			},
			total === 0
				? p(
						{ class: "nothing" },
						query.value === "" ? "No records yet." : "No record matches.",
					)
				: null,
			div(
				{
					class: "record-space",
					style: { height: `${scroll.scrollHeight}px` },
				},
				div(
					{ class: "record-window", style: { height: `${height}px` } },
					...positions.map((at, i) =>
						rowLine(
							rows.get(at),
							at,
							(first + i - top) * ROW_HEIGHT,
							opHere,
							broken.has(at),
						),
					),
				),
			),
		),
	);
}
