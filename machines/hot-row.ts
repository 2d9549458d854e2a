/**
 * A row of a compiled machine that is taken often becomes one function: its guards, its actions and the new context's literal in a single piece
 * of code, which V8 can optimize across. A loop over rules that calls whatever function comes next, and merges whatever it returned, costs
 * several times as much. Names come from the definition alone and are quoted.
 */
import type { Rule, Stepped } from "./compile.ts";

/** A row as a function. */
export type HotRow = (context: object, event: object) => Stepped;

/** How often a row is taken before it is worth a function: making one costs about as much as that many steps. */
export const HOT_AFTER = 100;

/** The context after an action: each field as the action returned it, or as it was. */
function literal(fields: readonly string[], before: string): string {
	const one = (name: string): string =>
		`${name}:${name} in g?g[${name}]:${before}[${name}]`;
	return `{${fields.map((field) => one(JSON.stringify(field))).join(",")}}`;
}

/**
 * The function of a row. `fields` are those of the context; the table, which ran the row so far, throws for any other. The name in the comment
 * makes every source text unlike any other, for V8 shares what it learns about calls among functions of one text.
 */
export function hotRow(
	name: string,
	fields: readonly string[],
	at: number,
	rules: readonly Rule[],
): HotRow {
	const names: string[] = [];
	const values: unknown[] = [];
	const call = (value: unknown, context: string): string => {
		names.push(`f${names.length}`);
		values.push(value);
		return `${names.at(-1)}(${context},e)`;
	};
	const body = rules.map(({ guard, actions, next }) => {
		const steps = actions.map(
			(action, i) =>
				`g=${call(action, `c${i}`)};const c${i + 1}=${literal(fields, `c${i}`)};`,
		);
		const then = `{let g;${steps.join("")}return{at:${next},context:c${actions.length}};}`;
		return guard === undefined ? then : `if(${call(guard, "c0")})${then}`;
	});
	const text = `"use strict";/*${JSON.stringify(name).replaceAll("*/", "")}*/return(c0,e)=>{${body.join("")}return{at:${at},context:c0};}`;
	// oxlint-disable-next-line no-new-func
	return new Function(...names, text)(...values) as HotRow;
}
