/** Every command of the program, in the order its help lists them. */
import type { Command } from "./command.ts";
import { exploreCommand } from "./explore.ts";
import { inspectCommand, reportCommand } from "./inspect.ts";
import { vectorsCommand } from "./vectors.ts";

/** The commands. */
export const COMMANDS: readonly Command[] = [
	vectorsCommand,
	exploreCommand,
	inspectCommand,
	reportCommand,
];
