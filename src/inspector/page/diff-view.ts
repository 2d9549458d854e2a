/** What differs between the marked position and the cursor. */
import type { VNode } from "preact";
import type { Difference } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { cursor, marked, moveTo, selectedActor, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, div, p, span, table, tbody, td, th, thead, tr } = html;

function differenceTable(found: readonly Difference[]): VNode {
	return table(
		{ class: "facts-table" },
		thead(
			null,
			tr(
				null,
				th(null, "actor"),
				th(null, "fact"),
				th(null, "at the mark"),
				th(null, "at the cursor"),
			),
		),
		tbody(
			null,
			...found.map((row) =>
				tr(
					{ key: `${row.actor} ${row.what}` },
					td(
						null,
						button(
							{
								class: "link",
								onClick: () => {
									selectedActor.value = row.actor;
								},
							},
							row.actor,
						),
					),
					td(null, row.what),
					td({ class: "before" }, row.before),
					td({ class: "after" }, `→ ${row.after}`),
				),
			),
		),
	);
}

/** The view. */
export function DiffView({ log, at }: ViewProps): VNode {
	const from = marked.value;
	const found = useCall(
		log,
		"diff",
		from === undefined ? undefined : { from, to: at },
		log.progress.value.summary.folded,
	);
	const markHere = button(
		{
			class: "export",
			onClick: () => {
				marked.value = cursor.value;
			},
		},
		"Mark the cursor (m)",
	);
	if (from === undefined)
		return div(
			{ class: "diff" },
			div({ class: "view-bar" }, markHere),
			p(
				{ class: "nothing" },
				"Mark a position, then move the cursor: what has changed between the two is listed here.",
			),
		);
	return div(
		{ class: "diff" },
		div(
			{ class: "view-bar" },
			span(
				{ class: "chart-place", role: "status" },
				`from record ${from + 1} to record ${at + 1}: ${found?.length ?? "…"} differences`,
			),
			button(
				{ class: "export", onClick: () => moveTo(from) },
				"Go to the mark",
			),
			markHere,
		),
		found === undefined || found.length === 0
			? p(
					{ class: "nothing" },
					found === undefined ? "Reading…" : "Nothing differs.",
				)
			: differenceTable(found),
	);
}
