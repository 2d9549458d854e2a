/** What hardware may still hold: stale windows as bars over the records, and the list at the cursor. */
import type { VNode } from "preact";
import { h } from "preact";
import { shortName } from "../model/names.ts";
import type { IotlbPicture } from "../model/iotlb.ts";
import type { StaleWindow } from "../worker/stale-history.ts";
import type { LogClient } from "./log-client.ts";
import { html, svg } from "./dom.ts";
import { byteSize, counted, grouped, hex, nanoseconds } from "./format.ts";
import { isOwnLog, count, moveTo, useCall } from "./state.ts";
import { shown } from "./timeline-window.ts";
import type { ViewProps } from "./view-pane.ts";

const { div, h3, p, span, table, tbody, td, th, thead, tr } = html;
const { g, line, path, rect, root, text, title } = svg;

const WIDTH = 800;
const LEFT = 190;
const ROW = 15;
const ROWS_MAX = 28;

/** An entry that is only being set up has no domain id yet. */
const didName = (did: number): string => (did < 0 ? "not yet" : String(did));

/** Windows on lines: one line per range, the busiest first come as they began. */
function linesOf(windows: readonly StaleWindow[]): StaleWindow[][] {
	const lines = new Map<string, StaleWindow[]>();
	for (const window of windows) {
		const { dom, iova, lengthBytes } = window.range;
		const key = `${dom} ${iova} ${lengthBytes}`;
		const known = lines.get(key);
		if (known === undefined) lines.set(key, [window]);
		else known.push(window);
	}
	return [...lines.values()];
}

function bar(
	window: StaleWindow,
	y: number,
	from: number,
	scale: number,
): VNode {
	const { range } = window;
	const end = window.to < 0 ? count.value : window.to;
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
	return g(
		{
			key: range.id,
			class: `window ${state}`,
			onClick: () => moveTo(window.from),
		},
		title(
			null,
			`${range.dom} ${hex(range.iova)} +${byteSize(range.lengthBytes)}: cleared at seq ${range.seq}, ${lasted}${window.claimedAt >= 0 ? "; a caller was told it was flushed while it was not" : ""}`,
		),
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
	const { from, to } = shown.value;
	const answer = useCall(
		log,
		"staleWindows",
		{ from, to },
		log.progress.value.summary.folded,
	);
	const lines = linesOf(answer?.windows ?? []);
	const drawn = lines.slice(0, ROWS_MAX);
	const scale = (WIDTH - LEFT - 10) / Math.max(1, to - from);
	const height = 22 + Math.max(1, drawn.length) * ROW;
	const cursorX = LEFT + (at + 0.5 - from) * scale;
	return div(
		null,
		h3(null, "Stale windows over the records shown in the timeline"),
		root(
			{
				viewBox: `0 0 ${WIDTH} ${height}`,
				role: "img",
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
					...windows.map((window) => bar(window, y, from, scale)),
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
			`${grouped(answer?.windows.length ?? 0)} windows${lines.length > drawn.length ? `, ${grouped(lines.length - drawn.length)} ranges not drawn (zoom the timeline in)` : ""}. Full bar: certainly reachable when cleared. Outlined: possibly. ✕: reported as flushed while still stale.`,
		),
	);
}

function staleTable(picture: IotlbPicture): VNode {
	return table(
		{ class: "facts-table" },
		thead(
			null,
			tr(
				null,
				...[
					"domain",
					"tag",
					"IOVA",
					"size",
					"may still reach",
					"cleared at",
					"state",
				].map((name) => th(null, name)),
			),
		),
		tbody(
			null,
			...picture.stale.map((range) =>
				tr(
					{ key: range.id },
					td(null, shortName(range.dom)),
					td(null, `${shortName(range.iommu)} did ${didName(range.did)}`),
					td({ class: "mono" }, hex(range.iova)),
					td(null, byteSize(range.leftBytes)),
					td(
						{ class: "mono" },
						range.pa === undefined ? "not known" : hex(range.pa),
					),
					td(null, `seq ${range.seq}`),
					td(
						null,
						[
							range.isCertain ? "certain" : "possible",
							range.isQueued ? "left to the flush queue" : "",
							range.unflushedSeq > 0
								? `✕ called flushed at seq ${range.unflushedSeq}`
								: "",
						]
							.filter((word) => word !== "")
							.join(", "),
					),
				),
			),
		),
	);
}

function tagTable(picture: IotlbPicture): VNode {
	return table(
		{ class: "facts-table" },
		thead(
			null,
			tr(
				null,
				...[
					"IOMMU",
					"domain id",
					"domain",
					"requesters",
					"may hold entries",
					"stale",
				].map((name) => th(null, name)),
			),
		),
		tbody(
			null,
			...picture.tags.map((tag) =>
				tr(
					{ key: `${tag.iommu} ${tag.did}` },
					td(null, tag.iommu),
					td(null, didName(tag.did)),
					td(null, shortName(tag.dom)),
					td({ class: "mono" }, tag.requesters.join(", ") || "none"),
					td(null, tag.mayHold ? "● yes" : "○ no"),
					td(null, `${tag.staleRanges} ranges, ${tag.staleTables} tables`),
				),
			),
		),
	);
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
			{
				class: `verdict ${picture.stale.length > 0 ? "error" : ""}`,
				role: "status",
			},
			!picture.isArmed
				? "The log has shown no tag, context entry or invalidation up to here: nothing can be said about the IOTLB."
				: picture.stale.length === 0
					? `Hardware holds nothing that memory does not say. ${grouped(picture.windows.count)} windows so far, the longest ${nanoseconds(picture.windows.longestNs)}.`
					: `▲ ${counted(picture.stale.length + picture.staleLeftOut, "range")} may still be translated by hardware though memory no longer maps ${picture.stale.length === 1 ? "it" : "them"}.`,
		),
		h(Windows, { log, at }),
		picture.stale.length === 0
			? null
			: div(null, h3(null, "Stale at the cursor"), staleTable(picture)),
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
