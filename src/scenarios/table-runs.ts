/** The table runs that ship (table-run.ts). docs/table-runs.md lists them. */
import { TABLE_RUNS_BY_FAULT } from "./table-runs-fault.ts";
import { TABLE_RUNS_BY_KERNEL } from "./table-runs-kernel.ts";
import type { TableRun } from "./table-run.ts";

/** All of them. */
export const TABLE_RUNS: readonly TableRun[] = [
	...TABLE_RUNS_BY_KERNEL,
	...TABLE_RUNS_BY_FAULT,
];
