/** Figures of one JetStream server. */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { openNatsStore } from "../../src/log/nats-store.ts";
import { createStream } from "../../src/log/nats-stream.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { folder, heading, row } from "./common.ts";

/** One nats-server on this machine: appends of one host, of many hosts at once, and reading back. */
export async function natsBench(
	header: LogHeader,
	batches: TimedFact[][],
): Promise<void> {
	if (spawnSync("nats-server", ["--version"]).status !== 0) {
		console.log("\nJetStream: nats-server is not installed, skipped");
		return;
	}
	const port = 20_000 + (process.pid % 20_000);
	const servers = `127.0.0.1:${port}`;
	const server = spawn(
		"nats-server",
		["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", join(folder, "nats")],
		{ stdio: ["ignore", "ignore", "pipe"] },
	);
	await new Promise<void>((resolve) => {
		server.stderr.on("data", (text: Buffer) => {
			if (text.includes("Server is ready")) resolve();
		});
	});
	try {
		await createStream(servers, "BENCH", ["bench.>"]);
		heading(
			"JetStream, one server, one replica, file storage: one operation a message",
			"hosts",
			"appends/s",
			"records/s",
			"read back: records/s of one host",
		);
		for (const hosts of [1, 10, 50]) {
			const stores = await Promise.all(
				Array.from({ length: hosts }, (_, i) =>
					openNatsStore({
						servers,
						stream: "BENCH",
						subject: `bench.${hosts}-${i}`,
						header,
					}),
				),
			);
			const some = batches.slice(0, Math.floor(3000 / hosts));
			const start = performance.now();
			await Promise.all(
				stores.map(async (store) => {
					for (const facts of some) await store.append(facts);
				}),
			);
			const ms = performance.now() - start;
			const readStart = performance.now();
			let records = 0;
			for await (const batch of (stores[0] as LogStore).read(1))
				records += batch.records.length;
			const readMs = performance.now() - readStart;
			row(
				hosts,
				(((some.length * hosts) / ms) * 1000).toFixed(0),
				(((some.flat().length * hosts) / ms) * 1000).toFixed(0),
				((records / readMs) * 1000).toFixed(0),
			);
			await Promise.all(stores.map((store) => store.close()));
		}
	} finally {
		server.kill();
	}
}
