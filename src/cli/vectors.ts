/** `vectors FILE…`: golden page-table vectors through the reducer. */
import { runVectors } from "../replay/vectors.ts";
import { type Command, UsageError } from "./command.ts";
import { compared } from "./compared.ts";
import { EXIT } from "./exit.ts";

/** The command. */
export const vectorsCommand: Command = {
	name: "vectors",
	words: "FILE…",
	summary:
		"Run golden page-table vectors through the reducer and compare every answer and event.",
	teach: `
A vector file holds operations that the real C page-table code of Linux answered: return values, side effects in order,
look-ups, dumps of whole tables, dirty sweeps, races. Each call is run on the model; what differs is shown.
docs/page-tables.md describes the model, the file format and what is left out by name.

  iommu-ledger vectors test/fixtures/vectors/*.ndjson.gz`,
	options: { json: { help: "print one JSON object" } },
	async run(args, io) {
		if (args.words.length === 0)
			throw new UsageError("vectors needs at least one FILE");
		const report = await runVectors(args.words, {
			onProgress: (calls) => io.progress(`${calls} calls`),
		});
		const code = compared(report, args.flag("json"), io);
		return report.unusable.length > 0 ? EXIT.unusable : code;
	},
};
