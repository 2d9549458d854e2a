/// <reference lib="dom" />
/**
 * Elements as functions. All text goes through Preact as text nodes and attributes: nothing in this page is ever parsed as HTML, so
 * a name in a log cannot become markup; and none is shown without `visible`, so it cannot reorder or hide its neighbours.
 */
import { type ComponentChild, h, type VNode } from "preact";
import { visible } from "../model/visible.ts";

/** Attributes and listeners of an element. */
export type Props = Readonly<Record<string, unknown>> | null;
/** Makes one kind of element. */
export type Tag = (props: Props, ...children: ComponentChild[]) => VNode;

/** Attributes that people read. */
const READ = ["title", "aria-label"] as const;

function readable(props: Props): Props {
	if (props === null) return props;
	let changed: Record<string, unknown> | undefined;
	for (const key of READ) {
		const text = props[key];
		if (typeof text !== "string") continue;
		const shown = visible(text);
		if (shown !== text) {
			changed ??= { ...props };
			changed[key] = shown;
		}
	}
	return changed ?? props;
}

const tag =
	(name: string): Tag =>
	(props, ...children) =>
		h(
			name,
			readable(props) as never,
			...children.map((child) =>
				typeof child === "string" ? visible(child) : child,
			),
		);

/** HTML elements in use. */
export const html = {
	a: tag("a"),
	button: tag("button"),
	canvas: tag("canvas"),
	code: tag("code"),
	div: tag("div"),
	dl: tag("dl"),
	dt: tag("dt"),
	dd: tag("dd"),
	details: tag("details"),
	summary: tag("summary"),
	h2: tag("h2"),
	h3: tag("h3"),
	header: tag("header"),
	footer: tag("footer"),
	input: tag("input"),
	kbd: tag("kbd"),
	label: tag("label"),
	li: tag("li"),
	main: tag("main"),
	nav: tag("nav"),
	option: tag("option"),
	p: tag("p"),
	pre: tag("pre"),
	section: tag("section"),
	select: tag("select"),
	span: tag("span"),
	table: tag("table"),
	tbody: tag("tbody"),
	td: tag("td"),
	th: tag("th"),
	thead: tag("thead"),
	tr: tag("tr"),
	ul: tag("ul"),
} as const;

/** SVG elements in use. */
export const svg = {
	circle: tag("circle"),
	defs: tag("defs"),
	g: tag("g"),
	line: tag("line"),
	marker: tag("marker"),
	path: tag("path"),
	pattern: tag("pattern"),
	polygon: tag("polygon"),
	rect: tag("rect"),
	root: tag("svg"),
	text: tag("text"),
	title: tag("title"),
	tspan: tag("tspan"),
} as const;
