/** The operation at the cursor as a sequence diagram. */
import type { ComponentChild, VNode } from "preact";
import { h } from "preact";
import { useMemo } from "preact/hooks";
import { mermaidSequence } from "../export/mermaid-sequence.ts";
import type { Gap } from "../model/gaps.ts";
import { narrow, shortName } from "../model/names.ts";
import { type Message, type Sequence, sequenceOf } from "../model/sequence.ts";
import type { Calls } from "../worker/protocol.ts";
import { html, svg } from "./dom.ts";
import { counted } from "./format.ts";
import { jumpButtons } from "./jump-buttons.ts";
import { pressable } from "./pressable.ts";
import { saveText } from "./save.ts";
import { moveTo, useCall } from "./state.ts";
import { useWidth } from "./use-width.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, div, p, span } = html;
const { defs, g, line, marker, path, rect, root, text, title } = svg;

const COLUMN_MAX = 150;
const COLUMN_MIN = 76;
const ROW = 24;
const TOP = 34;
/** Room for the words at the last lifeline. */
const RIGHT = 110;
/** Room for the numbers of the records. */
const LEFT_MIN = 48;
const LETTER_WIDTH = 7.4;
/** A letter of an arrow's words. */
const WORD_WIDTH = 6.2;
/** Arrows drawn at most: the one at the cursor is always among them. */
const DRAWN_MAX = 240;

/** Where things go: lifelines share the width of the pane. */
interface Grid {
	readonly left: number;
	readonly column: number;
	readonly width: number;
}

function gridFor(lifelines: number, pane: number): Grid {
	const share = (pane - LEFT_MIN - RIGHT) / Math.max(1, lifelines - 0.5);
	const column = Math.max(COLUMN_MIN, Math.min(COLUMN_MAX, share));
	const left = Math.max(LEFT_MIN, column / 2 + 2);
	const width = Math.max(pane, left + (lifelines - 1) * column + RIGHT + 30);
	return { left, column, width };
}

function arrow(message: Message, y: number, at: number, grid: Grid): VNode {
	const x1 = grid.left + message.from * grid.column;
	const x2 = grid.left + message.to * grid.column;
	const isSelf = x1 === x2;
	const classes = ["message", message.kind];
	if (message.isUndo) classes.push("undo");
	if (message.at === at) classes.push("is-here");
	const d = isSelf
		? `M${x1} ${y - 4}h14v8h-12`
		: `M${x1} ${y}H${x2 + (x2 > x1 ? -2 : 2)}`;
	const isLeft = x2 < x1;
	const isTight =
		isSelf && x1 + 24 + message.text.length * WORD_WIDTH > grid.width;
	return g(
		{
			key: message.at,
			class: classes.join(" "),
			...pressable(`seq ${message.seq}: ${message.text}`, () =>
				moveTo(message.at),
			),
		},
		rect({
			class: "hit",
			x: 0,
			y: y - ROW / 2 - 3,
			width: grid.width,
			height: ROW,
		}),
		text({ class: "seq", x: 8, y: y + 3 }, String(message.seq)),
		path({ d, "marker-end": "url(#head)" }),
		message.kind === "failure"
			? text({ class: "cross", x: x2 + (isLeft ? 8 : -14), y: y + 4 }, "✕")
			: null,
		text(
			{
				class: "words",
				x: isSelf ? (isTight ? x1 - 8 : x1 + 20) : Math.min(x1, x2) + 8,
				y: isSelf ? y + 4 : y - 4,
				"text-anchor": isTight ? "end" : "start",
			},
			message.text,
			title(null, message.text),
		),
	);
}

/** What others did here, between two records of the operation. */
function gapPart(gap: Gap, y: number, grid: Grid): VNode {
	return g(
		{
			key: `gap ${gap.at}`,
			class: "others",
			...pressable(`others: ${gap.text}`, () => moveTo(gap.at)),
		},
		rect({ class: "hit", x: 0, y: y - 13, width: grid.width, height: 18 }),
		text(
			{ class: "words", x: 8, y },
			`⋮ ${counted(gap.count, "record")} of others — ${gap.text}`,
		),
	);
}

interface DiagramProps {
	readonly sequence: Sequence;
	readonly drawn: readonly Message[];
	/** Row of the first arrow drawn. */
	readonly from: number;
	readonly gaps: readonly Gap[];
	readonly at: number;
	readonly name: string;
	readonly pane: number;
}

