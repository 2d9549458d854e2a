/** `log check|repair|stat|cat|convert|archive LOG`: the log's own care. */
import { extname } from "node:path";
import { BINARY } from "../log/binary.ts";
import { catLog, checkLog, statLog } from "../log/care.ts";
import { type LogCodec, NDJSON } from "../log/codec.ts";
import { convertLog } from "../log/convert.ts";
import { LogError } from "../log/error.ts";
import { repairLog } from "../log/repair.ts";
import type { ScanSummary } from "../log/scan-types.ts";
import { type Arguments, type Command, oneOf, UsageError } from "./command.ts";
import { type Io, printable } from "./io.ts";
import { type Action, answer, seqOption } from "./log-action.ts";
import { archive } from "./log-archive.ts";
import {
	checkJson,
	checkText,
	problemJson,
	repairText,
	statJson,
	statText,
	summaryJson,
	tailText,
} from "./log-text.ts";

const CODES = { whole: 0, torn: 3, broken: 2 } as const;
const codeOf = ({ tail }: ScanSummary): number => (tail === undefined ? 0 : 3);

const PROGRESS_MS = 200;
/** Shows how far reading is, five times a second. */
function progressOf(path: string, io: Io): (records: number) => void {
	let next = 0;
	return (records) => {
		const now = performance.now();
		if (now < next) return;
		next = now + PROGRESS_MS;
		io.progress(
			`${printable(path)}: ${records.toLocaleString("en-US")} records`,
		);
	};
}

const check: Action = {
	options: ["head"],
	async run(path, args, io) {
		const head = args.text("head");
		if (head !== undefined && !/^[0-9a-f]{64}$/.test(head))
			throw new UsageError("--head is a hash of 64 hex digits");
		const result = await checkLog(path, {
			...(head === undefined ? {} : { head }),
			onRecords: progressOf(path, io),
		});
		answer(args, io, checkJson(result), checkText(path, result));
		return CODES[result.state];
	},
};

const repair: Action = {
	options: ["cut"],
	async run(path, args, io) {
		if (path === "-")
			throw new UsageError("log repair works in place: name a file, not -");
		const result = await repairLog(path, { cut: args.flag("cut") });
		answer(
			args,
			io,
			{ steps: result.steps, check: checkJson(result.check) },
			repairText(path, result),
		);
		return CODES[result.check.state];
	},
};

const stat: Action = {
	options: [],
	async run(path, args, io) {
		const result = await statLog(path, progressOf(path, io));
		answer(args, io, statJson(result), statText(path, result));
		return codeOf(result.summary);
	},
};

/** Lines go out in pieces of this size. */
const OUT_LENGTH = 1 << 16;

const cat: Action = {
	options: ["from", "to", "type", "actor"],
	async run(path, args, io) {
		const from = seqOption(args, "from");
		const to = seqOption(args, "to");
		const actor = args.text("actor");
		const types = args.texts("type");
		let text = "";
		const flush = (): void => {
			if (text !== "") io.out.write(text);
			text = "";
		};
		try {
			const summary = await catLog(
				path,
				{
					...(from === undefined ? {} : { from }),
					...(to === undefined ? {} : { to }),
					...(actor === undefined ? {} : { actor }),
					...(types.length === 0 ? {} : { types }),
				},
				(line) => {
					text += `${line}\n`;
					if (text.length > OUT_LENGTH) flush();
				},
			);
			flush();
			if (summary.tail !== undefined) io.err.write(tailText(summary.tail));
			return codeOf(summary);
		} finally {
			// What is whole is printed, also when damage follows.
			flush();
		}
	},
};

const CODECS = ["ndjson", "binary"] as const;

/** The codec that is asked for, or that the name's ending (before .gz) says. */
function codecFor(out: string, args: Arguments): LogCodec {
	const named =
		extname(out.replace(/\.gz$/, "")) === BINARY.extension
			? "binary"
			: "ndjson";
	return oneOf(args, "codec", CODECS, named) === "binary" ? BINARY : NDJSON;
}

