/**
 * Reads a recording's folder for conformance: calls.ndjson, groups.txt, the emulator's command line (facts/trace-formats.md §1).
 */
import type { Topology } from "../../vocabulary/header.ts";
import type { DeviceId } from "../../vocabulary/ids.ts";
import { deviceId } from "../../vocabulary/ids.ts";
import { parseGroups, topologyOf } from "../../traces/groups.ts";
import type { JsonObject } from "./call.ts";
import { emulatedUnit } from "./emulator.ts";
import type { TraceCall } from "./trace-call.ts";

/** The topology that groups.txt and the command line describe: VT-d, since that is what recordings are of. */
export function recordedTopology(
	groupsText: string,
	commandLine: string,
): {
	readonly topology: Topology;
	readonly drivers: ReadonlyMap<DeviceId, string>;
} {
	const entries = parseGroups(groupsText);
	const caps = { ...emulatedUnit(commandLine) };
	const groups = topologyOf(entries, "vtd", new Set()).map((g) => ({
		...g,
		members: g.members.map((m) => ({ ...m, caps })),
	}));
	const drivers = new Map<DeviceId, string>();
	for (const entry of entries)
		for (const m of entry.members) drivers.set(deviceId(m.name), m.driver);
	return { topology: { groups, known: "complete" }, drivers };
}

const isObject = (value: unknown): value is JsonObject =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** One line of calls.ndjson; undefined for a note. Throws Error with what is wrong. */
function parseTraceCall(text: string, line: number): TraceCall | undefined {
	const value: unknown = JSON.parse(text);
	if (!isObject(value) || typeof value["call"] !== "string")
		throw new Error("not a call record (no field call)");
	if (value["call"] === "NOTE") return undefined;
	const { t, t_end: tEnd, ret, errname, args } = value;
	if (
		typeof t !== "number" ||
		typeof ret !== "number" ||
		typeof errname !== "string"
	)
		throw new Error("not a call record (t, ret or errname is missing)");
	if (!isObject(args)) throw new Error("not a call record (args is missing)");
	const out = value["out"];
	return {
		call: value["call"],
		args,
		out: isObject(out) ? out : {},
		ret,
		errname,
		t,
		tEnd: typeof tEnd === "number" ? tEnd : t,
		seq: typeof value["seq"] === "number" ? value["seq"] : line,
		line,
	};
}

/** The calls of a recording, and the lines that are none. */
export function parseTraceCalls(text: string): {
	readonly calls: readonly TraceCall[];
	readonly unreadable: readonly {
		readonly line: number;
		readonly why: string;
	}[];
} {
	const calls: TraceCall[] = [];
	const unreadable: { line: number; why: string }[] = [];
	for (const [line, content] of text.split("\n").entries()) {
		if (content.trim() === "") continue;
		try {
			const call = parseTraceCall(content, line);
			if (call !== undefined) calls.push(call);
		} catch (error) {
			const why = error instanceof Error ? error.message : "unreadable";
			unreadable.push({ line, why });
		}
	}
	return { calls, unreadable };
}
