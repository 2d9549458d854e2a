/** Rows of the record list as CSV (RFC 4180). */
import type { Row } from "../worker/protocol.ts";

/** Spreadsheets run what starts with these signs as a formula: such a cell gets a quote in front. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: string | number): string {
	if (typeof value === "number") return String(value);
	const safe = FORMULA.test(value) ? `'${value}` : value;
	return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const dataOf = (line: string): string => {
	try {
		return JSON.stringify((JSON.parse(line) as { data?: unknown }).data ?? {});
	} catch {
		return line;
	}
};

/** One line per row, with a heading. */
export function csv(rows: Iterable<Row>): string {
	const lines = ["seq,t_ns,type,actor,op,data"];
	for (const { seq, t, type, actor, op, text } of rows)
		lines.push([seq, t, type, actor, op, dataOf(text)].map(cell).join(","));
	return `${lines.join("\r\n")}\r\n`;
}
