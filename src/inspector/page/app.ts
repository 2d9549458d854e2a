/** The page's frame: bar, timeline, the view, records beside it, a line of facts below. */
import type { VNode } from "preact";
import { h } from "preact";
import { html } from "./dom.ts";
import { byteSize, grouped } from "./format.ts";
import { Help } from "./help.ts";
import { RecordDetail } from "./record-detail.ts";
import { RecordList } from "./record-list.ts";
import { cursor, firstLog, logs, positions, view } from "./state.ts";
import { TimelineStrip } from "./timeline-strip.ts";
import { Toolbar } from "./toolbar.ts";
import { ViewPane } from "./view-pane.ts";
import { VIEWS } from "./views.ts";

const { button, div, footer, main, nav, p, section, span } = html;

function Tabs(): VNode {
	return nav(
		{ class: "tabs", role: "tablist", "aria-label": "Views" },
		...VIEWS.map(([id, name], i) =>
			button(
				{
					role: "tab",
					id: `tab-${id}`,
					"aria-selected": view.value === id,
					"aria-controls": "view",
					title: `${name} (key ${i + 1})`,
					onClick: () => {
						view.value = id;
					},
				},
				name,
			),
		),
	);
}

const CONNECTIONS = {
	none: "",
	following: "live: following",
	reconnecting: "live: connection lost, trying again",
	ended: "live: the source has ended",
} as const;

function Facts(): VNode {
	const progress = firstLog.value?.progress.value;
	if (progress === undefined) return footer({ class: "facts" }, "no log");
	const { summary, isComplete, connection, error } = progress;
	const { header, problemCount, problems } = summary;
	const facts = [
		`${grouped(summary.count)} records`,
		`${grouped(summary.operations)} operations`,
		byteSize(summary.lengthBytes),
		header === undefined
			? "no header"
			: header["format"] === "iommu-ledger"
				? `${header["origin"]} · fidelity ${header["fidelity"]} · kernel ${header["kernel"]}`
				: String(header["format"]),
		isComplete || connection !== "none" ? "" : "reading…",
		CONNECTIONS[connection],
	].filter((fact) => fact !== "");
	const problem =
		error ??
		(problemCount > 0
			? `${grouped(problemCount)} lines not read; first: line ${problems[0]?.line}, ${problems[0]?.why}`
			: summary.unreadable > 0
				? `${grouped(summary.unreadable)} records not folded; first: ${summary.firstUnreadable}`
				: undefined);
	return footer(
		{ class: "facts", "aria-live": "polite" },
		...facts.map((fact) => span(null, fact)),
		problem === undefined ? null : span({ class: "problem" }, `⚠ ${problem}`),
	);
}

/** Everything. */
export function App(): VNode {
	if (logs.value.length === 0)
		return main(
			{ class: "empty" },
			p(null, "There is no log in this page."),
			p(null, "Open one with: iommu-ledger inspect LOG"),
		);
	return div(
		{ class: logs.value.length > 1 ? "app is-pair" : "app" },
		h(Toolbar, null),
		div(
			{ class: "timelines" },
			...logs.value.map((log, i) =>
				h(TimelineStrip, {
					key: i,
					log,
					at: i === 0 ? cursor.value : (positions.value[i] ?? -1),
					isPair: logs.value.length > 1,
				}),
			),
		),
		main(
			{ class: "panes" },
			section({ class: "view-side" }, h(Tabs, null), h(ViewPane, null)),
			section(
				{ class: "record-side", "aria-label": "Records" },
				h(RecordList, null),
				h(RecordDetail, null),
			),
		),
		h(Facts, null),
		h(Help, null),
	);
}
