/** `agent COMMAND…`: the conformance suite for the other side of the JSON-lines backend (docs/backends.md). */
import { readFileSync } from "node:fs";
import { checkAgent } from "../orchestrator/backend/check.ts";
import { connectAgent, spawnAgent } from "../orchestrator/backend/lines.ts";
import { parseTopology } from "../drivers/topology-file.ts";
import { type Command, UsageError } from "./command.ts";

/** The command. */
export const agentCommand: Command = {
	name: "agent",
	words: "COMMAND…",
	summary:
		"Try an agent that executes calls for the library: does it do what docs/backends.md asks for?",
	teach: `
COMMAND is started anew for each check and spoken to on its standard input and output, one JSON object a line. With a topology file the checks
that need devices run too; they bind, attach and move the devices it names, so nobody else may use them. With --mdev the emulated device of that name is tried, too.

  iommu-ledger agent --mdev any -- node docs/agent.mjs
  iommu-ledger agent --topology machine.yaml -- ./my-agent --real
  iommu-ledger agent --socket /run/agent.sock`,
	options: {
		topology: {
			value: "FILE",
			help: "the devices and groups before the agent",
		},
		mdev: {
			value: "NAME",
			help: "the bus name of an emulated device before the agent",
		},
		socket: { value: "PATH", help: "connect to an agent that listens here" },
		timeout: {
			value: "MS",
			help: "how long one answer may take (default 5000)",
		},
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const [command, ...words] = args.words;
		const socket = args.text("socket");
		if ((command === undefined) === (socket === undefined))
			throw new UsageError("agent needs a COMMAND or --socket PATH");
		const timeoutMs = Number(args.text("timeout") ?? 5000);
		if (!(timeoutMs > 0))
			throw new UsageError("--timeout is a number of milliseconds");
		const file = args.text("topology");
		const mdev = args.text("mdev");
		const setting = {
			...(file === undefined ? {} : { topology: topologyIn(file) }),
			...(mdev === undefined ? {} : { mdev }),
		};
		const report = await checkAgent(
			() =>
				socket === undefined
					? spawnAgent(command!, words, { timeoutMs })
					: connectAgent(socket, { timeoutMs }),
			setting,
		);
		if (args.flag("json")) io.out.write(`${JSON.stringify(report)}\n`);
		else {
			for (const { name, outcome, rule, why } of report.checks)
				io.out.write(
					`${outcome.padEnd(8)} ${name}${why === undefined ? "" : `: ${why}`}${outcome === "failed" ? `\n         ${rule}` : ""}\n`,
				);
			io.out.write(
				`${report.agent || "the agent"}: ${report.failed === 0 ? "no check failed" : `${report.failed} of ${report.checks.length} checks failed`}\n`,
			);
		}
		return report.failed === 0 ? 0 : 1;
	},
};

function topologyIn(file: string) {
	return parseTopology(readFileSync(file, "utf8"));
}
