/** The topology at the cursor: books on the left, hardware on the right, marks where they differ. */
import type { ComponentChild, VNode } from "preact";
import { h } from "preact";
import { cut, shortName } from "../model/names.ts";
import type {
	TopologyDevice,
	TopologyDomain,
	TopologyGroup,
	TopologyHwpt,
	TopologyIoas,
} from "../model/topology.ts";
import {
	COLUMNS,
	DEVICE_HEIGHT,
	HAZARD_HEIGHT,
	layoutTopology,
	type Placed,
	type TopologyLayout,
	TOPOLOGY_WIDTH,
} from "../model/topology-layout.ts";
import { differingParts } from "../model/topology-difference.ts";
import { html, svg } from "./dom.ts";
import { byteSize, counted } from "./format.ts";
import { pressable } from "./pressable.ts";
import { selectedActor } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";
import { isOwnLog, useCall } from "./state.ts";

const { div, p } = html;
const { g, path, rect, root, text, title, tspan } = svg;

/** Characters of a device's name that fit beside its state. */
const DEVICE_NAME_LENGTH = 21;

/** A part that selects its actor when it is clicked. `different`: what the log beside it has otherwise. */
function part(
	id: string,
	className: string,
	box: Placed<unknown>,
	different: ReadonlySet<string>,
	name: string,
	...content: ComponentChild[]
): VNode {
	return g(
		{
			key: id,
			class: `part ${className}${selectedActor.value === id ? " is-selected" : ""}${different.has(id) ? " differs" : ""}`,
			"data-actor": id,
			"aria-pressed": selectedActor.value === id,
			...pressable(name, () => {
				selectedActor.value = id;
			}),
		},
		title(null, id),
		...content,
		different.has(id)
			? text({ class: "differs-mark", x: box.x - 7, y: box.y + 9 }, "≠")
			: null,
	);
}

const frame = (placed: Placed<unknown>, props: object = {}): VNode =>
	rect({
		x: placed.x,
		y: placed.y,
		width: placed.width,
		height: placed.height,
		rx: 6,
		...props,
	});

const twoLines = (
	placed: Placed<unknown>,
	first: string,
	second: string,
): VNode[] => [
	text({ class: "name", x: placed.x + 10, y: placed.y + 18 }, first),
	text({ class: "small", x: placed.x + 10, y: placed.y + 35 }, second),
];

function groupPart(
	placed: Placed<TopologyGroup>,
	different: ReadonlySet<string>,
): VNode {
	const { item } = placed;
	const owner =
		item.owner === undefined
			? "no owner"
			: `owner ${shortName(item.owner)} ×${item.claims ?? "?"}`;
	const dom = item.dom === undefined ? "domain ?" : shortName(item.dom);
	if (item.isBlank) return blankGroupPart(placed, different);
	return part(
		item.id,
		"group",
		placed,
		different,
		`${shortName(item.id)}: books ${dom}, ${owner}`,
		frame(placed),
		text(
			{ class: "name", x: placed.x + 10, y: placed.y + 16 },
			cut(shortName(item.id), DEVICE_NAME_LENGTH),
			tspan({ class: "small", dx: 8 }, cut(item.driver, 10)),
		),
		text(
			{ class: "small", x: placed.x + 10, y: placed.y + 30 },
			`books: ${dom} · ${owner}`,
		),
	);
}

/** A group that the log only names. */
function blankGroupPart(
	placed: Placed<TopologyGroup>,
	different: ReadonlySet<string>,
): VNode {
	const { id, devices } = placed.item;
	const names = devices.map((device) => shortName(device.id)).join(" ");
	return part(
		id,
		"group is-blank",
		placed,
		different,
		`${shortName(id)}: ${names}, nothing is known of it`,
		frame(placed),
		text(
			{ class: "small", x: placed.x + 10, y: placed.y + 14 },
			cut(shortName(id), 10),
		),
		text(
			{ class: "small mono", x: placed.x + 72, y: placed.y + 14 },
			cut(names, 26),
		),
	);
}

