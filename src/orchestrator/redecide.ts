/**
 * Decides a run again: the commands of its log, under the switches of its header, must give the same records. A difference under the same
 * model version is a defect (or a tampered log); under another version it is drift (DESIGN §2).
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Command } from "./commands.ts";
import { isOpName } from "./commands.ts";
import type { EngineName } from "./engine.ts";
import { createIommuSystem } from "./system.ts";

/**
 * Runs the commands of a run log again and returns the records that come of it. Throws RangeError for a log that is not a run (imported
 * logs hold no commands), and for a command this version does not know.
 */
export function redecide(
	header: LogHeader,
	records: Iterable<LogRecord>,
	engine: EngineName = "compiled",
): readonly LogRecord[] {
	if (header.origin !== "run")
		throw new RangeError(
			`only a run can be decided again; this log's origin is ${header.origin}`,
		);
	const system = createIommuSystem({
		topology: header.topology,
		switches: header.switches,
		seed: header.seed,
		engine,
	});
	for (const { type, data, seq } of records) {
		if (type !== "op.begin") continue;
		const { op, args } = data as { readonly op: string; readonly args: object };
		if (op === "boot") continue;
		if (!isOpName(op))
			throw new RangeError(
				`record ${seq}: unknown operation ${JSON.stringify(op)}`,
			);
		system.dispatch({ op, args } as unknown as Command);
	}
	return system.records;
}

function same(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (
		typeof a !== "object" ||
		typeof b !== "object" ||
		a === null ||
		b === null
	)
		return false;
	const keys = Object.keys(a);
	if (keys.length !== Object.keys(b).length) return false;
	return keys.every((key) =>
		same(
			(a as Record<string, unknown>)[key],
			(b as Record<string, unknown>)[key],
		),
	);
}

/** Index of the first record in which two lists differ (the shorter one's end counts), or -1 when they are the same. */
export function firstDifference(
	a: readonly LogRecord[],
	b: readonly LogRecord[],
): number {
	const n = Math.max(a.length, b.length);
	for (let i = 0; i < n; i++) if (!same(a[i], b[i])) return i;
	return -1;
}
