/** The main pane: the chosen view, once per log. */
import type { FunctionComponent, VNode } from "preact";
import { h } from "preact";
import { useErrorBoundary } from "preact/hooks";
import { html } from "./dom.ts";
import type { LogClient } from "./log-client.ts";
import { DiffView } from "./diff-view.ts";
import { IotlbView } from "./iotlb-view.ts";
import { PairRecords } from "./pair-records.ts";
import { PageTableView } from "./page-table-view.ts";
import { ViolationsView } from "./violations-view.ts";
import { logs, positions, useCall, view } from "./state.ts";
import { SequenceView } from "./sequence-view.ts";
import { StatechartView } from "./statechart-view.ts";
import { TopologyView } from "./topology-view.ts";
import type { ViewId } from "./views.ts";

const { div, p, section, span } = html;

/** What every view gets: a log and a position in it. */
export interface ViewProps {
	readonly log: LogClient;
	readonly at: number;
	/** The log shown beside this one, and the same place in it. */
	readonly beside: { readonly log: LogClient; readonly at: number } | undefined;
}

const COMPONENTS: Readonly<Record<ViewId, FunctionComponent<ViewProps>>> = {
	topology: TopologyView,
	statechart: StatechartView,
	pages: PageTableView,
	iotlb: IotlbView,
	sequence: SequenceView,
	violations: ViolationsView,
	diff: DiffView,
};

/** Name of a log and its record at the cursor. */
function LogTitle({ log, at }: ViewProps): VNode {
	const row = useCall(log, "rows", { positions: [at] })?.[0];
	return div(
		{ class: "log-title" },
		log.name,
		span(
			{ class: "chart-place" },
			row === undefined ? "" : `  ${row.seq}  ${row.type}  ${row.actor}`,
		),
	);
}

/** One view of one log. A view that fails says so in its place; the rest of the page goes on. */
function SafeView(props: ViewProps & { readonly view: ViewId }): VNode {
	const [error] = useErrorBoundary();
	if (error !== undefined)
		return p(
			{ class: "nothing", role: "alert" },
			`This view failed: ${String(error)}. Choose another one, or move the cursor and come back.`,
		);
	return h(COMPONENTS[props.view], props) as VNode;
}

/** The pane. */
export function ViewPane(): VNode {
	return div(
		{
			id: "view",
			class: "view",
			role: "tabpanel",
			"aria-labelledby": `tab-${view.value}`,
		},
		...logs.value.map((log, i) => {
			const at = positions.value[i] ?? -1;
			const otherLog = logs.value.find((other) => other !== log);
			const beside =
				otherLog === undefined
					? undefined
					: {
							log: otherLog,
							at: positions.value[logs.value.indexOf(otherLog)] ?? -1,
						};
			return section(
				{ class: "log-side", key: i, "aria-label": log.name },
				div(
					{ class: "log-view" },
					beside === undefined ? null : h(LogTitle, { log, at, beside }),
					h(SafeView, {
						log,
						at,
						beside,
						view: view.value,
						key: view.value,
					}),
				),
				beside === undefined ? null : h(PairRecords, { log, at, beside }),
			);
		}),
	);
}