function lifeline(name: string, x: number, column: number): VNode[] {
	return [
		rect({
			class: "life-head",
			x: x - column / 2 + 2,
			y: 8,
			width: column - 4,
			height: 22,
			rx: 4,
		}),
		text(
			{ class: "life-name", x, y: 23, "text-anchor": "middle" },
			narrow(shortName(name), Math.floor((column - 8) / LETTER_WIDTH)),
			title(null, name),
		),
	];
}

/** Lifelines, arrows, and what others did in between. */
function Diagram(props: DiagramProps): VNode {
	const { sequence, drawn, at, name, pane } = props;
	const { lifelines } = sequence;
	const grid = gridFor(lifelines.length, pane);
	const gaps = new Map(props.gaps.map((gap) => [gap.before, gap]));
	const rows: VNode[] = [];
	let y = 20;
	for (const [i, message] of drawn.entries()) {
		const gap = gaps.get(props.from + i);
		if (gap !== undefined) {
			rows.push(gapPart(gap, y, grid));
			y += ROW;
		}
		rows.push(arrow(message, y, at, grid));
		y += ROW;
	}
	const places = lifelines.map((_, i) => grid.left + i * grid.column);
	return div(
		null,
		root(
			{ class: "life-heads", width: grid.width, height: TOP },
			...lifelines.flatMap((one, i) =>
				lifeline(one, places[i] as number, grid.column),
			),
		),
		root(
			{
				width: grid.width,
				height: y + 10,
				role: "group",
				"aria-label": `Sequence of ${name}`,
			},
			defs(
				null,
				marker(
					{
						id: "head",
						viewBox: "0 0 8 8",
						refX: 7,
						refY: 4,
						markerWidth: 8,
						markerHeight: 8,
						markerUnits: "userSpaceOnUse",
						orient: "auto",
					},
					path({ d: "M0 0 8 4 0 8z", class: "tip" }),
				),
			),
			...places.map((x) =>
				line({ class: "lifeline", x1: x, x2: x, y1: 0, y2: y }),
			),
			...rows,
		),
	);
}

const NONE = {
	class: "nothing",
	role: "status",
} as const;

function NoOperation(): VNode {
	return div(
		NONE,
		p(null, "No operation is running at the cursor."),
		jumpButtons("operation", "operation"),
	);
}

/** The view. */
export function SequenceView({ log, at }: ViewProps): VNode {
	const [place, pane] = useWidth(640);
	const running = useCall(log, "operationAt", { at });
	const operation = useCall(
		log,
		"operation",
		running === undefined ? undefined : { op: running.op },
		running?.end,
	);
	const sequence = useMemo(
		() => sequenceOf(operation?.rows ?? []),
		[operation],
	);
	const isReady = running !== undefined && operation !== undefined;
	return div(
		{ class: "sequence", ref: place },
		isReady
			? shownOperation(running, operation, sequence, at, pane)
			: h(NoOperation, null),
	);
}

type Running = NonNullable<Calls["operationAt"][1]>;
type Operation = NonNullable<Calls["operation"][1]>;

const OUTCOME_WORDS = {
	fail: "✕ failed",
	commit: "committed",
	open: "not ended in this log",
	unknown: "? ended, nobody knows how",
} as const;

function shownOperation(
	running: Running,
	operation: Operation,
	sequence: Sequence,
	at: number,
	pane: number,
): ComponentChild[] {
	const { messages } = sequence;
	const here = Math.max(
		0,
		messages.findLastIndex((m) => m.at <= at),
	);
	const from = Math.max(
		0,
		Math.min(here - DRAWN_MAX / 2, messages.length - DRAWN_MAX),
	);
	const drawn = messages.slice(from, from + DRAWN_MAX);
	const left = messages.length - drawn.length + operation.leftOut;
	const { op, name, outcome } = running;
	return [
		div(
			{ class: "view-bar" },
			span(
				{ class: "chart-place", role: "status" },
				`operation ${op}: ${name} — ${OUTCOME_WORDS[outcome]}, ${counted(messages.length + operation.leftOut, "record")}`,
			),
			running.isOwn
				? null
				: span(
						{ class: "dim" },
						"running here; the record at the cursor is of another",
					),
			left > 0 ? span({ class: "dim" }, `${left} not drawn`) : null,
			span(
				{ class: "exports" },
				button(
					{
						class: "export",
						title: "Save as a Mermaid sequence diagram",
						onClick: () =>
							saveText(
								`operation-${op}.mmd`,
								"text/plain",
								mermaidSequence(sequence),
							),
					},
					"Mermaid",
				),
			),
		),
		h(Diagram, {
			sequence,
			drawn,
			from,
			gaps: operation.gaps,
			at,
			pane,
			name: `operation ${op}, ${name}`,
		}),
	];
}
