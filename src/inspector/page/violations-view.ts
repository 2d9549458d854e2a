/** What the judge found: verdict first, then each violation with its reason, source and the records that led to it. */
import type { VNode } from "preact";
import type { ViolationRow } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { counted, dataInShort, grouped } from "./format.ts";
import { moveTo, selectedActor, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, code, details, div, h3, li, p, span, summary, ul } = html;

const seqLink = (seq: number, at: number): VNode =>
	button({ class: "link", onClick: () => moveTo(at) }, `seq ${seq}`);

function one(row: ViolationRow, at: number): VNode {
	const isError = row.severity === "error";
	return li(
		{
			key: `${row.id} ${row.seq} ${row.subject}`,
			class: `violation ${row.severity}${row.at === at ? " is-here" : ""}`,
		},
		div(
			{ class: "violation-head" },
			span({ class: "mark" }, isError ? "✕" : "△"),
			span({ class: "id" }, row.id),
			span({ class: "message" }, row.message),
			span({ class: "evidence" }, row.evidence),
			seqLink(row.seq, row.at),
		),
		p({ class: "sentence" }, row.sentence),
		row.harm === "" ? null : p({ class: "dim" }, `Otherwise: ${row.harm}`),
		div(
			{ class: "actors" },
			...row.actors.map((actor) =>
				button(
					{
						class: "link",
						onClick: () => {
							selectedActor.value = actor;
						},
					},
					actor,
				),
			),
		),
		row.leading.length === 0
			? null
			: ul(
					{ class: "leading", "aria-label": "Records that led to it" },
					...row.leading.map((leading) =>
						li(
							null,
							seqLink(leading.seq, leading.at),
							code(
								null,
								`${leading.type}  ${leading.actor}  ${dataInShort(leading.text)}`,
							),
						),
					),
				),
		row.uses.length === 0
			? null
			: p(
					null,
					`Proven by: ${row.uses
						.slice(0, 3)
						.map((use) => `${use.what} (seq ${use.seq})`)
						.join("; ")}`,
				),
		p({ class: "dim source" }, `Source: ${row.source.join(" · ")}`),
	);
}

/** The view. */
export function ViolationsView({ log, at }: ViewProps): VNode {
	const { folded, count } = log.progress.value.summary;
	const found = useCall(
		log,
		"violations",
		{},
		`${folded} ${log.progress.value.isJudged}`,
	);
	if (found === undefined)
		return p(
			{ class: "nothing" },
			"This log is not one that the invariants speak about.",
		);
	const { violations, warnings, unexplained } = found;
	const verdict =
		violations.length > 0
			? `✕ ${counted(violations.length + found.leftOut, "violation")}`
			: unexplained.length > 0
				? "? holds as far as the log can tell; some checks are unexplained"
				: "✓ holds";
	return div(
		{ class: "violations" },
		p(
			{
				class: `verdict ${violations.length > 0 ? "error" : ""}`,
				role: "status",
			},
			`${verdict} — ${grouped(found.judged)} of ${grouped(count)} records judged, ${grouped(found.checked)} checks, ${found.exercised} of ${found.catalogue} invariants exercised.`,
		),
		violations.length === 0
			? null
			: ul(
					{ class: "violation-list" },
					...violations.map((row) => one(row, at)),
				),
		warnings.length === 0
			? null
			: details(
					{ open: violations.length === 0 },
					summary(
						null,
						`${counted(warnings.length, "warning")}: legal, and risky`,
					),
					ul(
						{ class: "violation-list" },
						...warnings.map((row) => one(row, at)),
					),
				),
		unexplained.length === 0
			? null
			: details(
					null,
					summary(
						null,
						`${unexplained.length} unexplained: what the log could not decide`,
					),
					ul(
						null,
						...unexplained.map((entry) =>
							li(null, `${entry.id}: ${entry.missing} (×${entry.count})`),
						),
					),
				),
		violations.length + warnings.length + unexplained.length > 0
			? null
			: h3({ class: "nothing" }, "Nothing was found."),
	);
}
