/** Every command of the program, in the order its help lists them. */
import type { Command } from "./command.ts";
import { agentCommand } from "./agent.ts";
import { exploreCommand } from "./explore.ts";
import { inspectCommand, reportCommand } from "./inspect.ts";
import { logCommand } from "./log.ts";
import { conformCommand } from "./conform.ts";
import { exportCommand } from "./export.ts";
import { runCommand } from "./run.ts";
import { bisectCommand, shrinkCommand } from "./shrink.ts";
import { statCommand } from "./stat.ts";
import { tailCommand } from "./tail.ts";
import { captureCommand } from "./capture.ts";
import { sweepCommand } from "./sweep.ts";
import { vectorsCommand } from "./vectors.ts";
import { verifyCommand } from "./verify.ts";
import { importCommand } from "./import.ts";

/** The commands. */
export const COMMANDS: readonly Command[] = [
	verifyCommand,
	runCommand,
	exploreCommand,
	sweepCommand,
	importCommand,
	statCommand,
	tailCommand,
	captureCommand,
	conformCommand,
	vectorsCommand,
	inspectCommand,
	reportCommand,
	exportCommand,
	bisectCommand,
	shrinkCommand,
	logCommand,
	agentCommand,
];
