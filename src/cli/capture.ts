/** `capture`: the probe set-up for a real host, and recording. */
import {
	applyCapture,
	planCapture,
	plainPlan,
	removeCapture,
	setupScript,
} from "../traces/capture.ts";
import type { Command } from "./command.ts";
import { printable } from "./io.ts";

/** The command. */
export const captureCommand: Command = {
	name: "capture",
	words: "",
	summary:
		"Set up exactly the events and probes that a verdict needs on a real host.",
	teach: `
Without options it looks at the running kernel and prints a shell script that sets up what that kernel offers, and says what it lacks. With
--apply (root, Linux) it sets up the same itself; --remove takes its events back and touches no others (the buffers keep size and clock).
The end of the script says how to record what belongs beside a trace: groups, command line, probes.

  iommu-ledger capture --print > setup.sh               for another host: all probes
  sudo iommu-ledger capture --apply && sudo iommu-ledger tail`,
	options: {
		print: { help: "print the script for a host of which nothing is known" },
		apply: { help: "set up the events on this host (root)" },
		remove: { help: "remove what --apply set up (root)" },
	},
	async run(args, io) {
		if (args.flag("remove")) {
			io.out.write(`removed ${await removeCapture()} events\n`);
			return 0;
		}
		if (!args.flag("apply")) {
			io.out.write(
				setupScript(args.flag("print") ? plainPlan() : await planCapture()),
			);
			return 0;
		}
		const plan = await planCapture();
		const { applied, refused } = await applyCapture(plan);
		io.out.write(`set up ${applied.length} probes; recording is on\n`);
		for (const { probe, why } of [...plan.missing, ...refused])
			io.out.write(printable(`  not available: ${probe.event}: ${why}`) + "\n");
		for (const warning of plan.warnings)
			io.out.write(printable(`  warning: ${warning}`) + "\n");
		return 0;
	},
};
