/** `verify PATH…`: replay and judge. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
	type FileReport,
	verifyPath,
	type VerifyPathOptions,
} from "../replay/verify-path.ts";
import { type Arguments, type Command, oneOf, UsageError } from "./command.ts";
import { EXIT, worst } from "./exit.ts";
import { differences, type Expectation, parseExpectations } from "./expect.ts";
import { type Io, printable } from "./io.ts";
import { verifyJson } from "./verify-json.ts";
import { fileText, totalsText } from "./verify-text.ts";

/** The command. */
export const verifyCommand: Command = {
	name: "verify",
	words: "PATH…",
	summary:
		"Replay and judge: which invariant broke, at which record, why, and the source that says so.",
	teach: `
PATH is a native log, a kernel trace (ftrace text), a folder with a whole recording, recorded calls, or - for standard input; any of them
may be gzip-compressed. A trace file is read together with what lies beside it, unless --alone.

Three verdicts: holds, violated (evidence possible: the analysis allows harm; proven: a device or an independent witness shows
it), unexplained (the log does not tell; it says what was missing). Warnings are risky but legal and never change the verdict.
docs/invariants.md explains every id.

  iommu-ledger verify logs/kernel/f2_attach_v1.B1        a defect in a real kernel, proven
  iommu-ledger verify trace.txt --json | jq .verdict
  iommu-ledger verify run.ndjson --redecide              also decide every command again, byte for byte`,
	options: {
		format: {
			value: "F",
			help: "auto, native, ftrace, qemu or calls (default auto)",
		},
		alone: { help: "read only the file named, nothing that lies beside it" },
		expect: {
			value: "FILE",
			help: "succeed only when every file comes out exactly as FILE says",
		},
		redecide: {
			help: "run logs: decide every command again and compare byte for byte",
		},
		all: { help: "show every finding and every call, not the first few" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const expected = expectations(args);
		const paths = args.words.length > 0 ? args.words : [...expected.keys()];
		if (paths.length === 0)
			throw new UsageError("verify needs at least one PATH, or --expect FILE");
		const started = performance.now();
		const files: FileReport[] = [];
		for (const path of paths)
			files.push(await one(path, args, io, paths.length > 1));
		const seconds = (performance.now() - started) / 1000;
		if (args.flag("json"))
			io.out.write(`${JSON.stringify(verifyJson(files, seconds))}\n`);
		else if (paths.length > 1) io.out.write(totalsText(files, seconds, io));
		return args.text("expect") === undefined
			? EXIT[worst(files.map((file) => file.verdict))]
			: judgeExpected(files, expected, io, args.flag("json"));
	},
};

async function one(
	path: string,
	args: Arguments,
	io: Io,
	many: boolean,
): Promise<FileReport> {
	const options: VerifyPathOptions = {
		format: oneOf(
			args,
			"format",
			["auto", "native", "ftrace", "qemu", "calls"],
			"auto",
		),
		alone: args.flag("alone"),
		redecide: args.flag("redecide"),
		onProgress: (records) =>
			io.progress(
				`${printable(path)}: ${records.toLocaleString("en-US")} records`,
			),
	};
	const file = await verifyPath(path, options);
	io.done();
	if (!args.flag("json"))
		io.out.write(
			fileText(
				file,
				{ all: args.flag("all"), brief: many && !args.flag("all") },
				io,
			),
		);
	return file;
}

/** Expectations by path as the caller would write it; empty without --expect. */
function expectations(args: Arguments): Map<string, Expectation> {
	const file = args.text("expect");
	if (file === undefined) return new Map();
	const entries = parseExpectations(readFileSync(file, "utf8"), file);
	return new Map(
		entries.map((entry) => [join(dirname(file), entry.path), entry]),
	);
}

function judgeExpected(
	files: readonly FileReport[],
	expected: ReadonlyMap<string, Expectation>,
	io: Io,
	json: boolean,
): number {
	const out = json ? io.err : io.out;
	let wrong = 0;
	for (const file of files) {
		const want = expected.get(join(file.file));
		const violations = file.report?.violations ?? [];
		const problems =
			want === undefined
				? ["not in the expectation file"]
				: differences(want, {
						verdict: file.verdict,
						ids: violations.map((v) => v.id),
						proven: violations
							.filter((v) => v.evidence === "proven")
							.map((v) => v.id),
						records: file.report?.records ?? 0,
					});
		if (problems.length > 0) wrong++;
		for (const problem of problems)
			out.write(
				`${io.paint("red", "NOT AS EXPECTED")}  ${printable(file.file)}: ${problem}\n`,
			);
	}
	if (wrong === 0)
		out.write(
			`${io.paint("green", "AS EXPECTED")}  all ${files.length} files have exactly the verdict, ids and records listed\n`,
		);
	return wrong === 0 ? 0 : 1;
}
