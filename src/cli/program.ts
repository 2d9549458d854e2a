/** The program: finds the command, parses its words, prints its errors. Everything else lives in the commands' own files. */
import { readFileSync } from "node:fs";
import { COMMANDS } from "./commands.ts";
import { helpOf, parseArguments, UsageError } from "./command.ts";
import { type Io, printable } from "./io.ts";

function overview(): string {
	const width = Math.max(...COMMANDS.map((c) => c.name.length));
	return [
		"iommu-ledger — replay and judge Linux IOMMU orchestration: kernel traces, recorded calls, our own logs.",
		"",
		"iommu-ledger COMMAND …          iommu-ledger COMMAND --help",
		"",
		...COMMANDS.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
		"",
		"Start with:  iommu-ledger verify logs/kernel/f2_attach_v1.B1",
		"",
	].join("\n");
}

function version(): string {
	// One level up in the sources, three from dist/src/cli.
	for (const up of ["../../package.json", "../../../package.json"]) {
		try {
			return JSON.parse(readFileSync(new URL(up, import.meta.url), "utf8"))
				.version;
		} catch {}
	}
	return "unknown";
}

function nearest(word: string): string {
	const close = COMMANDS.find((c) => c.name.startsWith(word.slice(0, 2)));
	return close ? ` Did you mean ${close.name}?` : "";
}

/** Runs one call of the program and returns its exit code. `argv` has no interpreter and script in front. */
export async function program(
	argv: readonly string[],
	io: Io,
): Promise<number> {
	const [name, ...rest] = argv;
	if (
		name === undefined ||
		name === "--help" ||
		name === "-h" ||
		name === "help"
	) {
		io.out.write(overview());
		return name === undefined ? 2 : 0;
	}
	if (name === "--version") {
		io.out.write(`${version()}\n`);
		return 0;
	}
	const command = COMMANDS.find((c) => c.name === name);
	try {
		if (!command)
			throw new UsageError(
				`There is no command ${JSON.stringify(name)}.${nearest(name)} See: iommu-ledger --help`,
			);
		const args = parseArguments(command, rest);
		if (args.help) {
			io.out.write(helpOf(command));
			return 0;
		}
		return await command.run(args, io);
	} catch (error) {
		io.done();
		io.err.write(`iommu-ledger: ${describe(error)}\n`);
		return 2;
	} finally {
		io.done();
	}
}

/** Errors a user can act on are one line; anything else is our fault and says so, with its stack. */
function describe(error: unknown): string {
	if (!(error instanceof Error)) return printable(String(error));
	const code = (error as NodeJS.ErrnoException).code;
	const expected =
		error.name !== "Error" &&
		error.name !== "TypeError" &&
		error.name !== "RangeError";
	if (expected || code !== undefined) return printable(error.message);
	return `internal error, please report it: ${error.stack ?? error.message}`;
}
