/** `conform PATH…`: recorded kernel calls through the model, every answer compared. */
import { runConform } from "../replay/conform.ts";
import { type Command, UsageError } from "./command.ts";
import { compared } from "./compared.ts";
import { printable } from "./io.ts";

/** The command. */
export const conformCommand: Command = {
	name: "conform",
	words: "PATH…",
	summary:
		"Run recorded kernel calls through the model and compare every answer.",
	teach: `
PATH is a recording of iommufd calls (the kernel's own selftests, random and directed sequences), the calls.ndjson of a trace with its groups.txt
beside it, or a folder of such files. Return value, errno, every output field, ids, ranges and bitmaps are compared. What is left out is named;
docs/conformance.md says why.

  iommu-ledger conform test/fixtures/calls
  iommu-ledger conform logs/kernel --json | jq '{calls, matched, mismatched}'`,
	options: { json: { help: "print one JSON object" } },
	async run(args, io) {
		if (args.words.length === 0)
			throw new UsageError("conform needs at least one PATH");
		const report = await runConform(args.words, {
			progress: (file, calls) =>
				io.progress(`${calls} calls, ${printable(file)}`),
		});
		return compared(report, args.flag("json"), io);
	},
};
