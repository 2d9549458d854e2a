/** A sequence diagram as Mermaid. */
import type { Sequence } from "../model/sequence.ts";
import { mermaidText } from "./mermaid-chart.ts";

/** The diagram as text. */
export function mermaidSequence(sequence: Sequence): string {
	const lines = ["sequenceDiagram"];
	for (const [i, name] of sequence.lifelines.entries())
		lines.push(`\tparticipant p${i} as ${mermaidText(name)}`);
	for (const { from, to, text, kind, isUndo, seq } of sequence.messages) {
		const arrow =
			kind === "failure" ? "--x" : kind === "return" || isUndo ? "-->>" : "->>";
		lines.push(`\tp${from}${arrow}p${to}: ${seq} ${mermaidText(text)}`);
	}
	return `${lines.join("\n")}\n`;
}
