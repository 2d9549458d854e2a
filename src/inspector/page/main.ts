/** The page's start: finds the logs (inside the page, or at the server that gave it) and draws. */
import { effect } from "@preact/signals";
import { h, render } from "preact";
import { App } from "./app.ts";
import { startKeys } from "./keys.ts";
import { startFilter } from "./record-list.ts";
import { LogClient, type LogPlace } from "./log-client.ts";
import {
	cursor,
	firstLog,
	hasRows,
	hasTimeline,
	isComplete,
	logs,
	pendingCalls,
	startState,
} from "./state.ts";
import "./style/base.css";
import "./style/bar.css";
import "./style/timeline.css";
import "./style/records.css";
import "./style/views.css";
import "./style/statechart.css";
import "./style/topology.css";
import "./style/sequence.css";
import "./style/tables.css";
import "./style/pair.css";
import { startTheme } from "./theme.ts";

/** Logs that `report` wrote into the page: base64 of gzip in blocks that are no scripts. */
function logsInside(): LogPlace[] {
	return [...document.querySelectorAll<HTMLElement>("[data-log]")].map(
		(block) => ({
			name: block.dataset["log"] ?? "log",
			live: false,
			bytes: fromBase64(block.textContent ?? ""),
			sizeHintBytes: Number(block.dataset["size"] ?? "0"),
		}),
	);
}

function fromBase64(text: string): Uint8Array {
	const raw = atob(text.trim());
	const bytes = new Uint8Array(raw.length);
	for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
	return bytes;
}

const addressOf = (path: string): string => new URL(path, location.href).href;

const socketAddress = (number: number): string =>
	addressOf(`live/${number}`).replace(/^http/, "ws");

async function logsServed(): Promise<LogPlace[]> {
	if (!location.protocol.startsWith("http")) return [];
	const answer = await fetch(new URL("logs", location.href));
	const list = (await answer.json()) as {
		name: string;
		live: boolean;
		sizeBytes?: number;
	}[];
	return list.map(({ name, live, sizeBytes }, number) => ({
		name,
		live,
		url: live ? socketAddress(number) : addressOf(`log/${number}`),
		...(sizeBytes === undefined ? {} : { sizeHintBytes: sizeBytes }),
	}));
}

/** Says on the page itself which cursor position is fully painted: for tests and the benchmark. */
function tellWhenPainted(): void {
	effect(() => {
		const { summary } = firstLog.value?.progress.value ?? {};
		const isAll = isComplete.value && summary?.folded === summary?.count;
		document.body.dataset["folded"] = isAll ? "all" : "some";
	});
	effect(() => {
		if (!isComplete.value || !hasRows.value || !hasTimeline.value) return;
		requestAnimationFrame(() => {
			document.body.dataset["opened"] = "yes";
		});
	});
	effect(() => {
		const at = cursor.value;
		document.body.dataset["busy"] = "yes";
		if (pendingCalls.value > 0) return;
		requestAnimationFrame(() => {
			if (cursor.value !== at || pendingCalls.value > 0) return;
			document.body.dataset["busy"] = "no";
			document.body.dataset["painted"] = String(at);
		});
	});
}

async function start(): Promise<void> {
	const inside = logsInside();
	const places = inside.length > 0 ? inside : await logsServed();
	logs.value = places.map((place) => new LogClient(place));
	startTheme();
	startState();
	startFilter();
	startKeys();
	const app = document.getElementById("app") as HTMLElement;
	app.replaceChildren();
	render(h(App, null), app);
	tellWhenPainted();
}

void start();