function devicePart(
	placed: Placed<TopologyDevice>,
	different: ReadonlySet<string>,
): VNode {
	const { x, y, item } = placed;
	const worst = item.hazards.some((h) => h.severity === "error")
		? "error"
		: item.hazards.length > 0
			? "warning"
			: "";
	const state = item.isAttached
		? "attached"
		: item.ctx === undefined
			? ""
			: "bound";
	return part(
		item.id,
		`device ${worst}`,
		placed,
		different,
		[
			shortName(item.id),
			state || "not bound",
			`hardware ${item.hardware === undefined ? "not known" : shortName(item.hardware)}`,
			...item.hazards.map(({ text: words }) => words),
		].join(", "),
		frame({ ...placed, y: y + 1, height: placed.height - 2 }, { rx: 4 }),
		worst === ""
			? null
			: path({
					class: "hazard-mark",
					d: `M${x + 11} ${y + 6}l6 11h-12z`,
				}),
		text(
			{ class: "device-name", x: x + (worst === "" ? 8 : 22), y: y + 16 },
			cut(shortName(item.id), DEVICE_NAME_LENGTH),
		),
		text(
			{
				class: "small",
				x: x + placed.width - 8,
				y: y + 16,
				"text-anchor": "end",
			},
			state,
		),
		...item.hazards.map((hazard, i) =>
			text(
				{
					class: `hazard ${hazard.severity}`,
					x: x + 8,
					y: y + DEVICE_HEIGHT + 8 + i * HAZARD_HEIGHT,
				},
				hazard.text.replace(/domain:/g, "domain "),
			),
		),
	);
}

const KINDS: Readonly<Record<string, string>> = {
	blocked: "blocked ⊘",
	identity: "identity 1:1",
	dma: "default DMA",
	"dma-fq": "default DMA, lazy",
	unknown: "known by use only",
};

function domainPart(
	placed: Placed<TopologyDomain>,
	different: ReadonlySet<string>,
): VNode {
	const { item } = placed;
	const content =
		item.kind === "blocked" || item.kind === "identity"
			? ""
			: item.mappedBytes === undefined
				? " · size not known"
				: ` · ${byteSize(item.mappedBytes)}`;
	const classes = [
		"domain",
		item.kind,
		item.isFreed ? "is-freed" : "",
		item.devices > 0 ? "is-used" : "",
	];
	const kind = item.isFreed ? "FREED" : (KINDS[item.kind] ?? item.kind);
	return part(
		item.id,
		classes.join(" "),
		placed,
		different,
		`${shortName(item.id)}: ${kind}${content}, ${counted(item.devices, "device")} by hardware`,
		frame(placed),
		...twoLines(
			placed,
			`${shortName(item.id)}${item.hwpt === undefined ? "" : ` = ${shortName(item.hwpt)}`}`,
			`${kind}${content}`,
		),
		text(
			{
				class: "small",
				x: placed.x + placed.width - 8,
				y: placed.y + 35,
				"text-anchor": "end",
			},
			item.staleRanges > 0 ? `${item.staleRanges} stale` : `${item.devices} hw`,
		),
	);
}

const heading = (x: number, words: string): VNode =>
	text({ class: "heading", x, y: 16 }, words);

function ioasPart(
	placed: Placed<TopologyIoas>,
	different: ReadonlySet<string>,
): VNode {
	const { id, areas, domains } = placed.item;
	const facts = `${counted(areas, "area")} · ${domains.length} dom`;
	return part(
		id,
		"ioas",
		placed,
		different,
		`${shortName(id)}: ${facts}`,
		frame(placed),
		...twoLines(placed, shortName(id), facts),
	);
}

function hwptPart(
	placed: Placed<TopologyHwpt>,
	different: ReadonlySet<string>,
): VNode {
	const { id, isAuto, isLinked, dom, users, devices } = placed.item;
	const facts = [
		...(dom === undefined ? [] : [shortName(dom)]),
		...(users === undefined ? [] : [`u=${users}`]),
		`${devices} dev`,
	];
	return part(
		id,
		`hwpt${isLinked ? "" : " is-unlinked"}`,
		placed,
		different,
		`${shortName(id)}: ${facts.join(", ")}`,
		frame(placed),
		...twoLines(
			placed,
			`${shortName(id)}${isAuto ? " auto" : ""}`,
			facts.join(" · "),
		),
	);
}

