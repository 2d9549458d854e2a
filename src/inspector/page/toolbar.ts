/** The bar at the top: where the cursor is, and everything that moves it. */
import type { ComponentChild, VNode } from "preact";
import { h } from "preact";
import { useState } from "preact/hooks";
import { html } from "./dom.ts";
import type { Neighbour } from "../worker/protocol.ts";
import { icon } from "./icons.ts";
import { grouped, nanoseconds } from "./format.ts";
import {
	count,
	cursor,
	firstLog,
	isFollowing,
	isHelpOpen,
	isPlaying,
	jump,
	linkHere,
	logs,
	moveTo,
	moveToSeq,
	useCall,
} from "./state.ts";
import { setTheme, theme } from "./theme.ts";

const { button, div, header, input, label, span } = html;

function tool(
	face: ComponentChild,
	name: string,
	run: () => void,
	more: object = {},
): VNode {
	return button(
		{ class: "tool", "aria-label": name, title: name, onClick: run, ...more },
		face,
	);
}

function Steps(): VNode {
	return div(
		{ class: "steps", role: "group", "aria-label": "Move the cursor" },
		tool(icon("first"), "Start of the log (Home)", () => moveTo(0)),
		tool(icon("back"), "Record before (←)", () => moveTo(cursor.value - 1)),
		tool(
			icon(isPlaying.value ? "pause" : "play"),
			isPlaying.value ? "Stop (Space)" : "Play (Space)",
			() => {
				isPlaying.value = !isPlaying.value;
			},
			{ "aria-pressed": isPlaying.value },
		),
		tool(icon("next"), "Next record (→)", () => moveTo(cursor.value + 1)),
		tool(icon("last"), "End of the log (End)", () => moveTo(count.value - 1)),
	);
}

function jumpPair(name: string, what: Neighbour, key: string): VNode {
	return div(
		{ class: "jump", role: "group", "aria-label": name },
		tool("‹", `${name} before (Shift ${key})`, () => void jump(what, -1)),
		span({ class: "jump-name" }, name),
		tool("›", `Next ${name} (${key})`, () => void jump(what, 1)),
	);
}

function Position(): VNode {
	const at = cursor.value;
	const rows = useCall(
		firstLog.value,
		"rows",
		at < 0 ? undefined : { positions: [at] },
	);
	const row = at < 0 ? undefined : rows?.[0];
	return label(
		{ class: "position" },
		span(null, "seq"),
		input({
			"aria-label": "Position: record number (seq)",
			inputMode: "numeric",
			value: row?.seq ?? 0,
			onChange: (event: Event) =>
				void moveToSeq(Number((event.target as HTMLInputElement).value)),
		}),
		span({ class: "of" }, `of ${grouped(count.value)}`),
		span({ class: "time" }, row === undefined ? "–" : nanoseconds(row.t)),
	);
}

function LinkButton(): VNode {
	const [said, say] = useState("");
	const copy = async (): Promise<void> => {
		const address = await linkHere();
		try {
			await navigator.clipboard.writeText(address);
			say("✓");
		} catch {
			say("#");
		}
		setTimeout(() => say(""), 1500);
	};
	return tool(
		said || icon("link"),
		"Copy a link to this position",
		() => void copy(),
	);
}

/** The bar. */
export function Toolbar(): VNode {
	const names = logs.value.map((log) => log.name).join("  ⇄  ");
	const isLive = firstLog.value?.live ?? false;
	return header(
		{ class: "toolbar" },
		div({ class: "log-name", title: names }, names),
		h(Steps, null),
		h(Position, null),
		jumpPair("operation", "operation", "o"),
		jumpPair("actor", "actor", "→"),
		jumpPair("failure", "failure", "f"),
		jumpPair("violation", "violation", "]"),
		div({ class: "gap" }),
		isLive
			? tool(
					"live",
					"Follow the end of the log",
					() => {
						moveTo(count.value - 1);
					},
					{ "aria-pressed": isFollowing.value, class: "tool wide" },
				)
			: null,
		h(LinkButton, null),
		tool(
			icon(theme.value === "dark" ? "sun" : "moon"),
			theme.value === "dark" ? "Light colours" : "Dark colours",
			() => setTheme(theme.value === "dark" ? "light" : "dark"),
		),
		tool(icon("help"), "Keys (?)", () => {
			isHelpOpen.value = !isHelpOpen.value;
		}),
	);
}
