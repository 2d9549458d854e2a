/** Below each of two logs: the records of its operation, the one at the cursor lit, those that the other log has not marked. */
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { unlike } from "../model/unlike.ts";
import type { Calls, Row } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { counted, dataInShort } from "./format.ts";
import type { LogClient } from "./log-client.ts";
import { moveIn, useCall } from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { div, p, span } = html;

const NO_ROWS: readonly Row[] = [];

function useOperation(
	log: LogClient | undefined,
	at: number,
): Calls["operation"][1] {
	const running = useCall(log, "operationAt", { at });
	return useCall(
		log,
		"operation",
		running === undefined ? undefined : { op: running.op },
		running?.end,
	);
}

function recordLine(
	row: Row,
	isHere: boolean,
	isUnlike: boolean,
	move: (at: number) => void,
): VNode {
	const classes = ["row"];
	if (isHere) classes.push("is-here");
	if (isUnlike) classes.push("is-unlike");
	if (row.type === "op.fail") classes.push("is-failure");
	return div(
		{
			key: row.at,
			class: classes.join(" "),
			role: "option",
			"aria-selected": isHere,
			title: isUnlike ? "The other log has no such record here" : undefined,
			onPointerDown: () => move(row.at),
		},
		span({ class: "seq" }, `${isUnlike ? "≠ " : ""}${row.seq}`),
		span({ class: "type" }, row.type),
		span({ class: "actor" }, row.actor),
		span(
			{ class: "data" },
			`${row.text.includes('"undo":true') ? "↩ " : ""}${dataInShort(row.text)}`,
		),
	);
}

/** The list. */
export function PairRecords({ log, at, beside }: ViewProps): VNode {
	const own = useOperation(log, at);
	const other = useOperation(beside?.log, beside?.at ?? -1);
	const rows = own?.rows ?? NO_ROWS;
	const different = useMemo(
		() => unlike(rows, other?.rows ?? NO_ROWS),
		[own, other],
	);
	const list = useRef<HTMLDivElement | null>(null);
	useLayoutEffect(() => {
		list.current
			?.querySelector(".is-here")
			?.scrollIntoView({ block: "nearest" });
	}, [at, own]);
	const name = own === undefined ? "" : `${own.span.op}: ${own.span.name}`;
	return div(
		{ class: "pair-records" },
		p(
			{ class: "pair-head", role: "status" },
			own === undefined
				? "No operation is running at the cursor."
				: `Operation ${name} — ${counted(rows.length, "record")}, ${different.size} ≠`,
		),
		div(
			{
				ref: list,
				class: "pair-rows",
				role: "listbox",
				tabIndex: 0,
				"aria-label": `Records of operation ${name} in ${log.name}`,
			},
			...rows.map((row) =>
				recordLine(
					row,
					row.at === at,
					different.has(row.at),
					(to) => void moveIn(log, to),
				),
			),
		),
	);
}
