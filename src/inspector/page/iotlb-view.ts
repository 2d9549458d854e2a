/** What hardware may still hold: stale windows as bars over the records, and the list at the cursor. */
import type { VNode } from "preact";
import { h } from "preact";
import { shortName } from "../model/names.ts";
import type { IotlbPicture, TagName } from "../model/iotlb.ts";
import type { StaleWindow } from "../worker/stale-history.ts";
import type { LogClient } from "./log-client.ts";
import { html, svg } from "./dom.ts";
import { factsTable, mono } from "./facts-table.ts";
import { byteSize, counted, hex, nanoseconds } from "./format.ts";
import { pressable } from "./pressable.ts";
import { isOwnLog, moveIn, useCall } from "./state.ts";
import { windowOf } from "./timeline-window.ts";
import type { ViewProps } from "./view-pane.ts";

const { div, h3, p, span } = html;
const { g, line, path, rect, root, text, title } = svg;

const WIDTH = 800;
const LEFT = 190;
const ROW = 15;
const ROWS_MAX = 28;

/** An entry that is only being set up has no domain id yet. */
const didName = (did: number): string => (did < 0 ? "not yet" : String(did));

/** How much a line is worth drawing: what was called flushed first, then what lasted longest. In records. */
function weightOf(windows: readonly StaleWindow[]): number {
	let weight = 0;
	for (const { from, to, claimedAt } of windows)
		weight +=
			claimedAt >= 0 || to < 0 ? Number.MAX_SAFE_INTEGER / 4 : to - from;
	return weight;
}

/** Windows on lines, one line per range; when there are too many, the ones that matter most, in the order in which they began. */
function linesOf(windows: readonly StaleWindow[]): {
	drawn: StaleWindow[][];
	leftOut: number;
} {
	const lines = new Map<string, StaleWindow[]>();
	for (const window of windows) {
		const { dom, iova, lengthBytes } = window.range;
		const key = `${dom} ${iova} ${lengthBytes}`;
		const known = lines.get(key);
		if (known === undefined) lines.set(key, [window]);
		else known.push(window);
	}
	const all = [...lines.values()];
	const kept = new Set(
		all.toSorted((a, b) => weightOf(b) - weightOf(a)).slice(0, ROWS_MAX),
	);
	return {
		drawn: all.filter((line_) => kept.has(line_)),
		leftOut: all.length - kept.size,
	};
}

function bar(
	window: StaleWindow,
	y: number,
	from: number,
	scale: number,
	log: LogClient,
): VNode {
	const { range } = window;
	const end = window.to < 0 ? log.progress.value.summary.count : window.to;
	const x = LEFT + Math.max(0, window.from - from) * scale;
	const width = Math.max(3, (end - Math.max(window.from, from)) * scale);
	const state =
		window.claimedAt >= 0
			? "claimed"
			: range.isCertain
				? "certain"
				: "possible";
	const lasted =
		window.to < 0 ? "still open at the end" : nanoseconds(window.tTo - range.t);
	const told = `${range.dom} ${hex(range.iova)} +${byteSize(range.lengthBytes)}: cleared at seq ${range.seq}, ${lasted}${window.claimedAt >= 0 ? "; a caller was told it was flushed while it was not" : ""}`;
	return g(
		{
			key: range.id,
			class: `window ${state}`,
			...pressable(told, () => void moveIn(log, window.from)),
		},
		title(null, told),
		rect({ x, y: y + 2, width, height: ROW - 4, rx: 2 }),
		window.claimedAt >= 0
			? path({ class: "claim-mark", d: `M${x + 3} ${y + 4}l5 7m0 -7l-5 7` })
			: null,
		window.to < 0
			? path({
					class: "open-end",
					d: `M${x + width} ${y + 2}l5 ${(ROW - 4) / 2}l-5 ${(ROW - 4) / 2}`,
				})
			: null,
	);
}

function Windows({ log, at }: { log: LogClient; at: number }): VNode {
	const { from, to } = windowOf(log);
	const answer = useCall(
		log,
		"staleWindows",
		{ from, to },
		log.progress.value.summary.folded,
	);
	const { drawn, leftOut } = linesOf(answer?.windows ?? []);
	const scale = (WIDTH - LEFT - 10) / Math.max(1, to - from);
	const height = 22 + Math.max(1, drawn.length) * ROW;
	const cursorX = LEFT + (at + 0.5 - from) * scale;
	return div(
		null,
		h3(null, "Stale windows over the records shown in the timeline"),
		root(
			{
				viewBox: `0 0 ${WIDTH} ${height}`,
				role: "group",
				"aria-label": `${answer?.windows.length ?? 0} stale windows`,
			},
			...drawn.flatMap((windows, row) => {
				const { range } = windows[0] as StaleWindow;
				const y = 16 + row * ROW;
				return [
					text(
						{
							class: "small mono",
							x: LEFT - 8,
							y: y + 11,
							"text-anchor": "end",
						},
						`${shortName(range.dom)} ${hex(range.iova)} +${byteSize(range.lengthBytes)}`,
					),
					line({
						class: "lifeline",
						x1: LEFT,
						x2: WIDTH - 10,
						y1: y + ROW,
						y2: y + ROW,
					}),
					...windows.map((window) => bar(window, y, from, scale, log)),
				];
			}),
			drawn.length === 0
				? text(
						{ class: "small", x: LEFT, y: 30 },
						"No stale window in these records.",
					)
				: null,
			line({
				class: "cursor-rule",
				x1: cursorX,
				x2: cursorX,
				y1: 4,
				y2: height,
				visibility: at >= from && at < to ? "visible" : "hidden",
			}),
		),
		p(
			{ class: "dim legend" },
			`${counted(answer?.windows.length ?? 0, "window")}${leftOut > 0 ? `, ${counted(leftOut, "range")} not drawn (zoom the timeline in)` : ""}. Full bar: certainly reachable when cleared. Outlined: possibly. ✕: reported as flushed while still stale.`,
		),
	);
}

