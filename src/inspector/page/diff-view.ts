/** What differs between the marked position and the cursor; without a mark, what the record at the cursor has changed. */
import type { VNode } from "preact";
import type { Difference } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { factsTable } from "./facts-table.ts";
import { counted } from "./format.ts";
import {
	cursor,
	isOwnLog,
	logs,
	marked,
	markedPositions,
	moveIn,
	selectedActor,
	useCall,
} from "./state.ts";
import type { ViewProps } from "./view-pane.ts";

const { button, div, p, span } = html;

const differenceTable = (
	found: readonly Difference[],
	isMarked: boolean,
): VNode =>
	factsTable(
		[
			"actor",
			"fact",
			isMarked ? "at the mark" : "before",
			isMarked ? "at the cursor" : "after",
		],
		found.map((row) => [
			`${row.actor} ${row.what}`,
			button(
				{
					class: "link",
					onClick: () => {
						selectedActor.value = row.actor;
					},
				},
				row.actor,
			),
			row.what,
			{ as: "before", is: row.before },
			{ as: "after", is: `→ ${row.after}` },
		]),
	);

/** The view. */
export function DiffView({ log, at }: ViewProps): VNode {
	const mark = markedPositions.value[logs.value.indexOf(log)];
	const from = mark ?? at - 1;
	const found = useCall(
		log,
		"diff",
		{ from, to: at },
		log.progress.value.summary.folded,
	);
	const rows = useCall(log, "rows", { positions: [from, at] });
	const seqOf = (position: number): string =>
		String(rows?.find((row) => row.at === position)?.seq ?? "–");
	return div(
		{ class: "diff" },
		div(
			{ class: "view-bar" },
			span(
				{ class: "chart-place", role: "status" },
				mark === undefined
					? `changed by the record at the cursor, seq ${seqOf(at)}: ${counted(found?.length ?? 0, "fact")}`
					: `from seq ${seqOf(mark)} (mark) to seq ${seqOf(at)}: ${counted(found?.length ?? 0, "difference")}`,
			),
			button(
				{
					class: "export",
					onClick: () => {
						marked.value = cursor.value;
					},
				},
				"Mark the cursor (m)",
			),
			mark === undefined
				? null
				: button(
						{ class: "export", onClick: () => void moveIn(log, mark) },
						"Go to the mark",
					),
			mark === undefined
				? null
				: button(
						{
							class: "export",
							onClick: () => {
								marked.value = undefined;
							},
						},
						"Remove the mark",
					),
		),
		found === undefined || found.length === 0
			? nothing(log, found === undefined, mark === undefined)
			: differenceTable(found, mark !== undefined),
	);
}

function nothing(
	log: ViewProps["log"],
	isReading: boolean,
	isUnmarked: boolean,
): VNode {
	const words = !isOwnLog(log)
		? "This log is of another actor system: its states are in the statechart view."
		: isReading
			? "Reading…"
			: isUnmarked
				? "This record changed nothing that is compared. Mark a position (m) and move the cursor, and all that has changed between the two is listed here."
				: "Nothing differs.";
	return p({ class: "nothing", role: "status" }, words);
}
