/** A domain's page table: its address space as a strip, and its tables with decoded entries. */
import type { VNode } from "preact";
import { h } from "preact";
import { useState } from "preact/hooks";
import { shortName } from "../model/names.ts";
import type { TableNode } from "../model/page-table.ts";
import { html } from "./dom.ts";
import { byteSize, grouped, hex } from "./format.ts";
import { resetStrip, Strip } from "./page-strip.ts";
import { isOwnLog, selectedActor, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const {
	button,
	div,
	label,
	option,
	p,
	select,
	span,
	table,
	tbody,
	td,
	th,
	thead,
	tr,
} = html;

const STATE_SIGNS: Readonly<Record<string, string>> = {
	private: "○ private",
	linked: "● linked",
	unlinked: "◌ unlinked",
	quarantined: "◍ quarantined",
	freed: "✕ freed",
};

/** Trees of so few tables are shown whole. */
const SMALL_TREE_MAX = 8;
const SMALL_TABLE_MAX = 12;

interface TableRowProps {
	readonly node: TableNode;
	/** Of a tree small enough to be shown whole. */
	readonly isSmall: boolean;
}

function TableRow({ node, isSmall }: TableRowProps): VNode {
	const [isOpen, setOpen] = useState(isSmall || node.depth < 2);
	return h(
		"div" as never,
		{
			class: "table-node",
			style: { marginLeft: `${node.depth * 18}px` },
		} as never,
		button(
			{
				class: `table-head state-${node.state}`,
				"aria-expanded": isOpen,
				onClick: () => setOpen(!isOpen),
			},
			span(null, isOpen ? "▾" : "▸"),
			span({ class: "mono" }, `table ${node.table}`),
			span({ class: "dim" }, `level ${node.level}`),
			span(null, STATE_SIGNS[node.state]),
			span(
				{ class: "dim" },
				`${grouped(node.entryCount)} ${node.entryCount === 1 ? "entry" : "entries"}`,
			),
			node.iova === undefined
				? span({ class: "dim" }, "nothing points to it")
				: span({ class: "mono dim" }, `from ${hex(node.iova)}`),
		),
		!isOpen || node.entries.length === 0
			? null
			: table(
					{ class: "entries" },
					thead(
						null,
						tr(
							null,
							th(null, "slot"),
							th(null, "IOVA"),
							th(null, "word"),
							th(null, "decoded"),
						),
					),
					tbody(
						null,
						...node.entries.map((entry) =>
							tr(
								{ key: entry.slot },
								td(null, entry.slot),
								td(null, hex(entry.iova)),
								td(null, entry.word),
								td(
									null,
									entry.kind === "table"
										? `→ table ${entry.child ?? "not linked yet"}`
										: `page ${hex(entry.pa ?? 0)}, ${byteSize(entry.sizeBytes)}, ${entry.rights & 1 ? "r" : "–"}${entry.rights & 2 ? "w" : "–"}`,
								),
							),
						),
						node.entryCount > node.entries.length
							? tr(
									null,
									td(
										{ colSpan: 4, class: "dim" },
										`${grouped(node.entryCount - node.entries.length)} more entries`,
									),
								)
							: null,
					),
				),
	);
}

/** The view. */
export function PageTableView({ log, at }: ViewProps): VNode {
	const [chosen, choose] = useState<string | undefined>(undefined);
	const selected = selectedActor.value;
	const domain =
		chosen ?? (selected?.startsWith("domain:") ? selected : undefined);
	const answer = useCall(
		log,
		"pageTable",
		{ at, ...(domain === undefined ? {} : { domain }) },
		log.progress.value.summary.count > 0,
	);
	if (answer === undefined)
		return p(
			{ class: "nothing" },
			isOwnLog(log)
				? "Reading…"
				: "This log is of another actor system: it has no page tables.",
		);
	const { domains, picture } = answer;
	return div(
		{ class: "page-table" },
		div(
			{ class: "view-bar" },
			label(
				null,
				span({ class: "dim" }, "domain "),
				select(
					{
						"aria-label": "Domain",
						value: picture?.domain ?? domain ?? "",
						onChange: (event: Event) => {
							resetStrip();
							choose((event.target as HTMLSelectElement).value);
						},
					},
					...[
						...new Set([...domains, ...(domain === undefined ? [] : [domain])]),
					].map((id) => option({ value: id }, shortName(id))),
				),
			),
			picture === undefined
				? null
				: span(
						{ class: "chart-place", role: "status" },
						`${picture.format}, ${picture.mappedBytes === undefined ? "size not known" : byteSize(picture.mappedBytes)} mapped, ${Object.entries(
							picture.states,
						)
							.map(([state, n]) => `${n} ${state}`)
							.join(", ")}`,
					),
		),
		picture === undefined
			? p(
					{ class: "nothing", role: "status" },
					domain === undefined
						? "No domain has a page table at this record: nothing was mapped yet."
						: `${shortName(domain)} has no page table at this record: nothing was mapped in it yet, or its kind has none.`,
				)
			: h(Strip, { picture }),
		...(picture?.tables ?? []).map((node) =>
			h(TableRow, {
				key: `${picture?.domain} ${node.table}`,
				node,
				isSmall:
					(picture?.tables.length ?? 0) <= SMALL_TREE_MAX &&
					node.entryCount <= SMALL_TABLE_MAX,
			}),
		),
		(picture?.tablesLeftOut ?? 0) > 0
			? p(
					{ class: "dim nothing" },
					`${grouped(picture?.tablesLeftOut ?? 0)} more tables`,
				)
			: null,
	);
}
