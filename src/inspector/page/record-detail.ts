/** The record at the cursor: decoded field by field, and raw. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { html } from "./dom.ts";
import { byteSize, nanoseconds } from "./format.ts";
import {
	cursor,
	firstLog,
	moveToSeq,
	selectedActor,
	useCall,
	view,
} from "./state.ts";

const { button, code, dd, div, dl, dt, pre, span } = html;

const ACTOR = /^(?:host|(?:group|domain|ctx|device|iommu|task):.+)$/;

function valueOf(key: string, value: unknown): VNode {
	const text = typeof value === "string" ? value : JSON.stringify(value);
	if (typeof value === "string" && ACTOR.test(value))
		return button(
			{
				class: "link",
				title: "Select this actor",
				onClick: () => {
					selectedActor.value = value;
				},
			},
			value,
		);
	const size =
		/^(?:len|unmapped|bytes|copied|align)$/.test(key) &&
		/^(?:0x[\da-f]+|\d+)$/.test(text)
			? ` = ${byteSize(Number(text))}`
			: "";
	return code(null, `${text}${size}`);
}

function parsed(text: string): Record<string, unknown> {
	try {
		const { data } = JSON.parse(text) as { data?: unknown };
		if (typeof data === "object" && data !== null)
			return data as Record<string, unknown>;
	} catch {}
	return {};
}

/** The pane below the list. */
export function RecordDetail(): VNode {
	const [isRaw, setRaw] = useState(false);
	const at = cursor.value;
	const rows = useCall(
		firstLog.value,
		"rows",
		at < 0 ? undefined : { positions: [at] },
	);
	const row = at < 0 ? undefined : rows?.[0];
	if (row === undefined)
		return div({ class: "detail" }, "Before the first record.");
	const fields: [string, VNode][] = [
		["seq", code(null, `${row.seq}   ${nanoseconds(row.t)}`)],
		["type", code(null, row.type)],
		["actor", valueOf("actor", row.actor)],
	];
	if (row.op !== 0)
		fields.push([
			"op",
			span(
				null,
				button(
					{
						class: "link",
						title: "Go to the operation's begin",
						onClick: () => void moveToSeq(row.op),
					},
					`operation ${row.op}`,
				),
				" ",
				button(
					{
						class: "link",
						title: "Show the operation as a sequence diagram",
						onClick: () => {
							view.value = "sequence";
						},
					},
					"sequence",
				),
			),
		]);
	for (const [key, value] of Object.entries(parsed(row.text)))
		fields.push([key, valueOf(key, value)]);
	return div(
		{ class: "detail", "aria-label": "Record at the cursor", role: "region" },
		button(
			{
				class: "raw-switch",
				"aria-pressed": isRaw,
				onClick: () => setRaw(!isRaw),
			},
			"raw",
		),
		isRaw
			? pre(null, row.text)
			: dl(
					null,
					...fields.flatMap(([name, value]) => [
						dt(null, name),
						dd(null, value),
					]),
				),
	);
}
