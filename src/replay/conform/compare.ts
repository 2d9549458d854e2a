/**
 * Compares a recorded answer with the model's: return value, errno, every field, ranges, data, bitmap, capabilities, faults.
 */
import { structure } from "./call.ts";
import type { JsonObject, Reply } from "./call.ts";

/** How two answers differ, as short texts. */
export interface Difference {
	readonly expected: string;
	readonly actual: string;
}

const same = (a: unknown, b: unknown): boolean =>
	a === b || JSON.stringify(a) === JSON.stringify(b);
/** Keys in one order, so that texts compare. */
function sorted(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(sorted);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([k, v]) => [k, sorted(v)]),
	);
}

/** Undefined when the answers are equal. */
export function differences(
	record: JsonObject,
	reply: Reply,
): Difference | undefined {
	const expected: string[] = [];
	const actual: string[] = [];
	const check = (name: string, want: unknown, got: unknown): void => {
		if (same(sorted(want), sorted(got))) return;
		expected.push(`${name}=${JSON.stringify(want)}`);
		actual.push(`${name}=${JSON.stringify(got)}`);
	};
	check("ret", record["ret"], reply.ret);
	check("errno", record["errno"] ?? null, reply.errno);
	compareFields(record, reply, check);
	if (reply.ranges !== undefined && "out_ranges" in record)
		check("out_ranges", record["out_ranges"], reply.ranges);
	if (reply.data !== undefined)
		check("out_data", record["out_data"], reply.data);
	if (reply.caps !== undefined)
		check("out_caps", record["out_caps"], reply.caps);
	if ("out_bitmap" in record)
		check("out_bitmap", record["out_bitmap"], reply.bitmap ?? null);
	if (
		reply.faults !== undefined &&
		(record["faults"] !== undefined || reply.faults.length > 0)
	)
		check("faults", record["faults"] ?? [], reply.faults);
	if (expected.length === 0) return undefined;
	const step = reply.step === undefined ? "" : ` (${reply.step})`;
	return { expected: expected.join(" "), actual: actual.join(" ") + step };
}

function compareFields(
	record: JsonObject,
	reply: Reply,
	check: (name: string, want: unknown, got: unknown) => void,
): void {
	const before = structure(record, "in");
	const after = structure(record, "out");
	if (before === undefined || after === undefined) return;
	const written = reply.out ?? {};
	for (const name of Object.keys(after))
		check(name, after[name], name in written ? written[name] : before[name]);
	for (const name of Object.keys(written))
		if (!(name in after)) check(name, undefined, written[name]);
}
