/**
 * `iommu-ledger`: the embedded orchestration library. Commands go in, answers and errnos are those of Linux 6.12, everything that
 * happens is a record of an append-only log.
 *
 * @example
 * ```ts
 * import { createIommuSystem, RUN_SCENARIOS } from "iommu-ledger";
 *
 * const topology = RUN_SCENARIOS[0]!.topology; // one group of three devices
 * const system = createIommuSystem({ topology });
 * system.dispatch({ op: "open", args: {} });
 * console.log(system.records.length > 0); // true
 * ```
 */
export { LogError, type LogErrorCode } from "./log/error.ts";
export type { Command, CommandArgs, OpName } from "./orchestrator/commands.ts";
export { IommuError } from "./orchestrator/error.ts";
export {
	DEFAULT_SWITCHES,
	type Flow,
	FLOWS,
	type Switches,
} from "./orchestrator/switches.ts";
export {
	type CommandResult,
	createIommuSystem,
	type IommuSystem,
	type SystemOptions,
} from "./orchestrator/system.ts";
export type {
	CommandResults,
	IovaRange,
	IovaSpan,
	Operations,
	ReadPageFault,
} from "./orchestrator/results.ts";
export {
	type RunScenario,
	parseRunScenario,
} from "./scenarios/run-scenario.ts";
export { runScenario, type ScenarioRun } from "./scenarios/run.ts";
export { RUN_SCENARIOS } from "./scenarios/runs.ts";
export { ERRNO, type ErrnoName } from "./vocabulary/errno.ts";
export type { U64, U64Range } from "./vocabulary/fields.ts";
export type {
	LogHeader,
	Topology,
	TopologyDevice,
	TopologyGroup,
} from "./vocabulary/header.ts";
export type {
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IoasId,
} from "./vocabulary/ids.ts";
export type {
	Fact,
	LogRecord,
	RecordData,
	RecordType,
} from "./vocabulary/records.ts";
