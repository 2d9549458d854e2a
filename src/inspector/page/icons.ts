/** Icons as drawings: fonts differ in the signs they have. All are 16×16 and take the text's colour. */
import type { VNode } from "preact";
import { svg } from "./dom.ts";

const PATHS = {
	first: "M3 3v10M13 3 6 8l7 5z",
	back: "M11 3 4 8l7 5z",
	play: "M4 3v10l9-5z",
	pause: "M5 3v10M11 3v10",
	next: "M5 3v10l7-5z",
	last: "M3 3v10l7-5zM13 3v10",
	link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 9M9 11.5 7.5 13a3 3 0 0 1-4.3-4.3L4.7 7",
	sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13",
	moon: "M12.5 9.8A5.2 5.2 0 0 1 6.2 3.5a5.2 5.2 0 1 0 6.3 6.3z",
	help: "M5.5 6a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.8-1.1 1.7M8 12.6v.2",
	save: "M8 2v8M4.5 7 8 10.5 11.5 7M3 13h10",
	panel: "M2 3h12v10H2zM9.5 3v10",
} as const;
/** An icon's name. */
export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set([
	"first",
	"back",
	"play",
	"next",
	"last",
]);

/** Draws an icon; the control around it carries the name. */
export const icon = (name: IconName): VNode =>
	svg.root(
		{ class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
		svg.path({
			d: PATHS[name],
			fill: FILLED.has(name) ? "currentColor" : "none",
		}),
	);
