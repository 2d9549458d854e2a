/** The main pane: the chosen view, once per log. */
import type { FunctionComponent, VNode } from "preact";
import { h } from "preact";
import { html } from "./dom.ts";
import type { LogClient } from "./log-client.ts";
import { DiffView } from "./diff-view.ts";
import { IotlbView } from "./iotlb-view.ts";
import { PageTableView } from "./page-table-view.ts";
import { ViolationsView } from "./violations-view.ts";
import { logs, positions, view } from "./state.ts";
import { SequenceView } from "./sequence-view.ts";
import { StatechartView } from "./statechart-view.ts";
import { TopologyView } from "./topology-view.ts";
import type { ViewId } from "./views.ts";

const { div, section } = html;

/** What every view gets: a log and a position in it. */
export interface ViewProps {
	readonly log: LogClient;
	readonly at: number;
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

/** The pane. */
export function ViewPane(): VNode {
	const Component = COMPONENTS[view.value];
	return div(
		{
			id: "view",
			class: "view",
			role: "tabpanel",
			"aria-labelledby": `tab-${view.value}`,
		},
		...logs.value.map((log, i) =>
			section(
				{ class: "log-view", key: log.name, "aria-label": log.name },
				logs.value.length > 1 ? div({ class: "log-title" }, log.name) : null,
				h(Component, { log, at: positions.value[i] ?? -1, key: view.value }),
			),
		),
	);
}
