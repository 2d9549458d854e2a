/** `bisect LOG` and `shrink LOG -o SMALL`: the first bad prefix, and the smallest log that breaks the same invariant. */
import { copyRecord } from "../log/scan-line.ts";
import { openInput } from "../replay/input.ts";
import { bisect, shrink } from "../replay/shrink.ts";
import { verifyRecords } from "../replay/verify.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { type Arguments, type Command, UsageError } from "./command.ts";
import { printable } from "./io.ts";
import { naming } from "./naming.ts";
import { byOperation, writeLog } from "./write-log.ts";

/** A log held in memory, with the invariant that is asked about. */
interface Subject {
	readonly path: string;
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
	/** The invariant, or undefined when the log breaks none. */
	readonly id: string | undefined;
}

async function subjectOf(args: Arguments): Promise<Subject> {
	const [path] = args.words;
	if (path === undefined || args.words.length > 1)
		throw new UsageError("one LOG (or recording) is needed");
	let header: LogHeader | undefined;
	const records: LogRecord[] = [];
	await naming(
		path,
		(await openInput(path)).stream(
			(found) => {
				header = found;
			},
			(record) => {
				records.push(copyRecord(record));
			},
		),
	);
	if (header === undefined) throw new UsageError(`${path} holds no log`);
	const id =
		args.text("id") ?? verifyRecords(header, records).violations[0]?.id;
	return { path, header, records, id };
}

const ID = {
	value: "ID",
	help: "the invariant, such as PT-32 (default: the first that breaks)",
};

/** The command `bisect`. */
export const bisectCommand: Command = {
	name: "bisect",
	words: "LOG",
	summary: "The first prefix of a log that violates.",
	teach: `
LOG is a native log or a recording of a kernel. The answer is the record after which the invariant is broken for the first time; everything before
it holds.

  iommu-ledger bisect logs/kernel/f2_attach_v1.B1 --id PT-32`,
	options: { id: ID, json: { help: "print one JSON object" } },
	async run(args, io) {
		const { path, header, records, id } = await subjectOf(args);
		const found =
			id === undefined ? undefined : bisectOrRefuse(header, records, id);
		if (args.flag("json"))
			io.out.write(
				`${JSON.stringify(found === undefined ? { verdict: "holds" } : { verdict: "violated", id, lastSeq: found.lastSeq, message: found.violation.message })}\n`,
			);
		else if (found === undefined)
			io.out.write(
				`HOLDS  ${printable(path)}: ${id ?? "nothing"} is not violated\n`,
			);
		else
			io.out.write(
				`VIOLATED  ${printable(path)}: ${id} breaks with record #${found.lastSeq}: ${printable(found.violation.message)}\n`,
			);
		return found === undefined ? 0 : 1;
	},
};

/** The command `shrink`. */
export const shrinkCommand: Command = {
	name: "shrink",
	words: "LOG -o SMALL",
	summary: "The smallest log that still breaks the same invariant.",
	teach: `
Whole operations are left out first, then single records, as long as the same invariant breaks for the same subject. The log stays well-formed.

  iommu-ledger shrink logs/kernel/f2_attach_v1.B1 -o small.ndjson
  iommu-ledger verify small.ndjson`,
	options: {
		id: ID,
		out: { value: "SMALL", short: "o", help: "the log to write" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const out = args.text("out");
		if (out === undefined) throw new UsageError("shrink needs -o SMALL");
		const { path, header, records, id } = await subjectOf(args);
		if (id !== undefined) bisectOrRefuse(header, records, id);
		const onProgress = (tried: number, size: number) =>
			io.progress(
				`candidate ${tried}, ${size.toLocaleString("en-US")} records`,
			);
		const small =
			id === undefined ? undefined : shrink(header, records, id, onProgress);
		io.done();
		if (small === undefined) {
			io.err.write(
				`${printable(path)}: ${id ?? "nothing"} is not violated; nothing to shrink\n`,
			);
			return 0;
		}
		await writeLog(out, header, byOperation(small.records));
		if (args.flag("json"))
			io.out.write(
				`${JSON.stringify({ id, from: records.length, to: small.records.length, tried: small.tried, complete: small.complete, message: small.violation.message })}\n`,
			);
		else
			io.out.write(
				`${printable(out)}: ${small.records.length} of ${records.length} records still break ${id}: ${printable(small.violation.message)}${small.complete ? "" : " (the search was cut short)"}\n`,
			);
		return 1;
	},
};

function bisectOrRefuse(
	header: LogHeader,
	records: readonly LogRecord[],
	id: string,
): ReturnType<typeof bisect> {
	try {
		return bisect(header, records, id);
	} catch (error) {
		if (error instanceof RangeError) throw new UsageError(error.message);
		throw error;
	}
}
