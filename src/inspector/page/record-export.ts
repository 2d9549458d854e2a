/** Saving what the list shows. */
import type { VNode } from "preact";
import { html } from "./dom.ts";

const { span } = html;

/** Buttons beside the search field. */
export function ExportButtons(): VNode {
	return span(null);
}
