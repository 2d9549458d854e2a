/**
 * What a command may print to. Colour only on terminals and never as the only signal; progress only on a terminal and only on
 * standard error, so that pipes and scripts see results alone.
 */
import { styleText } from "node:util";

/** A place to print to. */
export interface Output {
	write(text: string): unknown;
	readonly isTTY?: boolean;
	readonly columns?: number;
}

/** Names of the styles reports use. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Everything a command needs of the terminal. */
export interface Io {
	readonly out: Output;
	readonly err: Output;
	/** Styles text when standard output is a terminal and NO_COLOR is not set; else returns it as it is. */
	readonly paint: (style: Style, text: string) => string;
	/** Shows one line of progress, replacing the last; does nothing where standard error is no terminal. */
	readonly progress: (text: string) => void;
	/** Removes the progress line. */
	readonly done: () => void;
}

/** Wraps the two streams of a process (or of a test). */
export function createIo(out: Output, err: Output, env: NodeJS.ProcessEnv): Io {
	const colour =
		out.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
	let shown = false;
	return {
		out,
		err,
		paint: (style, text) =>
			colour ? styleText(style, text, { validateStream: false }) : text,
		progress(text) {
			if (!err.isTTY) return;
			shown = true;
			err.write(`\r\x1b[K${text.slice(0, (err.columns ?? 80) - 1)}`);
		},
		done() {
			if (shown) err.write("\r\x1b[K");
			shown = false;
		},
	};
}

/** Makes text from a log safe for a terminal: control characters, escapes among them, become visible. */
export function printable(text: string): string {
	// A hostile device name may hold terminal escapes; the class is every C0 and C1 control character.
	return text.replace(
		// oxlint-disable-next-line no-control-regex
		/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
		(c) => {
			return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
		},
	);
}
