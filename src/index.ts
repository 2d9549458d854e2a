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
export { parseTopology, TopologyError } from "./drivers/topology-file.ts";
export type { Violation } from "./invariants/verdicts.ts";
export { LogError, type LogErrorCode } from "./log/error.ts";
export { openFileStore } from "./log/file-store.ts";
export type { FileStore, FileStoreOptions } from "./log/file-store-options.ts";
export { type MemoryStore, memoryStore } from "./log/memory-store.ts";
export {
	type Snapshot,
	type SnapshotSearch,
	type SnapshotStore,
	snapshotStore,
} from "./log/snapshots.ts";
export type {
	Appended,
	AppendOptions,
	LogStore,
	ReadOptions,
} from "./log/store.ts";
export {
	AGENT_RULES,
	type AgentCheck,
	type AgentReport,
	type AgentSetting,
	checkAgent,
} from "./orchestrator/backend/check.ts";
export {
	type AgentOptions,
	connectAgent,
	PROTOCOL,
	spawnAgent,
	streamAgent,
} from "./orchestrator/backend/lines.ts";
export {
	type RecordedCall,
	recordedBackend,
	recordingBackend,
} from "./orchestrator/backend/recorded.ts";
export {
	type Backend,
	type BackendAnswer,
	BackendError,
	type BackendErrorCode,
	type BackendRequest,
	type CallFields,
	type Recalled,
} from "./orchestrator/backend/backend.ts";
export type { Command, CommandArgs, OpName } from "./orchestrator/commands.ts";
export {
	type ActorSnapshot,
	type CoreOptions,
	runHeader,
} from "./orchestrator/core.ts";
export { createIommuSystem, type LiveSystem } from "./orchestrator/create.ts";
export type { EngineName } from "./orchestrator/engine.ts";
export { takeSnapshot } from "./orchestrator/recover/fold-snapshot.ts";
export { IommuError } from "./orchestrator/error.ts";
export {
	type LiveOptions,
	type OpenOperation,
	type Recovery,
	RecoveryError,
	type RecoveryErrorCode,
	SystemError,
	type SystemErrorCode,
} from "./orchestrator/live-options.ts";
export type {
	AsyncOperations,
	CommandResults,
	IovaRange,
	IovaSpan,
	Operations,
	ReadPageFault,
} from "./orchestrator/results.ts";
export type {
	PlanStep,
	Predicted,
	SagaPlan,
} from "./orchestrator/saga/plan.ts";
export type { SagaArgs, SagaName } from "./orchestrator/saga/plans.ts";
export {
	InexactSagaError,
	type Saga,
	type SagaEnd,
	SagaError,
} from "./orchestrator/saga/saga.ts";
export {
	DEFAULT_SWITCHES,
	type Flow,
	FLOWS,
	type RefuseRule,
	type Switches,
} from "./orchestrator/switches.ts";
export type {
	CommandResult,
	IommuSystem,
	SystemOptions,
} from "./orchestrator/system.ts";
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
