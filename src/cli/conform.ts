/** `conform PATH…`: recorded kernel calls through the model, every answer compared. */
import { type ConformReport, runConform } from "../replay/conform.ts";
import { type Command, UsageError } from "./command.ts";
import { compared } from "./compared.ts";
import { printable } from "./io.ts";

/** What the invariants said of the model's own records: one line, and one for each that was violated. */
function judgedText({
	invariants = [],
	violations = [],
}: ConformReport): string {
	const exercised = invariants.filter(({ checked }) => checked > 0).length;
	const head = `  judged: ${exercised} of ${invariants.length} invariants exercised, ${violations.length === 0 ? "none violated" : `${violations.length} violation(s)`}`;
	const lines = invariants
		.filter(({ violated }) => violated > 0)
		.map(({ id, violated }) => {
			const first = violations.find((one) => one.id === id);
			return printable(
				`  ${id} ${violated} ×, first in ${first?.sequence}: ${first?.message}`,
			);
		});
	return `${[head, ...lines].join("\n")}\n`;
}

/** The command. */
export const conformCommand: Command = {
	name: "conform",
	words: "PATH…",
	summary:
		"Run recorded kernel calls through the model and compare every answer.",
	teach: `
PATH is a recording of iommufd calls (the kernel's own selftests, random and directed sequences), the calls.ndjson of a trace with its groups.txt
beside it, or a folder of such files. Return value, errno, every output field, ids, ranges and bitmaps are compared. What is left out is named;
docs/conformance.md says why. The model's own records are judged on the way: what is violated there is a property of the recorded kernel (anomalies
A1 and A8 occur) and does not change the exit code.

  iommu-ledger conform test/fixtures/calls
  iommu-ledger conform logs/kernel --json | jq '{calls, matched, mismatched}'`,
	options: { json: { help: "print one JSON object" } },
	async run(args, io) {
		if (args.words.length === 0)
			throw new UsageError("conform needs at least one PATH");
		const report = await runConform(args.words, {
			judge: true,
			progress: (file, calls) =>
				io.progress(`${calls} calls, ${printable(file)}`),
		});
		const code = compared(report, args.flag("json"), io);
		if (!args.flag("json")) io.out.write(judgedText(report));
		return code;
	},
};
