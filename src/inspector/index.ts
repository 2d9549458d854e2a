/**
 * `iommu-ledger/inspector`: serve logs, write reports, watch any XState v5 actor system, export pictures and data (docs/inspector.md).
 *
 * @example
 * ```ts
 * import { exportMachine } from "iommu-ledger/inspector";
 * import { replace } from "iommu-ledger/machines";
 *
 * console.log(exportMachine(replace, "mermaid").split("\n")[0]); // stateDiagram-v2
 * ```
 */
export {
	type CreateInspectorOptions,
	createInspector,
	type SystemInspector,
} from "./create-inspector.ts";
export { chartSvg } from "./export/chart-svg.ts";
export { csv } from "./export/csv.ts";
export { mermaidChart } from "./export/mermaid-chart.ts";
export { mermaidSequence } from "./export/mermaid-sequence.ts";
export { perfettoTrace } from "./export/perfetto.ts";
export { rvDot } from "./export/rv-dot.ts";
export { scxml } from "./export/scxml.ts";
export {
	type Chart,
	chartOfDefinition,
	chartOfMachine,
} from "./model/chart.ts";
export { layoutChart } from "./model/chart-layout.ts";
export {
	type ExportFormat,
	exportLog,
	exportMachine,
	LOG_FORMATS,
	MACHINE_FORMATS,
} from "./export/export.ts";
export { type LiveRecords, liveRecords } from "./live-records.ts";
export { PageMissingError } from "./page-file.ts";
export { reportText, type ReportOptions, writeReport } from "./report.ts";
export {
	type Inspector,
	type InspectorOptions,
	startInspector,
} from "./server.ts";
export { bytesSource, fileSource, LiveLog, type LogSource } from "./source.ts";