const convert: Action = {
	options: ["out", "codec"],
	async run(path, args, io) {
		const out = args.text("out");
		if (out === undefined || out === "-")
			throw new UsageError(
				"log convert needs --out LOG, the file to write (log cat prints records)",
			);
		const { read, head, bytes } = await convertLog(
			path,
			out,
			codecFor(out, args),
			progressOf(path, io),
		);
		answer(
			args,
			io,
			{ out, bytes, head, read: summaryJson(read) },
			`${printable(out)}: ${read.records.toLocaleString("en-US")} records, ${bytes.toLocaleString("en-US")} bytes before compression, head ${head.hash}\n${tailText(read.tail)}`,
		);
		return codeOf(read);
	},
};

const ACTIONS: { readonly [name: string]: Action } = {
	check,
	repair,
	stat,
	cat,
	convert,
	archive,
};

/** Refuses an option that belongs to another of the six, rather than ignoring it. */
function checkOptions(name: string, action: Action, args: Arguments): void {
	for (const option of Object.keys(logCommand.options)) {
		const given = args.flag(option) || args.texts(option).length > 0;
		if (given && option !== "json" && !action.options.includes(option))
			throw new UsageError(
				`log ${name} has no --${option}. See: iommu-ledger log --help`,
			);
	}
}

/** The command. */
export const logCommand: Command = {
	name: "log",
	words: "check|repair|stat|cat|convert|archive LOG",
	summary:
		"The log's own care: is it whole, mend it, what is in it, print it, convert it, archive its sealed segments.",
	teach: `
LOG is a file, NDJSON or binary, gzip or not, a directory of segments, or - for standard input (repair excepted).

check     reads every seal. Accidents are always evident; tampering is evident against a head hash kept elsewhere (--head)
repair    drops a torn tail and puts back a flipped byte where the seal proves it; --cut also cuts off what is damaged beyond that,
          which may remove acknowledged records. What is removed is kept beside the file. Compressed files are not touched
stat      records by type, sizes
cat       prints records, one JSON object a line
convert   writes the log anew as one file, in canonical form, in another codec (--codec, or by the name: .blog is binary), or
          compressed (a name in .gz). Lossless both ways
archive   compresses the sealed segments of a directory into its subdirectory archive (which may be a mount or a link); every command goes on
          reading them there. Those that end before --before, or all but the last two, which an opening writer reads. The whole log is read
          first, and left alone unless every seal fits; a segment goes only when its compressed copy was read back. Not while another
          process has the log open (a running system calls its store's archive). --dry-run says what would be done

They exit with 0: whole; 3: whole but for a torn tail, which was never acknowledged and is left out; 2: damaged, unreadable, no log.

  iommu-ledger log check run.ndjson --head "$(cat kept-elsewhere)"
  iommu-ledger log cat run.ndjson --type hw. --from 100 | jq .data.dom
  iommu-ledger log convert run.ndjson -o run.blog.gz
  iommu-ledger log archive /var/lib/agent/log --dry-run`,
	options: {
		head: { value: "HASH", help: "check: the hash the log must end in" },
		cut: {
			help: "repair: cut off damaged batches; may remove acknowledged records",
		},
		from: { value: "SEQ", help: "cat: first record" },
		to: { value: "SEQ", help: "cat: last record" },
		type: {
			value: "TYPE",
			multiple: true,
			help: "cat: only this type, or a prefix such as dom.",
		},
		actor: { value: "ACTOR", help: "cat: only this actor" },
		out: { value: "LOG", short: "o", help: "convert: the file to write" },
		codec: { value: "NAME", help: "convert: ndjson or binary" },
		before: {
			value: "SEQ",
			help: "archive: only segments that end before this record",
		},
		"dry-run": { help: "archive: say what would be done" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const [name = "", path] = args.words;
		const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
		if (action === undefined || path === undefined || args.words.length > 2)
			throw new UsageError(
				`log needs one of ${Object.keys(ACTIONS).join(", ")} and one LOG. See: iommu-ledger log --help`,
			);
		checkOptions(name, action, args);
		try {
			return await action.run(path, args, io);
		} catch (error) {
			if (!(error instanceof LogError)) throw error;
			io.done();
			if (args.flag("json"))
				io.out.write(`${JSON.stringify({ problem: problemJson(error) })}\n`);
			const hint = error.hint === undefined ? "" : `\n  ${error.hint}`;
			io.err.write(`iommu-ledger: ${printable(error.message)}${hint}\n`);
			return 2;
		}
	},
};