interface DrawingProps {
	readonly layout: TopologyLayout;
	readonly different: ReadonlySet<string>;
	/** Devices whose books and hardware differ. */
	readonly wrong: number;
}

function Drawing({ layout, different, wrong }: DrawingProps): VNode {
	return root(
		{
			viewBox: `0 0 ${layout.width} ${layout.height}`,
			style: { maxWidth: `${TOPOLOGY_WIDTH * 1.25}px` },
			role: "group",
			"aria-label": `Topology: ${wrong} devices differ between books and hardware`,
		},
		heading(COLUMNS.ioas.x, "IOAS"),
		heading(COLUMNS.hwpt.x, "hwpt (books)"),
		heading(COLUMNS.group.x, "group and devices"),
		heading(COLUMNS.domain.x, "domain (hardware)"),
		...layout.links.map(({ kind, from, to, path: d, isWrong }) =>
			path({
				key: `${kind} ${from}`,
				class: `link-line ${kind}${isWrong ? " is-wrong" : ""}`,
				d,
				"data-link": `${kind} ${from} ${to}`,
			}),
		),
		...layout.ioases.map((ioas) => ioasPart(ioas, different)),
		...layout.hwpts.map((hwpt) => hwptPart(hwpt, different)),
		...layout.groups.map((group) => groupPart(group, different)),
		...layout.devices.map((device) => devicePart(device, different)),
		...layout.domains.map((domain) => domainPart(domain, different)),
	);
}

/** What the picture says, in a sentence. */
function verdictOf(
	{ devices }: TopologyLayout,
	wrong: number,
	surprising: number,
): string {
	const elsewhere = devices.filter(
		({ item: { books, hardware } }) =>
			books !== undefined && hardware !== undefined && books !== hardware,
	).length;
	if (elsewhere > 0)
		return `▲ ${elsewhere} ${elsewhere === 1 ? "device translates" : "devices translate"} through another domain than the books say.`;
	if (wrong > 0)
		return `▲ ${counted(wrong, "device")} where the hardware is not as it should be: see the marks.`;
	const known = devices.filter(({ item }) => item.hardware !== undefined);
	if (known.length === 0)
		return "What hardware does is not known at this record: the log has shown no attach and no context entry yet.";
	return `Books and hardware agree${known.length === devices.length ? "" : `, for the ${counted(known.length, "device")} whose hardware is known`}.${surprising === 0 ? "" : ` △ ${counted(surprising, "device")} not attached, yet translating through a user's domain.`}`;
}

/** The view. */
export function TopologyView({ log, at, beside }: ViewProps): VNode {
	const answer = useCall(
		log,
		"topology",
		{ at },
		log.progress.value.summary.count > 0,
	);
	const other = useCall(
		beside?.log,
		"topology",
		beside === undefined ? undefined : { at: beside.at },
		beside?.log.progress.value.summary.count,
	);
	if (answer === undefined)
		return p(
			{ class: "nothing" },
			isOwnLog(log)
				? "Reading…"
				: "This log is of another actor system: it has no topology.",
		);
	if (answer.groups.length === 0 && answer.domains.length === 0)
		return p(
			{ class: "nothing" },
			"No group, device or domain is known at this record.",
		);
	const layout = layoutTopology(answer);
	const different =
		other === undefined ? new Set<string>() : differingParts(answer, other);
	const wrong = layout.devices.filter((d) =>
		d.item.hazards.some((h) => h.severity === "error"),
	);
	const surprising = layout.devices.filter((d) =>
		d.item.hazards.some((h) => h.severity === "warning"),
	).length;
	return div(
		{ class: "topology" },
		p(
			{ class: `verdict ${wrong.length > 0 ? "error" : ""}`, role: "status" },
			verdictOf(layout, wrong.length, surprising),
		),
		h(Drawing, { layout, different, wrong: wrong.length }),
	);
}
