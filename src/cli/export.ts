/** `export MACHINE|LOG --as FORMAT`: pictures and data for other tools. */
import { writeFileSync } from "node:fs";
import { chartSvg } from "../inspector/export/chart-svg.ts";
import { csv } from "../inspector/export/csv.ts";
import { mermaidChart } from "../inspector/export/mermaid-chart.ts";
import { perfettoTrace } from "../inspector/export/perfetto.ts";
import { rvDot } from "../inspector/export/rv-dot.ts";
import { scxml } from "../inspector/export/scxml.ts";
import { chartOfDefinition } from "../inspector/model/chart.ts";
import { layoutChart } from "../inspector/model/chart-layout.ts";
import { LogIndex } from "../inspector/model/log-index.ts";
import {
	ENTITY_MACHINES,
	machineOf,
	TRANSACTION_MACHINES,
} from "../inspector/model/machines.ts";
import { Spans } from "../inspector/model/spans.ts";
import { plainChunks } from "../log/chunks.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import { type Command, UsageError } from "./command.ts";
import { logSource } from "./log-source.ts";
import { naming } from "./naming.ts";

const OF_MACHINE: {
	readonly [format: string]: (machine: AnyDefinition) => string;
} = {
	mermaid: (machine) => mermaidChart(chartOfDefinition(machine)),
	svg: (machine) => chartSvg(layoutChart(chartOfDefinition(machine))),
	scxml: (machine) => scxml(chartOfDefinition(machine)),
	dot: (machine) => rvDot(chartOfDefinition(machine)),
};
const OF_LOG: {
	readonly [format: string]: (index: LogIndex) => Iterable<string>;
} = {
	perfetto(index) {
		const spans = new Spans(index);
		spans.update();
		return perfettoTrace(index, spans);
	},
	csv: csvOf,
};
const FORMATS = [...Object.keys(OF_MACHINE), ...Object.keys(OF_LOG)];

/** The command. */
export const exportCommand: Command = {
	name: "export",
	words: "MACHINE|LOG --as FORMAT",
	summary:
		"Pictures and data for other tools: statecharts and logs in their formats.",
	teach: `
Of a statechart (--list prints them): mermaid, svg, scxml, or dot in the dialect of Linux runtime verification, from which the kernel's own tools
can make a monitor. Of a log or a recording: perfetto (opens in ui.perfetto.dev) or csv.

  iommu-ledger export replace --as svg -o replace.svg
  iommu-ledger export logs/scenarios/replace-1.group-owned.ndjson --as perfetto -o trace.json`,
	options: {
		as: { value: "FORMAT", help: FORMATS.join(", ") },
		out: {
			value: "FILE",
			short: "o",
			help: "write here instead of to standard output",
		},
		list: { help: "print the statecharts" },
	},
	async run(args, io) {
		if (args.flag("list")) {
			for (const { id, about } of [...ENTITY_MACHINES, ...TRANSACTION_MACHINES])
				io.out.write(`${id.padEnd(24)} ${about}\n`);
			return 0;
		}
		const [what] = args.words;
		const format = args.text("as") ?? "";
		if (
			what === undefined ||
			args.words.length > 1 ||
			!FORMATS.includes(format)
		)
			throw new UsageError(
				`export needs a MACHINE (--list) or a LOG, and --as one of ${FORMATS.join(", ")}`,
			);
		const pieces = Object.hasOwn(OF_MACHINE, format)
			? [machineText(what, format)]
			: (OF_LOG[format] as (index: LogIndex) => Iterable<string>)(
					await indexOf(what),
				);
		const out = args.text("out");
		if (out === undefined) for (const piece of pieces) io.out.write(piece);
		else writeFileSync(out, [...pieces].join(""));
		return 0;
	},
};

function machineText(id: string, format: string): string {
	const machine = machineOf(id);
	if (machine === undefined)
		throw new UsageError(
			`there is no statechart ${JSON.stringify(id)}; export --list prints them`,
		);
	return (OF_MACHINE[format] as (machine: AnyDefinition) => string)(machine);
}

async function indexOf(path: string): Promise<LogIndex> {
	const source = await naming(path, logSource(path));
	const index = new LogIndex();
	const chunks =
		typeof source === "string"
			? plainChunks(source)
			: source.read(0, new AbortController().signal);
	for await (const chunk of chunks) index.push(chunk);
	index.finish();
	return index;
}

const ROWS_AT_ONCE = 10_000;

/** Rows in pieces, the heading once. */
function* csvOf(index: LogIndex): Generator<string> {
	for (let from = 0; from < index.count; from += ROWS_AT_ONCE) {
		const rows = [];
		for (let at = from; at < Math.min(from + ROWS_AT_ONCE, index.count); at++)
			rows.push({
				at,
				seq: index.seq[at] as number,
				t: index.t[at] as number,
				type: index.types.names[index.type[at] as number] as string,
				actor: index.actors.names[index.actor[at] as number] as string,
				op: index.op[at] as number,
				text: index.textAt(at),
			});
		const text = csv(rows);
		yield from === 0 ? text : text.slice(text.indexOf("\n") + 1);
	}
}
