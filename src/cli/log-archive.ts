/** `log archive DIRECTORY`: sealed segments go into the log's archive. */
import { relative } from "node:path";
import { archiveLog, type ArchiveResult } from "../log/archive-log.ts";
import { UsageError } from "./command.ts";
import { printable } from "./io.ts";
import { type Action, answer, seqOption } from "./log-action.ts";
import { summaryJson } from "./log-text.ts";

const number = (value: number): string => value.toLocaleString("en-US");

/** The answer as text. */
function archiveText(
	directory: string,
	{ done, kept, archivedBefore, summary }: ArchiveResult,
	dryRun: boolean,
): string {
	const lines = done.map(({ first, last, path, bytes, compressed }) => {
		const size =
			compressed === undefined
				? `${number(bytes)} bytes`
				: `${number(bytes)} to ${number(compressed)} bytes`;
		return `${printable(relative(directory, path))}  records ${first} to ${last}, ${size}`;
	});
	const total = number(done.reduce((sum, { bytes }) => sum + bytes, 0));
	const did = dryRun ? "would be archived" : "archived";
	return [
		...lines,
		`${done.length} ${done.length === 1 ? "segment" : "segments"} ${did} (${total} bytes); ${archivedBefore} were before, ${kept} stay as they are`,
		`  head #${summary.head.seq} ${summary.head.hash}`,
		"",
	].join("\n");
}

/** Archives sealed segments. */
export const archive: Action = {
	options: ["before", "dry-run"],
	async run(path, args, io) {
		if (path === "-")
			throw new UsageError(
				"log archive works in place: name a directory, not -",
			);
		const before = seqOption(args, "before");
		const dryRun = args.flag("dry-run");
		const result = await archiveLog(path, {
			dryRun,
			...(before === undefined ? {} : { before }),
		});
		const json = { ...result, dryRun, summary: summaryJson(result.summary) };
		answer(args, io, json, archiveText(path, result, dryRun));
		return result.summary.tail === undefined ? 0 : 3;
	},
};
