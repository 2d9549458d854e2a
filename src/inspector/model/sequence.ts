/** One operation as a sequence diagram: a lifeline per actor, an arrow per record. */
import { shortName } from "./names.ts";
import type { Row } from "../worker/protocol.ts";

/** An arrow, or a note on one lifeline when `to` equals `from`. */
export interface Message {
	readonly at: number;
	readonly seq: number;
	readonly from: number;
	readonly to: number;
	readonly text: string;
	/** Takes back an earlier step. */
	readonly isUndo: boolean;
	readonly kind: "call" | "step" | "return" | "failure";
}
/** The diagram. Lifelines are in the order of their first appearance. */
export interface Sequence {
	readonly lifelines: readonly string[];
	readonly messages: readonly Message[];
}

/** Fields that name whom a record is about, the first that is there. */
const ABOUT = [
	"dom",
	"hwpt",
	"ioas",
	"access",
	"fq",
	"dev",
	"obj",
	"owner",
	"group",
	"pages",
	"iommu",
	"ctx",
];
/** Fields that are told beside a record's type. */
const TOLD = [
	"errno",
	"iova",
	"len",
	"delta",
	"u",
	"n",
	"why",
	"kind",
	"gran",
	"did",
	"sid",
	"inv",
	"action",
	"states",
];
/** The lifeline of whoever called. */
export const CALLER = "caller";

/** Makes the diagram of an operation's rows. */
export function sequenceOf(rows: readonly Row[]): Sequence {
	const lifelines: string[] = [];
	const lifeline = (name: string): number => {
		const known = lifelines.indexOf(name);
		return known >= 0 ? known : lifelines.push(name) - 1;
	};
	let caller = CALLER;
	const messages = rows.map((row): Message => {
		const data = dataOf(row.text);
		if (row.type === "op.begin") {
			caller = callerOf(data["task"]);
			const from = lifeline(caller);
			return message(row, data, from, lifeline(row.actor), "call");
		}
		const isEnd = row.type === "op.commit" || row.type === "op.fail";
		const from = lifeline(row.actor);
		if (isEnd)
			return message(
				row,
				data,
				from,
				lifeline(caller),
				row.type === "op.fail" ? "failure" : "return",
			);
		const about = ABOUT.map((key) => data[key]).find(
			(value) => typeof value === "string" && value !== row.actor,
		);
		const to = about === undefined ? from : lifeline(about as string);
		const isFailure =
			row.type.endsWith(".failed") || row.type.endsWith(".refused");
		return message(row, data, from, to, isFailure ? "failure" : "step");
	});
	return { lifelines, messages };
}

/** A recording names the calling task by number. */
function callerOf(task: unknown): string {
	if (typeof task !== "string" && typeof task !== "number") return CALLER;
	return /^\d+$/.test(String(task)) ? `task:${task}` : String(task);
}

function message(
	row: Row,
	data: Readonly<Record<string, unknown>>,
	from: number,
	to: number,
	kind: Message["kind"],
): Message {
	const isUndo = data["undo"] === true;
	return {
		at: row.at,
		seq: row.seq,
		from,
		to,
		text: `${isUndo ? "undo: " : ""}${textOf(row.type, data)}`,
		isUndo,
		kind,
	};
}

/** What is called, and the device that it is about. */
function calledText(data: Readonly<Record<string, unknown>>): string {
	const { dev } = (data["args"] ?? {}) as { readonly dev?: unknown };
	const about = typeof dev === "string" ? ` ${shortName(dev)}` : "";
	return `${data["op"]}${about}`;
}

function textOf(type: string, data: Readonly<Record<string, unknown>>): string {
	if (type === "op.begin") return calledText(data);
	if (type === "saga.begun") return `saga ${data["saga"]}`;
	if (type === "saga.ended") return `saga ${data["outcome"]}`;
	if (type === "op.commit") return "ok";
	if (type === "op.fail") return `${data["errno"]} at ${data["step"]}`;
	const extra = TOLD.filter((key) => data[key] !== undefined)
		.map((key) => `${key}=${data[key]}`)
		.join(" ");
	return extra === "" ? type : `${type} ${extra}`;
}

function dataOf(text: string): Readonly<Record<string, unknown>> {
	try {
		const { data } = JSON.parse(text) as { data?: unknown };
		if (typeof data === "object" && data !== null)
			return data as Record<string, unknown>;
	} catch {}
	return {};
}
