/** The main pane: the chosen view, once per log. */
import type { VNode } from "preact";
import { html } from "./dom.ts";
import { view } from "./state.ts";

const { div, p } = html;

/** The pane. */
export function ViewPane(): VNode {
	return div(
		{
			id: "view",
			class: "view",
			role: "tabpanel",
			"aria-labelledby": `tab-${view.value}`,
		},
		p({ class: "nothing" }, "Nothing to show."),
	);
}
