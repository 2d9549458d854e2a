/** `stat PATH…`: what one wants to know before a verdict. */
import { openInput } from "../replay/input.ts";
import { addRecord, newStat, type Stat } from "../traces/stat.ts";
import { statText, summarize } from "../traces/stat-summary.ts";
import { type Command, oneOf, UsageError } from "./command.ts";
import { printable } from "./io.ts";
import { naming } from "./naming.ts";

/** The command. */
export const statCommand: Command = {
	name: "stat",
	words: "PATH…",
	summary:
		"Rates, sizes, domains, groups, flushes per unmap: what one wants before a verdict.",
	teach: `
PATH is whatever verify takes: a native log, a trace, a folder with a recording, recorded calls, or - for standard input.

  iommu-ledger stat logs/kernel/g_superpage.M1
  iommu-ledger stat trace.txt.gz --json | jq .files[0].flushesPerUnmap`,
	options: {
		format: {
			value: "F",
			help: "auto, native, ftrace, qemu or calls (default auto)",
		},
		alone: { help: "read only the file named, nothing that lies beside it" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		if (args.words.length === 0)
			throw new UsageError("stat needs at least one PATH");
		const files = [];
		for (const path of args.words) {
			const input = await openInput(path, {
				format: oneOf(
					args,
					"format",
					["auto", "native", "ftrace", "qemu", "calls"],
					"auto",
				),
				alone: args.flag("alone"),
			});
			let stat: Stat = newStat();
			await naming(
				path,
				input.stream(
					(header) => {
						stat = newStat(header);
					},
					(record) => addRecord(stat, record),
				),
			);
			const summary = summarize(stat);
			files.push({ file: path, ...summary });
			if (!args.flag("json"))
				io.out.write(`${printable(path)}\n${statText(summary)}\n`);
		}
		if (args.flag("json")) io.out.write(`${JSON.stringify({ files })}\n`);
		return 0;
	},
};
