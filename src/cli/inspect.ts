/** `inspect LOG…` serves the inspector on this machine; `report LOG -o page.html` writes it as one file. */
import { once } from "node:events";
import { open } from "node:fs/promises";
import { writeReport } from "../inspector/report.ts";
import { startInspector } from "../inspector/server.ts";
import { type Command, UsageError } from "./command.ts";
import { logSource } from "./log-source.ts";
import { naming } from "./naming.ts";

const BRACE = 0x7b;

/** A log that can be followed byte by byte: one file of NDJSON, as it is being written. */
async function growingLog(path: string): Promise<string> {
	const file = await open(path, "r");
	try {
		const { size } = await file.stat();
		const isFile = (await file.stat()).isFile();
		const start = Buffer.alloc(1);
		if (isFile) await file.read(start, 0, 1, 0);
		if (isFile && (size === 0 || start[0] === BRACE)) return path;
	} finally {
		await file.close();
	}
	throw new UsageError(
		`--live follows one NDJSON file while it is written; ${path} is something else: leave --live out, or follow the running system from its program (docs/inspector.md)`,
	);
}

/** The command `inspect`. */
export const inspectCommand: Command = {
	name: "inspect",
	words: "LOG…",
	summary:
		"Look at a log in the browser: timeline, statecharts, topology, page tables, violations.",
	teach: `
LOG is a native log, or a recording of a kernel, which is imported first. Serves one page on 127.0.0.1 only, at an address that holds a random token; nothing is fetched from any network.
Two logs open side by side. Stop it with Ctrl-C.

  iommu-ledger inspect logs/scenarios/replace-1.posted-v2.ndjson logs/scenarios/replace-1.group-owned.ndjson`,
	options: {
		live: { help: "follow the log as it grows" },
		port: { value: "N", help: "listen on this port (default: a free one)" },
	},
	async run(args, io) {
		if (args.words.length === 0)
			throw new UsageError("inspect needs at least one LOG");
		const port = Number(args.text("port") ?? 0);
		if (!Number.isInteger(port) || port < 0 || port > 65535)
			throw new UsageError("--port is a number from 0 to 65535");
		const live = args.flag("live");
		const inspector = await startInspector({
			logs: await Promise.all(
				args.words.map((path) =>
					naming(path, live ? growingLog(path) : logSource(path)),
				),
			),
			port,
			live,
		});
		io.out.write(`${inspector.url}\n`);
		io.err.write(
			"Open this address in a browser on this machine. Ctrl-C ends.\n",
		);
		await once(process, "SIGINT");
		await inspector.close();
		return 0;
	},
};

/** The command `report`. */
export const reportCommand: Command = {
	name: "report",
	words: "LOG -o PAGE.html",
	summary:
		"Write log and inspector as one HTML file, to attach to a mail or a bug.",
	teach: `
The file opens from disk, needs no network and runs scripts only from itself.

  iommu-ledger report run.ndjson -o run.html --redact`,
	options: {
		out: { value: "FILE", short: "o", help: "where to write the page" },
		redact: {
			help: "replace kernel pointers, host and device names, consistently",
		},
	},
	async run(args, io) {
		const out = args.text("out");
		if (args.words.length === 0 || out === undefined)
			throw new UsageError("report needs a LOG and -o PAGE.html");
		const bytes = await writeReport(
			await Promise.all(
				args.words.map((path) => naming(path, logSource(path))),
			),
			out,
			{
				redact: args.flag("redact"),
			},
		);
		io.out.write(`${out}: ${(bytes / 1024).toFixed(0)} KiB\n`);
		return 0;
	},
};
