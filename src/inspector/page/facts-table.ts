/** Tables of facts: a head, and rows of cells. */
import type { ComponentChild, VNode } from "preact";
import { html } from "./dom.ts";

const { table, tbody, td, th, thead, tr } = html;

/** What stands in a cell, with a class where it looks special. */
export type Cell =
	| string
	| number
	| VNode
	| { readonly as: string; readonly is: ComponentChild };

/** A row; `key` tells it apart from the others. */
export type Row = readonly [key: string | number, ...cells: readonly Cell[]];

/** A cell of addresses. */
export const mono = (is: string | number): Cell => ({ as: "mono", is });

/** The table. */
export const factsTable = (
	heads: readonly string[],
	rows: readonly Row[],
): VNode =>
	table(
		{ class: "facts-table" },
		thead(null, tr(null, ...heads.map((name) => th(null, name)))),
		tbody(
			null,
			...rows.map(([key, ...cells]) => tr({ key }, ...cells.map(cellOf))),
		),
	);

const cellOf = (cell: Cell): VNode =>
	typeof cell === "object" && "as" in cell
		? td({ class: cell.as }, cell.is)
		: td(null, cell);
