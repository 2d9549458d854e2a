/**
 * Runs calls of the core on one page table of a real format (src/pagetable) and writes every step as a record: entries, table pages,
 * invalidations with their completion, what each call returned. That is a log that `verify` judges row by row (facts
 * pagetable-semantics.md §8): what 6.12 does wrong there by itself is found, and named faults break the rest.
 */
import type { TableRequest } from "../pagetable/config.ts";
import type { PolicyOverrides } from "../pagetable/policy.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { oneDeviceHeader } from "./one-device-header.ts";
import { TableWriter } from "./table-writer.ts";

/** One call. Frames of 4 KiB. */
export type TableCall =
	| {
			readonly do: "map";
			readonly iova: number;
			readonly pa: number;
			readonly size: number;
			readonly prot?: number;
			readonly replaces?: boolean;
	  }
	| { readonly do: "unmap"; readonly iova: number; readonly size: number }
	| { readonly do: "lookup"; readonly iova: number }
	/** iommu_read_and_clear_dirty, and the report of what it found. */
	| { readonly do: "sweep"; readonly iova: number; readonly size: number }
	/** A device writes. */
	| { readonly do: "write"; readonly iova: number };

/** What goes wrong on purpose: a kernel with this defect would leave these records. */
export const TABLE_FAULTS = [
	"misaligned-superpage",
	"stray-bits",
	"torn-series",
	"growth-without-link",
	"unlogged-link",
	"unlogged-sweep",
	"table-forgotten",
	"unmap-leaves-last",
	"sweep-takes-rights",
	"encoder-rounds-down",
	"gather-not-filled",
	"core-stops-after-one-call",
	"core-ignores-sizes",
] as const;
/** Of these, the recorder's: the page table is as it should be, the log is not. */
export const RECORDER_FAULTS: readonly string[] = [
	"unlogged-link",
	"unlogged-sweep",
];
/** The name of such a fault. */
export type TableFault = (typeof TABLE_FAULTS)[number];

/** A run. */
export interface TableRun {
	readonly name: string;
	readonly title: string;
	readonly source: string;
	readonly driver: "vtd" | "smmu-v3" | "amd-vi";
	readonly request: TableRequest;
	readonly policy?: PolicyOverrides;
	/** What the log says the driver does, where that is not what it does. */
	readonly claims?: { readonly partialUnmap?: string };
	readonly fault?: TableFault;
	/** Its fix is applied. */
	readonly isFixed?: true;
	readonly calls: readonly TableCall[];
	/** Ids that must be found, the first of them first. */
	readonly ids: readonly string[];
	/** What makes it green: another policy, no fault, or what a caller should have done. */
	readonly fix: {
		readonly policy?: PolicyOverrides;
		readonly claims?: { readonly partialUnmap?: string };
		readonly calls?: readonly TableCall[];
		readonly how: string;
	};
}

/** The run with its fix applied: no fault, and the fix's policy and calls. */
export function fixed({ fault: _, ...run }: TableRun): TableRun {
	const { policy, calls, claims } = run.fix;
	return {
		...run,
		isFixed: true,
		...(policy === undefined ? {} : { policy }),
		...(claims === undefined ? {} : { claims }),
		...(calls === undefined ? {} : { calls }),
	};
}

/** Runs it; throws PageTableConfigError for a table that no driver could set up. */
export function runTable(run: TableRun): {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
} {
	return { header: headerOf(run), records: new TableWriter(run).records() };
}

const headerOf = (run: TableRun): LogHeader =>
	oneDeviceHeader(
		run.driver,
		{ strict: true, scalable: false },
		{
			tableRun: run.name,
			...(run.isFixed === true ? { fix: true } : {}),
			...(run.policy as Readonly<Record<string, Json>> | undefined),
			...run.claims,
			...(run.fault === undefined ? {} : { fault: run.fault }),
			// A part of a superpage is not sure to be dropped by a small flush, except on Arm (facts §5.1).
			smallFlushDropsLargeLeaf: run.driver === "smmu-v3",
		},
	);
