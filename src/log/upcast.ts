/**
 * Upcasters: a log of an older format version is read as if it were of this one. One step per version, each a pure function over
 * parsed lines; steps are applied in order until the current version is reached. Seals are checked over the old bytes: upcasting
 * changes what is read, never what is written. `log convert` makes a current log of an old one.
 *
 * Version 0 is the spelling of the first prototype. No log of it was published; it keeps this path tested
 * (test/fixtures/log/version-0.ndjson).
 */
import { FORMAT_VERSION } from "../vocabulary/header.ts";

type Parsed = Readonly<Record<string, unknown>>;

/** From one version to the next. */
export interface Upcaster {
	readonly from: number;
	header(header: Parsed): Parsed;
	record(record: Parsed): Parsed;
}

const V0_TYPES: ReadonlyMap<string, string> = new Map([
	["domain.map", "dom.map"],
	["domain.unmap", "dom.unmap"],
	["invalidation.done", "inv.completed"],
]);
const V0_FIELDS: ReadonlyMap<string, string> = new Map([
	["domain", "dom"],
	["paddr", "pa"],
	["size", "len"],
]);

/** Version 0 had long names for some types and fields, no `op` on records outside operations, and no `model` in the header. */
const FROM_0: Upcaster = {
	from: 0,
	header: (header) => ({
		...header,
		model: header["model"] ?? "0",
		version: 1,
	}),
	record({ type, op, data, ...rest }) {
		const current = V0_TYPES.get(String(type));
		const fields = Object.entries((data ?? {}) as Parsed);
		return {
			...rest,
			type: current ?? type,
			op: op ?? 0,
			data:
				current === undefined
					? data
					: Object.fromEntries(
							fields.map(([k, v]) => [V0_FIELDS.get(k) ?? k, v]),
						),
		};
	},
};

/** One for every version before the current one. */
export const UPCASTERS: readonly Upcaster[] = [FROM_0];

const isParsed = (value: unknown): value is Parsed =>
	typeof value === "object" && value !== null && !Array.isArray(value);

const steps = (version: number): readonly Upcaster[] =>
	UPCASTERS.filter(({ from }) => from >= version);

/** The version of a parsed header; the current one when it names none. */
export function versionOf(header: unknown): number {
	const version = isParsed(header) ? header["version"] : undefined;
	return typeof version === "number" ? version : FORMAT_VERSION;
}

/** A parsed header as this version has it. Leaves alone what is no header. */
export function upcastHeader(value: unknown): unknown {
	if (!isParsed(value)) return value;
	return steps(versionOf(value)).reduce(
		(header, step) => step.header(header),
		value,
	);
}

/** A parsed record line of a log of `version` as this version has it. Leaves alone what is no record. */
export function upcastRecord(version: number, value: unknown): unknown {
	if (!isParsed(value)) return value;
	return steps(version).reduce((record, step) => step.record(record), value);
}
