/**
 * `iommu-ledger/replay`: fold and judge logs, kernel traces and recorded calls (docs/invariants.md, docs/traces.md).
 *
 * @example
 * ```ts
 * import { verifyPath } from "iommu-ledger/replay";
 *
 * const { verdict, report } = await verifyPath("logs/kernel/f2_attach_v1.B1");
 * console.log(verdict, report?.violations[0]?.id); // "violated" "PT-32"
 * ```
 */
export { CATALOGUE } from "../invariants/catalogue.ts";
export type { Evidence, Invariant, Severity } from "../invariants/invariant.ts";
export { createJudge, type Judge } from "../invariants/judge.ts";
export type { Unexplained, Violation } from "../invariants/verdicts.ts";
export { LogError, type LogErrorCode } from "../log/error.ts";
export { loadLog, type LogSource, readLog, scanLog } from "../log/read.ts";
export { copyRecord } from "../log/scan-line.ts";
export { redecide } from "../orchestrator/redecide.ts";
export {
	ImportError,
	type ImportedRecording,
	importRecording,
} from "../traces/import.ts";
export type { ImportReport } from "../traces/report.ts";
export type { LogHeader } from "../vocabulary/header.ts";
export type { Fact, LogRecord, RecordType } from "../vocabulary/records.ts";
export { runVectors, type VectorsReport } from "./vectors.ts";
export {
	createVerifier,
	type Report,
	type Verdict,
	type Verifier,
	verifyRecords,
} from "./verify.ts";
export {
	type FileReport,
	verifyPath,
	type VerifyPathOptions,
} from "./verify-path.ts";
