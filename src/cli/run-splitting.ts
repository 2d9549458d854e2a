/** `run splitting`: who ever sees how a partial unmap is answered, per caller and driver (scenarios/splitting.ts). */
import { FORMATS } from "../pagetable/config.ts";
import {
	PageTableConfigError,
	type PolicyOverrides,
} from "../pagetable/policy.ts";
import { settleConfig } from "../pagetable/table.ts";
import {
	SPLIT_DRIVERS,
	UNMAP_CALLERS,
	occursOn,
	runSplitCase,
	whoSees,
	type SplitDriver,
} from "../scenarios/splitting.ts";
import { UsageError } from "./command.ts";
import type { Io } from "./io.ts";

/** The name under which `run` finds it. */
export const SPLITTING = "splitting";
/** Its line in `run --list`. */
export const SPLITTING_TITLE =
	"partial unmap of a block: five callers against seven drivers (--driver FORMAT --set POLICY=VALUE adds one)";

/** Runs all callers against all drivers and prints what became of each mapping. */
export function runSplitting(
	format: string | undefined,
	policy: PolicyOverrides,
	isJson: boolean,
	io: Io,
): number {
	const own = ownDriver(format, policy);
	const drivers = own === undefined ? SPLIT_DRIVERS : [...SPLIT_DRIVERS, own];
	const callers = UNMAP_CALLERS.map((caller) => ({
		name: caller.name,
		source: caller.source,
		cells: drivers.map((driver) => ({
			driver: driver.name,
			occurs: occursOn(caller, driver),
			...runSplitCase(caller, driver),
		})),
	}));
	const reference = SPLIT_DRIVERS[0] as SplitDriver;
	const sees = drivers.slice(1).map((driver) => ({
		from: reference.name,
		to: driver.name,
		callers: whoSees(reference, driver),
	}));
	if (isJson) io.out.write(`${JSON.stringify({ callers, sees })}\n`);
	else io.out.write(textOf(callers, sees, io));
	return 0;
}

/** A driver of the user's: a format with policy switches (docs/page-tables.md). */
function ownDriver(
	format: string | undefined,
	policy: PolicyOverrides,
): SplitDriver | undefined {
	const keys = Object.keys(policy);
	if (format === undefined && keys.length === 0) return undefined;
	const known = FORMATS.find((one) => one === (format ?? "arm64_s1"));
	if (known === undefined)
		throw new UsageError(
			`--driver ${format} is not a format; known: ${FORMATS.join(", ")}`,
		);
	try {
		const { pageSizes } = settleConfig({ format: known }, policy);
		const name = [
			known,
			...keys.map((key) => `${key}=${policy[key as keyof PolicyOverrides]}`),
		].join(" ");
		// The smallest page that several pages make up, and that the walk enters one level up.
		const blockFrames = pageSizes.find((size) => size >= 256) ?? 512;
		return { name, request: { format: known }, policy, blockFrames };
	} catch (error) {
		if (error instanceof PageTableConfigError)
			throw new UsageError(error.message);
		throw error;
	}
}

type Callers = readonly {
	readonly name: string;
	readonly source: string;
	readonly cells: readonly (ReturnType<typeof runSplitCase> & {
		readonly driver: string;
		readonly occurs: boolean;
	})[];
}[];

function textOf(
	callers: Callers,
	sees: readonly {
		readonly from: string;
		readonly to: string;
		readonly callers: readonly string[];
	}[],
	io: Io,
): string {
	const width = Math.max(...sees.map((one) => one.to.length));
	const lines: string[] = [];
	for (const caller of callers) {
		lines.push(io.paint("bold", caller.name), `  ${caller.source}`);
		for (const cell of caller.cells) {
			if (!cell.occurs) {
				lines.push(`    ${cell.driver.padEnd(width)}  never set here`);
				continue;
			}
			const { calls, partialCalls, tablesMade, unpinned, leftMapped } = cell;
			const facts = [
				`${calls} calls, ${partialCalls} for less than a leaf`,
				`${unpinned} pages unpinned`,
				...(tablesMade > 0 ? [`${tablesMade} tables made`] : []),
				...(leftMapped > 0 ? [`${leftMapped} pages still mapped`] : []),
			];
			lines.push(
				`    ${cell.driver.padEnd(width)}  ${cell.outcome.padEnd(20)}  ${facts.join(", ")}`,
			);
		}
		lines.push("");
	}
	lines.push(
		io.paint("bold", `Who sees the difference from "${sees[0]?.from}"`),
	);
	for (const one of sees) {
		const names = one.callers.length === 0 ? "nobody" : one.callers.join("; ");
		lines.push(`    ${one.to.padEnd(width)}  ${names}`);
	}
	return `${lines.join("\n")}\n`;
}
