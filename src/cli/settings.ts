/** `--set KEY=VALUE`: switches and parameters from the command line. */
import { UsageError } from "./command.ts";

/** Reads settings. `true`/`on`, `false`/`off` and numbers become what they say; anything else stays text. Throws UsageError. */
export function settingsOf(
	pairs: readonly string[],
): Record<string, boolean | string | number> {
	return Object.fromEntries(
		pairs.map((pair) => {
			const at = pair.indexOf("=");
			if (at < 1)
				throw new UsageError(
					`--set takes KEY=VALUE; got ${JSON.stringify(pair)}`,
				);
			return [pair.slice(0, at), valueOf(pair.slice(at + 1))];
		}),
	);
}

function valueOf(text: string): boolean | string | number {
	if (text === "true" || text === "on") return true;
	if (text === "false" || text === "off") return false;
	return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}
