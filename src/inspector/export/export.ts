/** `iommu-ledger export`: a machine or a log in the form that another tool reads. */
import type { AnyDefinition } from "../../../machines/define.ts";
import { chartOfDefinition } from "../model/chart.ts";
import { layoutChart } from "../model/chart-layout.ts";
import { sequenceOf } from "../model/sequence.ts";
import { Session } from "../worker/session.ts";
import { chartSvg } from "./chart-svg.ts";
import { mermaidChart } from "./mermaid-chart.ts";
import { mermaidSequence } from "./mermaid-sequence.ts";
import { rvDot } from "./rv-dot.ts";
import { scxml } from "./scxml.ts";

/** Forms of a machine. */
export const MACHINE_FORMATS = ["mermaid", "svg", "scxml", "dot"] as const;
/** Forms of a log; `mermaid` is the sequence diagram of one operation. */
export const LOG_FORMATS = ["perfetto", "csv", "mermaid"] as const;
/** Any of them. */
export type ExportFormat =
	| (typeof MACHINE_FORMATS)[number]
	| (typeof LOG_FORMATS)[number];

/** A machine as text. Throws TooManyStatesError for `dot` of a chart whose parallel regions multiply beyond use. */
export function exportMachine(
	definition: AnyDefinition,
	format: (typeof MACHINE_FORMATS)[number],
): string {
	const chart = chartOfDefinition(definition);
	switch (format) {
		case "mermaid":
			return mermaidChart(chart);
		case "svg":
			return chartSvg(layoutChart(chart));
		case "scxml":
			return scxml(chart);
		case "dot":
			return rvDot(chart);
	}
}

/** What of a log. */
export interface ExportLogOptions {
	/** For csv: the records that match (the page's search language); all when absent. */
	readonly query?: string;
	/** For mermaid: the operation's seq; the first operation when absent. */
	readonly op?: number;
}

/** A log (the bytes of native NDJSON, not compressed) as text. Throws RangeError when it has no such operation. */
export async function exportLog(
	bytes: Uint8Array,
	format: (typeof LOG_FORMATS)[number],
	options: ExportLogOptions = {},
): Promise<string> {
	const session = new Session(async () => undefined, bytes.length);
	session.push(bytes);
	session.finish();
	const { calls, spans } = session;
	if (format === "perfetto") return await calls.perfetto({});
	if (format === "csv") return await calls.csv({ query: options.query ?? "" });
	const op = options.op ?? (spans.begin.length > 0 ? spans.span(0).op : -1);
	const operation = await calls.operation({ op });
	if (operation === undefined)
		throw new RangeError(`the log has no operation ${op}`);
	return mermaidSequence(sequenceOf(operation.rows));
}
