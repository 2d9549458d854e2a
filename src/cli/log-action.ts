/** What the actions of `log …` share. */
import type { Arguments } from "./command.ts";
import { UsageError } from "./command.ts";
import type { Io } from "./io.ts";

/** One of them. */
export interface Action {
	/** Options it knows beside --json. */
	readonly options: readonly string[];
	readonly run: (path: string, args: Arguments, io: Io) => Promise<number>;
}

/** Prints the one JSON object, or the text. */
export function answer(
	args: Arguments,
	io: Io,
	json: object,
	text: string,
): void {
	io.done();
	io.out.write(args.flag("json") ? `${JSON.stringify(json)}\n` : text);
}

/** A record's number; undefined when the option is not given. */
export function seqOption(args: Arguments, name: string): number | undefined {
	const text = args.text(name);
	if (text === undefined) return undefined;
	if (!/^\d{1,15}$/.test(text))
		throw new UsageError(`--${name} is a record's number`);
	return Number(text);
}
