/** `tail [SOURCE]`: follow a live trace, judge as it grows. */
import { followSource } from "../traces/follow.ts";
import { importParts } from "../traces/import.ts";
import { TRACEFS } from "../traces/capture.ts";
import { createVerifier } from "../replay/verify.ts";
import { type Command, UsageError } from "./command.ts";
import { EXIT } from "./exit.ts";
import { type Io, printable } from "./io.ts";

/** Things that could not be decided, told at the end; more are in `verify`. */
const GAPS_SHOWN = 3;

/** The command. */
export const tailCommand: Command = {
	name: "tail",
	words: "[SOURCE]",
	summary: "Follow a live trace and judge as it grows.",
	teach: `
SOURCE is a growing trace file, - for standard input, or (default) ${TRACEFS}/trace_pipe, which takes root and the events that "iommu-ledger
capture" sets up. Memory does not grow with the trace. Ctrl-C ends and prints the verdict of what was seen.

  cat /sys/kernel/tracing/trace_pipe | iommu-ledger tail - --exit-on-error`,
	options: {
		"exit-on-error": { help: "end with exit code 1 at the first violation" },
		"from-end": { help: "start at the end of what is there" },
		fidelity: {
			value: "L",
			help: "L0 (only the kernel's own tracepoints) or L1 (with probes, default)",
		},
		json: { help: "print one JSON object per violation" },
	},
	async run(args, io) {
		const [path = `${TRACEFS}/trace_pipe`] = args.words;
		if (args.words.length > 1) throw new UsageError("tail takes one SOURCE");
		const fidelity = args.text("fidelity") ?? "L1";
		if (fidelity !== "L0" && fidelity !== "L1")
			throw new UsageError("--fidelity is L0 or L1");
		const stop = new AbortController();
		const end = (): void => stop.abort();
		process.once("SIGINT", end);
		try {
			return await follow(
				path,
				fidelity,
				stop,
				args.flag("exit-on-error"),
				args.flag("from-end"),
				args.flag("json"),
				io,
			);
		} finally {
			process.off("SIGINT", end);
		}
	},
};

async function follow(
	path: string,
	fidelity: "L0" | "L1",
	stop: AbortController,
	exitOnError: boolean,
	fromEnd: boolean,
	json: boolean,
	io: Io,
): Promise<number> {
	const source = followSource(path, { signal: stop.signal, fromEnd });
	const recording = await importParts(
		{ name: path, trace: source },
		{ peekBytes: 1, fidelity },
	);
	const verifier = createVerifier(recording.header);
	verifier.onViolation((v, what) => {
		io.done();
		if (json)
			io.out.write(
				`${JSON.stringify({ what, id: v.id, seq: v.seq, evidence: v.evidence, message: v.message })}\n`,
			);
		else
			io.out.write(
				`${v.severity === "warning" ? "warning" : io.paint("red", what.toUpperCase())} ${v.id} at #${v.seq}, ${v.evidence}: ${printable(v.message)}\n`,
			);
		if (exitOnError && v.severity === "error") stop.abort();
	});
	let count = 0;
	for await (const records of recording.batches) {
		for (const record of records) verifier.next(record);
		count += records.length;
		io.progress(
			`${count.toLocaleString("en-US")} records, ${verifier.judge.verdicts.violations.length} violations`,
		);
		if (stop.signal.aborted) break;
	}
	io.done();
	const report = verifier.finish();
	if (!json)
		io.out.write(
			`${report.verdict.toUpperCase()}  ${report.records.toLocaleString("en-US")} records, ${report.violations.length} violations, ${report.warnings.length} warnings\n`,
		);
	if (!json)
		for (const gap of report.unexplained
			.filter(({ lost }) => !lost)
			.slice(0, GAPS_SHOWN))
			io.out.write(
				`  unexplained ${gap.id} at #${gap.seq}: ${printable(gap.missing)}\n`,
			);
	return EXIT[report.verdict];
}
