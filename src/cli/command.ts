/** The shape of a command of the command line, and how its help is written. Parsing is node:util's parseArgs. */
import { parseArgs } from "node:util";
import type { Io } from "./io.ts";

/** One option of a command. `value` names its value in the help; without it the option is a switch. */
export interface Option {
	readonly value?: string;
	readonly multiple?: boolean;
	readonly short?: string;
	readonly help: string;
}

/** What a command gets: option values by name, the other words in order. */
export interface Arguments {
	readonly words: readonly string[];
	readonly text: (name: string) => string | undefined;
	readonly texts: (name: string) => readonly string[];
	readonly flag: (name: string) => boolean;
}

/** One command: `iommu-ledger NAME …`. */
export interface Command {
	readonly name: string;
	/** The words after the name, as in `PATH…`. */
	readonly words: string;
	readonly summary: string;
	/** What a newcomer must know: paragraphs, then examples. */
	readonly teach: string;
	readonly options: { readonly [name: string]: Option };
	/** Does the work and returns the exit code. */
	readonly run: (args: Arguments, io: Io) => Promise<number>;
}

/** The words of a call cannot be understood; `message` says what is wrong and what to do. Exit code 2. */
export class UsageError extends Error {
	override readonly name = "UsageError";
}

const HELP: Option = { short: "h", help: "show this help" };

/** Parses the words after the command's name. Throws UsageError. */
export function parseArguments(
	command: Command,
	argv: readonly string[],
): Arguments & { help: boolean } {
	const specs = { ...command.options, help: HELP };
	const options = Object.fromEntries(
		Object.entries(specs).map(([name, option]) => [
			name,
			{
				type:
					option.value === undefined
						? ("boolean" as const)
						: ("string" as const),
				...(option.multiple ? { multiple: true } : {}),
				...(option.short ? { short: option.short } : {}),
			},
		]),
	);
	try {
		const parsed = parseArgs({
			args: [...argv],
			options,
			allowPositionals: true,
			strict: true,
		});
		const values = parsed.values as Record<
			string,
			string | boolean | string[] | undefined
		>;
		return {
			words: parsed.positionals,
			help: values["help"] === true,
			text: (name) => values[name] as string | undefined,
			texts: (name) => (values[name] as string[] | undefined) ?? [],
			flag: (name) => values[name] === true,
		};
	} catch (error) {
		const what = (error as Error).message.split(". ")[0] ?? "";
		throw new UsageError(`${what}. See: iommu-ledger ${command.name} --help`);
	}
}

/** The help page of one command. */
export function helpOf(command: Command): string {
	const rows = Object.entries({ ...command.options, help: HELP }).map(
		([name, option]) => {
			const short = option.short ? `-${option.short}, ` : "";
			const value = option.value === undefined ? "" : ` ${option.value}`;
			return [`${short}--${name}${value}`, option.help] as const;
		},
	);
	const width = Math.max(...rows.map(([left]) => left.length));
	const table = rows.map(
		([left, right]) => `  ${left.padEnd(width)}  ${right}`,
	);
	return [
		`iommu-ledger ${command.name} ${command.words}`.trimEnd(),
		"",
		command.summary,
		"",
		command.teach.trim(),
		"",
		"Options:",
		...table,
		"",
		"Exit codes: 0 holds or all matched · 1 violated or mismatched · 2 unusable input · 3 unexplained or incomplete",
		"",
	].join("\n");
}

/** Reads an option that must be one of a few words. Throws UsageError that lists them. */
export function oneOf<T extends string>(
	args: Arguments,
	name: string,
	allowed: readonly T[],
	otherwise: T,
): T {
	const given = args.text(name) ?? otherwise;
	if ((allowed as readonly string[]).includes(given)) return given as T;
	throw new UsageError(
		`--${name} is one of ${allowed.join(", ")}; got ${JSON.stringify(given)}`,
	);
}
