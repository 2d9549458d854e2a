/** Saving what the list shows as CSV, and the timeline as a trace for Perfetto. */
import type { VNode } from "preact";
import { html } from "./dom.ts";
import { saveText } from "./save.ts";
import { firstLog, query } from "./state.ts";

const { button, span } = html;

async function save(kind: "csv" | "perfetto"): Promise<void> {
	const log = firstLog.value;
	if (log === undefined) return;
	const stem = log.name.replace(/\.[^.]*$/, "");
	if (kind === "csv")
		saveText(
			`${stem}.csv`,
			"text/csv",
			await log.call("csv", { query: query.value }),
		);
	else
		saveText(
			`${stem}.perfetto.json`,
			"application/json",
			await log.call("perfetto", {}),
		);
}

/** Buttons beside the search field. */
export function ExportButtons(): VNode {
	return span(
		{ class: "exports" },
		button(
			{
				class: "export",
				title: "Save the listed records as CSV",
				onClick: () => void save("csv"),
			},
			"CSV",
		),
		button(
			{
				class: "export",
				title: "Save the timeline as a trace for ui.perfetto.dev",
				onClick: () => void save("perfetto"),
			},
			"Perfetto",
		),
	);
}
