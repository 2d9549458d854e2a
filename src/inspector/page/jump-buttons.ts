/** Ways out of an empty view: to the neighbours that have something to show. */
import type { VNode } from "preact";
import type { Neighbour } from "../worker/protocol.ts";
import { html } from "./dom.ts";
import { jump } from "./state.ts";

const { button, p } = html;

/** Buttons to the one before and the next one. */
export function jumpButtons(what: Neighbour, name: string): VNode {
	return p(
		{ class: "ways-out" },
		button(
			{ class: "export", onClick: () => void jump(what, -1) },
			`‹ ${name} before`,
		),
		button(
			{ class: "export", onClick: () => void jump(what, 1) },
			`next ${name} ›`,
		),
	);
}
