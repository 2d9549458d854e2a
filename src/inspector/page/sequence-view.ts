/** The operation at the cursor as a sequence diagram. */
import type { VNode } from "preact";
import { h } from "preact";
import { useMemo } from "preact/hooks";
import { mermaidSequence } from "../export/mermaid-sequence.ts";
import { cut, shortName } from "../model/names.ts";
import { type Message, type Sequence, sequenceOf } from "../model/sequence.ts";
import { html, svg } from "./dom.ts";
import { saveText } from "./save.ts";
import { moveTo, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, div, p, span } = html;
const { defs, g, line, marker, path, rect, root, text, title } = svg;

const COLUMN_MAX = 138;
const COLUMN_MIN = 84;
/** Width that the lifelines share. */
const ROOM = 760;
const ROW = 24;
const TOP = 34;
const LEFT = 70;
/** Arrows drawn at most: the one at the cursor is always among them. */
const DRAWN_MAX = 240;

function arrow(
	message: Message,
	row: number,
	at: number,
	column: number,
): VNode {
	const y = TOP + 22 + row * ROW;
	const x1 = LEFT + message.from * column;
	const x2 = LEFT + message.to * column;
	const isSelf = x1 === x2;
	const classes = ["message", message.kind];
	if (message.isUndo) classes.push("undo");
	if (message.at === at) classes.push("is-here");
	const d = isSelf
		? `M${x1} ${y - 4}h14v8h-12`
		: `M${x1} ${y}H${x2 + (x2 > x1 ? -2 : 2)}`;
	const isLeft = x2 < x1;
	return g(
		{
			key: message.at,
			class: classes.join(" "),
			onClick: () => moveTo(message.at),
		},
		rect({ class: "hit", x: 0, y: y - ROW / 2 - 3, width: 4000, height: ROW }),
		text({ class: "seq", x: 8, y: y + 3 }, String(message.seq)),
		path({ d, "marker-end": "url(#head)" }),
		message.kind === "failure"
			? text({ class: "cross", x: x2 + (isLeft ? 8 : -14), y: y + 4 }, "✕")
			: null,
		text(
			{
				class: "words",
				x: isSelf ? x1 + 20 : Math.min(x1, x2) + 8,
				y: isSelf ? y + 4 : y - 4,
			},
			message.text,
			title(null, message.text),
		),
	);
}

interface DiagramProps {
	readonly sequence: Sequence;
	readonly drawn: readonly Message[];
	readonly at: number;
	readonly name: string;
}

function lifeline(
	name: string,
	x: number,
	column: number,
	bottom: number,
): VNode[] {
	return [
		line({ class: "lifeline", x1: x, x2: x, y1: TOP, y2: bottom }),
		rect({
			class: "life-head",
			x: x - column / 2 + 4,
			y: 8,
			width: column - 8,
			height: 22,
			rx: 4,
		}),
		text(
			{ class: "life-name", x, y: 23, "text-anchor": "middle" },
			cut(shortName(name), Math.floor(column / 7)),
			title(null, name),
		),
	];
}

/** Lifelines and arrows. */
function Diagram({ sequence, drawn, at, name }: DiagramProps): VNode {
	const { lifelines } = sequence;
	const column = Math.max(
		COLUMN_MIN,
		Math.min(COLUMN_MAX, (ROOM - LEFT) / Math.max(1, lifelines.length - 0.5)),
	);
	const width = LEFT + lifelines.length * column + 60;
	const height = TOP + 40 + drawn.length * ROW;
	return root(
		{ width, height, role: "img", "aria-label": `Sequence of ${name}` },
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
		...lifelines.flatMap((one, i) =>
			lifeline(one, LEFT + i * column, column, height - 8),
		),
		...drawn.map((message, row) => arrow(message, row, at, column)),
	);
}

/** The view. */
export function SequenceView({ log, at }: ViewProps): VNode {
	const span_ = useCall(log, "operationAt", { at });
	const operation = useCall(
		log,
		"operation",
		span_ === undefined ? undefined : { op: span_.op },
		span_?.end,
	);
	const sequence = useMemo(
		() => sequenceOf(operation?.rows ?? []),
		[operation],
	);
	if (span_ === undefined || operation === undefined)
		return p(
			{ class: "nothing" },
			"The record at the cursor belongs to no operation. Press o for the next one.",
		);
	const { messages } = sequence;
	const here = Math.max(
		0,
		messages.findIndex((m) => m.at >= at),
	);
	const from = Math.max(
		0,
		Math.min(here - DRAWN_MAX / 2, messages.length - DRAWN_MAX),
	);
	const drawn = messages.slice(from, from + DRAWN_MAX);
	const left = messages.length - drawn.length + operation.leftOut;
	return div(
		{ class: "sequence" },
		div(
			{ class: "view-bar" },
			span(
				{ class: "chart-place", role: "status" },
				`operation ${span_.op}: ${span_.name} — ${span_.outcome === "fail" ? "✕ failed" : span_.outcome}, ${messages.length + operation.leftOut} records`,
			),
			left > 0 ? span({ class: "dim" }, `${left} not drawn`) : null,
			span(
				{ class: "exports" },
				button(
					{
						class: "export",
						onClick: () =>
							saveText(
								`operation-${span_.op}.mmd`,
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
			at,
			name: `operation ${span_.op}, ${span_.name}`,
		}),
	);
}
