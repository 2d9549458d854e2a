/** `import PATH --out LOG`: a kernel trace becomes a native log. */
import { importRecording } from "../traces/import.ts";
import type { ImportReport } from "../traces/report.ts";
import { clockText } from "../traces/clock.ts";
import { type Command, oneOf, UsageError } from "./command.ts";
import { printable } from "./io.ts";
import { writeLog } from "./write-log.ts";

/** The command. */
export const importCommand: Command = {
	name: "import",
	words: "PATH --out LOG",
	summary: "Turn a recording of a real kernel into a native log.",
	teach: `
PATH is a folder (trace.txt, calls.ndjson, groups.txt, cmdline.txt, qemu_vtd.txt, each also with .gz), a trace file, or - for standard
input. A trace file is read together with what lies beside it, unless --alone. The log holds everything that judging needs.
docs/traces.md says which lines are understood and which probes a recording should have.

  iommu-ledger import logs/kernel/f2_attach_v1.B1 --out f2.ndjson
  iommu-ledger verify f2.ndjson`,
	options: {
		out: {
			value: "LOG",
			short: "o",
			help: "the log to write; compressed when it ends in .gz",
		},
		format: { value: "F", help: "auto, ftrace, calls or qemu (default auto)" },
		alone: { help: "read only the file named, nothing beside it" },
		json: { help: "print what was found as one JSON object" },
	},
	async run(args, io) {
		const [path] = args.words;
		const out = args.text("out");
		if (path === undefined || args.words.length > 1 || out === undefined)
			throw new UsageError("import needs one PATH and --out LOG");
		const recording = await importRecording(path, {
			alone: args.flag("alone"),
			format: oneOf(
				args,
				"format",
				["auto", "ftrace", "calls", "qemu"],
				"auto",
			),
			onProgress: (bytes) => io.progress(`${(bytes / 1e6).toFixed(1)} MB`),
		});
		const records = await writeLog(out, recording.header, recording.batches);
		io.done();
		const { report } = recording;
		if (args.flag("json"))
			io.out.write(`${JSON.stringify({ out, ...plain(report) })}\n`);
		else {
			io.out.write(
				`${printable(out)}: ${records.toLocaleString("en-US")} records from ${report.lines.toLocaleString("en-US")} lines\n`,
			);
			const clock = clockText(report.clock);
			if (clock !== undefined) io.out.write(`  ${clock}\n`);
			for (const u of report.unexplained.slice(0, 20))
				io.out.write(
					printable(`  line ${u.line}: ${u.event}: ${u.why}`) + "\n",
				);
		}
		return report.unexplained.length > 0 ? 3 : 0;
	},
};

/** The report with its maps as plain objects. */
function plain(report: ImportReport): object {
	return Object.fromEntries(
		Object.entries(report).map(([key, value]) => [
			key,
			value instanceof Map ? Object.fromEntries(value) : value,
		]),
	);
}
