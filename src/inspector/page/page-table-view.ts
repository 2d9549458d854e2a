/** A domain's page table: its address space as a strip, and its tables with decoded entries. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { h } from "preact";
import { useState } from "preact/hooks";
import { shortName } from "../model/names.ts";
import type { PageTablePicture, Run, TableNode } from "../model/page-table.ts";
import { html, svg } from "./dom.ts";
import { byteSize, grouped, hex } from "./format.ts";
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
const { g, path, rect, root, text, title } = svg;

/** The part of the address space that the strip shows, in bytes; undefined = around what is mapped. */
const window_ = signal<{ from: number; to: number } | undefined>(undefined);
const STRIP_WIDTH = 780;
const STRIP_HEIGHT = 54;
const PAGE_BYTES = 4096;
const ZOOM = 1.5;

/** Height and shape tell the page size: 4 KiB low and plain, 2 MiB taller with one bar, 1 GiB full height with two. */
function shapeOf(pageBytes: number): {
	height: number;
	bars: number;
	name: string;
} {
	if (pageBytes >= 2 ** 30) return { height: 38, bars: 2, name: "1 GiB" };
	if (pageBytes >= 2 ** 21)
		return { height: 28, bars: 1, name: byteSize(pageBytes) };
	if (pageBytes > PAGE_BYTES)
		return { height: 22, bars: 0, name: byteSize(pageBytes) };
	return { height: 16, bars: 0, name: byteSize(pageBytes) };
}

function runPart(run: Run, from: number, scale: number): VNode {
	const x = (run.iova - from) * scale;
	const width = Math.max(1.5, run.lengthBytes * scale - 0.5);
	const { height, bars, name } = shapeOf(run.pageBytes);
	const y = STRIP_HEIGHT - 14 - height;
	const rights = `${run.rights & 1 ? "r" : "–"}${run.rights & 2 ? "w" : "–"}`;
	return g(
		{ key: run.iova, class: `run${run.rights & 2 ? "" : " is-read-only"}` },
		title(
			null,
			`${hex(run.iova)} … ${hex(run.iova + run.lengthBytes - 1)} → ${hex(run.pa)}, ${byteSize(run.lengthBytes)} in pages of ${name}, ${rights}`,
		),
		rect({ x, y, width, height }),
		...Array.from({ length: bars }, (_, i) =>
			path({ d: `M${x} ${y + 6 + i * 5}h${width}`, class: "bar" }),
		),
	);
}

function stripBar(
	from: number,
	to: number,
	zoom: (factor: number) => void,
): VNode {
	return div(
		{ class: "strip-bar" },
		span({ class: "mono" }, `${hex(from)} … ${hex(to)}`),
		span({ class: "dim" }, byteSize(to - from)),
		button(
			{
				class: "export",
				"aria-label": "Zoom in",
				onClick: () => zoom(1 / ZOOM),
			},
			"+",
		),
		button(
			{
				class: "export",
				"aria-label": "Zoom out",
				onClick: () => zoom(ZOOM),
			},
			"−",
		),
		button(
			{
				class: "export",
				onClick: () => {
					window_.value = undefined;
				},
			},
			"what is mapped",
		),
		span(
			{ class: "dim legend" },
			"height = page size: low 4 KiB, ─ 2 MiB, ═ 1 GiB; dashed = read-only",
		),
	);
}

function Strip({ picture }: { picture: PageTablePicture }): VNode {
	const extent = picture.extent ?? { from: 0, to: 2 ** 21 };
	const margin = Math.max(PAGE_BYTES * 4, (extent.to - extent.from) * 0.04);
	const wanted = window_.value ?? {
		from: Math.max(0, extent.from - margin),
		to: Math.min(picture.spaceBytes, extent.to + margin),
	};
	const from = Math.floor(wanted.from / PAGE_BYTES) * PAGE_BYTES;
	const to = Math.ceil(wanted.to / PAGE_BYTES) * PAGE_BYTES;
	const scale = STRIP_WIDTH / (to - from);
	const zoomAt = (share: number, factor: number): void => {
		const size = Math.min(
			Math.max((to - from) * factor, PAGE_BYTES * 16),
			picture.spaceBytes,
		);
		const start = from + share * (to - from) - share * size;
		const kept = Math.max(0, Math.min(start, picture.spaceBytes - size));
		window_.value = { from: kept, to: kept + size };
	};
	return div(
		{ class: "strip" },
		stripBar(from, to, (factor) => zoomAt(0.5, factor)),
		root(
			{
				viewBox: `0 0 ${STRIP_WIDTH} ${STRIP_HEIGHT}`,
				role: "img",
				"aria-label": `Address space of ${picture.domain}: ${picture.runs.length} runs`,
				onWheel: (event: WheelEvent) => {
					event.preventDefault();
					const target = event.currentTarget as SVGSVGElement;
					const box = target.getBoundingClientRect();
					const share = (event.clientX - box.left) / box.width;
					zoomAt(share, event.deltaY > 0 ? ZOOM : 1 / ZOOM);
				},
			},
			rect({
				class: "space",
				x: 0,
				y: STRIP_HEIGHT - 14,
				width: STRIP_WIDTH,
				height: 2,
			}),
			...picture.runs
				.filter((run) => run.iova < to && run.iova + run.lengthBytes > from)
				.map((run) => runPart(run, from, scale)),
			text({ x: 0, y: STRIP_HEIGHT - 1, class: "small" }, hex(from)),
			text(
				{
					x: STRIP_WIDTH,
					y: STRIP_HEIGHT - 1,
					class: "small",
					"text-anchor": "end",
				},
				hex(to),
			),
		),
	);
}

const STATE_SIGNS: Readonly<Record<string, string>> = {
	private: "○ private",
	linked: "● linked",
	unlinked: "◌ unlinked",
	quarantined: "◍ quarantined",
};

function TableRow({ node }: { node: TableNode }): VNode {
	const [isOpen, setOpen] = useState(node.depth < 2);
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
			span({ class: "dim" }, `${node.entryCount} entries`),
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
										? `→ table ${entry.child}`
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
							window_.value = undefined;
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
					{ class: "nothing" },
					domain === undefined
						? "No domain has a page table at this record: nothing was mapped yet."
						: `${shortName(domain)} has no page table at this record.`,
				)
			: h(Strip, { picture }),
		...(picture?.tables ?? []).map((node) =>
			h(TableRow, { key: `${picture?.domain} ${node.table}`, node }),
		),
		(picture?.tablesLeftOut ?? 0) > 0
			? p(
					{ class: "dim nothing" },
					`${grouped(picture?.tablesLeftOut ?? 0)} more tables`,
				)
			: null,
	);
}
