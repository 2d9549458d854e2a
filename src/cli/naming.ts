/** Errors about a file name it. */
import { LogError } from "../log/error.ts";
import { ImportError } from "../traces/recording.ts";
import { UsageError } from "./command.ts";

/** Waits for work on the file at `path`; what is wrong with the file is told with its name, and with what to do about it. */
export async function naming<T>(path: string, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (error instanceof LogError)
			throw new UsageError(
				[`${path}: ${error.message}`, error.hint].filter(Boolean).join(". "),
			);
		if (error instanceof ImportError)
			throw new UsageError(`${path}: ${error.message}`);
		throw error;
	}
}