/** A tag for people: whose entry, by IOMMU, domain id and PASID. */
const tagName = ({ iommu, did, pasid }: TagName): string =>
	`${shortName(iommu)} did ${didName(did)}${pasid === 0 ? "" : ` pasid ${pasid}`}`;

const staleTable = ({ stale }: IotlbPicture): VNode =>
	factsTable(
		["domain", "tag", "IOVA", "size", "may still reach", "cleared at", "state"],
		stale.map((range) => [
			range.id,
			shortName(range.dom),
			tagName(range),
			mono(hex(range.iova)),
			byteSize(range.leftBytes),
			mono(range.pa === undefined ? "not known" : hex(range.pa)),
			`seq ${range.seq}`,
			[
				range.isCertain ? "certain" : "possible",
				range.isQueued ? "left to the flush queue" : "",
				range.unflushedSeq > 0
					? `✕ called flushed at seq ${range.unflushedSeq}`
					: "",
			]
				.filter((word) => word !== "")
				.join(", "),
		]),
	);

const tagTable = ({ tags }: IotlbPicture): VNode =>
	factsTable(
		["tag", "domain", "requesters", "may hold entries", "stale"],
		tags.map((tag) => [
			`${tagName(tag)} ${tag.dom}`,
			tagName(tag),
			tag.stage2 === undefined
				? shortName(tag.dom)
				: `${shortName(tag.dom)}, nested on ${shortName(tag.stage2)}`,
			mono(tag.requesters.join(", ") || "none"),
			tag.mayHold ? "● yes" : "○ no",
			`${tag.staleRanges} ranges, ${tag.staleTables} tables`,
		]),
	);

/** Tables that are no longer linked, or about to be covered by a superpage, and may be in paging-structure caches. */
const walkTable = ({ tables }: IotlbPicture): VNode =>
	factsTable(
		["domain", "tag", "table", "from", "covers", "since", "why"],
		tables.map((one) => [
			`${tagName(one)} ${one.table} ${one.seq}`,
			shortName(one.dom),
			tagName(one),
			one.table < 0 ? "not told" : one.table,
			mono(hex(one.iova)),
			byteSize(one.lengthBytes),
			`seq ${one.seq}`,
			one.why,
		]),
	);

const entryTable = ({ entries }: IotlbPicture): VNode =>
	factsTable(
		["domain", "tag", "kind", "IOVA", "size", "leads to", "since"],
		entries.map((entry, i) => [
			i,
			shortName(entry.dom),
			tagName(entry),
			entry.kind,
			mono(hex(entry.iova)),
			byteSize(entry.lengthBytes),
			mono(entry.leads),
			`seq ${entry.since}`,
		]),
	);

const isStale = ({ stale, tables, entries }: IotlbPicture): boolean =>
	stale.length + tables.length + entries.length > 0;

function verdictOf(picture: IotlbPicture): string {
	const { stale, staleLeftOut, tables, windows } = picture;
	if (!picture.isArmed)
		return "The log has shown no tag, context entry or invalidation up to here: nothing can be said about the IOTLB.";
	const said: string[] = [];
	if (stale.length > 0)
		said.push(
			`${counted(stale.length + staleLeftOut, "range")} may still be translated by hardware though memory no longer maps ${stale.length === 1 ? "it" : "them"}.`,
		);
	if (tables.length > 0)
		said.push(
			`${counted(tables.length, "table")} may still be walked through.`,
		);
	if (picture.entries.length > 0)
		said.push(
			`${picture.entries.length === 1 ? "1 entry" : `${picture.entries.length} entries`} of the caches may differ from memory.`,
		);
	if (said.length > 0) return `▲ ${said.join(" ")}`;
	return `Hardware holds nothing that memory does not say. ${windows.count === 0 ? "No stale window so far." : `${counted(windows.count, "window")} so far, the longest ${nanoseconds(windows.longestNs)}.`}`;
}

/** The view. */
export function IotlbView({ log, at }: ViewProps): VNode {
	const picture = useCall(
		log,
		"iotlb",
		{ at },
		log.progress.value.summary.count > 0,
	);
	if (picture === undefined)
		return p(
			{ class: "nothing" },
			isOwnLog(log)
				? "Reading…"
				: "This log is of another actor system: it has no IOTLB.",
		);
	return div(
		{ class: "iotlb" },
		p(
			{ class: `verdict ${isStale(picture) ? "error" : ""}`, role: "status" },
			verdictOf(picture),
		),
		h(Windows, { log, at }),
		picture.stale.length === 0
			? null
			: div(null, h3(null, "Stale at the cursor"), staleTable(picture)),
		picture.entries.length === 0
			? null
			: div(
					null,
					h3(null, "Cached entries that memory no longer gives"),
					entryTable(picture),
				),
		picture.tables.length === 0
			? null
			: div(
					null,
					h3(null, "Tables that a cached walk may still go through"),
					walkTable(picture),
				),
		picture.pending.length === 0
			? null
			: p(
					null,
					span(null, "Invalidations on their way: "),
					...picture.pending
						.slice(0, 12)
						.map((inv) =>
							span(
								{ class: "mono chip" },
								`${shortName(inv.iommu)} #${inv.inv} ${inv.kind}/${inv.gran} (seq ${inv.seq})`,
							),
						),
				),
		picture.tags.length === 0
			? null
			: div(null, h3(null, "Tags at the cursor"), tagTable(picture)),
	);
}
