/** A nats-server with JetStream on a free port of this machine, where it is installed (Debian: nats-server). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether tests that need it can run. */
export const natsInstalled =
	spawnSync("nats-server", ["--version"]).status === 0;
/** What such a group of tests is called where it is skipped. */
export const natsTitle = (name: string): string =>
	natsInstalled ? name : `${name} (nats-server is not installed: skipped)`;

const freePort = (): Promise<number> =>
	new Promise((resolve) => {
		const probe = createServer().listen(0, "127.0.0.1", () => {
			const found = probe.address();
			probe.close(() =>
				resolve(typeof found === "object" && found !== null ? found.port : 0),
			);
		});
	});

/** A server that can be stopped and started again with what it has stored. */
export class NatsServer {
	readonly #folder = mkdtempSync(join(tmpdir(), "ledger-nats-"));
	readonly #settings: string;
	#child: ChildProcess | undefined;
	#port = 0;

	/** `settings`: further lines of its configuration. */
	constructor(settings = "") {
		this.#settings = settings;
	}
	get address(): string {
		return `127.0.0.1:${this.#port}`;
	}

	/** Starts it, on the port it had before, and waits until it is ready. */
	async start(): Promise<void> {
		if (this.#port === 0) this.#port = await freePort();
		const config = join(this.#folder, "nats.conf");
		writeFileSync(
			config,
			`listen: "${this.address}"\n${this.#settings}\njetstream { store_dir: "${this.#folder}" }\n`,
		);
		const child = spawn("nats-server", ["-c", config], {
			stdio: ["ignore", "ignore", "pipe"],
		});
		this.#child = child;
		await new Promise<void>((resolve, reject) => {
			let said = "";
			child.stderr.on("data", (text: Buffer) => {
				said += text.toString();
				if (said.includes("Server is ready")) resolve();
			});
			child.once("exit", () => reject(new Error(`nats-server: ${said}`)));
		});
	}
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		const child = this.#child;
		if (child === undefined) return;
		const ended = new Promise((resolve) => child.once("exit", resolve));
		child.kill(signal);
		await ended;
	}
	/** Stops it for good. */
	async remove(): Promise<void> {
		await this.stop();
		rmSync(this.#folder, { recursive: true });
	}
}
