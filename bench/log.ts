/**
 * The log's figures, each beside a yardstick in the same run, interleaved: scanning NDJSON beside JSON.parse of the same lines; durable
 * appends beside bare write + fdatasync of the same bytes; folding the binary codec beside NDJSON; opening with and without snapshot.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../src/log/binary.ts";
import { type LogCodec, NDJSON } from "../src/log/codec.ts";
import { openFileStore } from "../src/log/file-store.ts";
import { openNatsStore } from "../src/log/nats-store.ts";
import { createStream } from "../src/log/nats-stream.ts";
import { scanLog } from "../src/log/read.ts";
import { copyRecord, LineDecoder } from "../src/log/scan-line.ts";
import type { Chain } from "../src/log/seal.ts";
import { logHas, snapshotStore } from "../src/log/snapshots.ts";
import type { LogStore } from "../src/log/store.ts";
import type { TimedFact } from "../src/log/write.ts";
import type { LogHeader } from "../src/vocabulary/header.ts";
import type { LogRecord } from "../src/vocabulary/records.ts";
import { generateLog } from "../test/inspector/generate.ts";

const RECORDS = Number(process.env["BENCH_RECORDS"] ?? 1_000_000);
const ROUNDS = 5;
const folder = mkdtempSync(
	join(process.env["BENCH_DIR"] ?? tmpdir(), "ledger-bench-"),
);

interface Figures {
	readonly min: number;
	readonly median: number;
}
function figuresOf(times: readonly number[]): Figures {
	const sorted = [...times].sort((a, b) => a - b);
	return { min: sorted[0] ?? 0, median: sorted[sorted.length >> 1] ?? 0 };
}
/** Runs the candidates in turn, ROUNDS times after one warm-up; milliseconds each. */
function interleaved(candidates: readonly (() => unknown)[]): Figures[] {
	const times: number[][] = candidates.map(() => []);
	for (let round = 0; round <= ROUNDS; round++)
		for (const [i, run] of candidates.entries()) {
			globalThis.gc?.();
			const start = performance.now();
			run();
			if (round > 0) times[i]?.push(performance.now() - start);
		}
	return times.map(figuresOf);
}
const perSecond = (count: number, ms: number): string =>
	`${(count / ms / 1000).toFixed(2)} M/s`;
const row = (...cells: (string | number)[]): void =>
	console.log(`| ${cells.join(" | ")} |`);
const heading = (title: string, ...cells: string[]): void => {
	console.log(`\n### ${title}\n`);
	row(...cells);
	row(...cells.map(() => "---"));
};

/** The generator's records as facts, one operation a batch. */
function operations(): { header: LogHeader; batches: TimedFact[][] } {
	const lines = [...generateLog({ records: RECORDS })]
		.join("")
		.trimEnd()
		.split("\n");
	const header = JSON.parse(lines[0] ?? "") as LogHeader;
	const batches: TimedFact[][] = [];
	const text = `${lines.slice(1).join("\n")}\n`;
	// Not sealed yet, so read with the line decoder of the codec under test.
	for (const record of recordsOf(Buffer.from(text))) {
		if (record.type === "op.begin" || batches.length === 0) batches.push([]);
		batches.at(-1)?.push(record as TimedFact);
	}
	return { header, batches };
}
function* recordsOf(bytes: Buffer): Generator<LogRecord> {
	const decoder = new LineDecoder();
	decoder.use(bytes, bytes.length);
	for (let at = 0; at < bytes.length; at = decoder.position) {
		const record = decoder.decode(at);
		if (record === undefined) throw new Error(`line at ${at} is not canonical`);
		yield copyRecord(record);
	}
}

/** A fold that touches every record: records by type, and bytes mapped. */
function trivialFold(): { record(record: LogRecord): void; result(): number } {
	const counts = new Map<string, number>();
	let mapped = 0;
	return {
		record(record) {
			counts.set(record.type, (counts.get(record.type) ?? 0) + 1);
			if (record.type === "dom.map") mapped += Number(record.data.len);
		},
		result: () => mapped + counts.size,
	};
}

/** Batches of `size` operations' worth of facts become one each. */
function grouped(batches: readonly TimedFact[][], size: number): TimedFact[][] {
	const out: TimedFact[][] = [];
	for (let i = 0; i < batches.length; i += size)
		out.push(batches.slice(i, i + size).flat());
	return out;
}
function encoded(
	codec: LogCodec,
	header: LogHeader,
	batches: readonly TimedFact[][],
): Buffer {
	const start = codec.start(header);
	const parts = [start.bytes];
	let { chain } = start;
	for (const facts of batches) {
		const sealed = codec.seal(chain, facts);
		parts.push(sealed.bytes);
		chain = sealed.chain;
	}
	return Buffer.concat(parts);
}
function scanned(codec: LogCodec, bytes: Buffer): number {
	const fold = trivialFold();
	const scanner = codec.scanner(fold);
	scanner.push(bytes);
	scanner.end();
	return fold.result();
}
function jsonParsed(bytes: Buffer): number {
	let sum = 0;
	for (let at = 0; ; ) {
		const end = bytes.indexOf(10, at);
		if (end < 0) return sum;
		sum +=
			(JSON.parse(bytes.toString("latin1", at, end)) as { seq?: number }).seq ??
			0;
		at = end + 1;
	}
}

function scanBench(header: LogHeader, batches: TimedFact[][]): void {
	const records = batches.flat().length;
	const perBatch = (records / batches.length).toFixed(1);
	const ndjson = encoded(NDJSON, header, batches);
	const binary = encoded(BINARY, header, batches);
	const binaryLarge = encoded(BINARY, header, grouped(batches, 100));
	heading(
		`Scan, prove and fold ${records} records (${perBatch} a batch)`,
		"what",
		"MB",
		"min ms",
		"median ms",
		"records/s (median)",
		"of JSON.parse",
	);
	const names = [
		"JSON.parse of each line only (yardstick)",
		"NDJSON",
		"binary",
		"binary, 100 operations a batch",
	];
	const sizes = [ndjson, ndjson, binary, binaryLarge].map(({ length }) =>
		(length / 1e6).toFixed(1),
	);
	const figures = interleaved([
		() => jsonParsed(ndjson),
		() => scanned(NDJSON, ndjson),
		() => scanned(BINARY, binary),
		() => scanned(BINARY, binaryLarge),
	]);
	const yardstick = figures[0]?.median ?? 0;
	for (const [i, { min, median }] of figures.entries())
		row(
			names[i] ?? "",
			sizes[i] ?? "",
			min.toFixed(0),
			median.toFixed(0),
			perSecond(records, median),
			(median / yardstick).toFixed(2),
		);
}

/** Bare write + fdatasync of the same chunks, one after the other. */
async function bare(path: string, chunks: readonly Buffer[]): Promise<number> {
	const file = await open(path, "w");
	const start = performance.now();
	let position = 0;
	for (const chunk of chunks) {
		await file.write(chunk, 0, chunk.length, position);
		await file.datasync();
		position += chunk.length;
	}
	const ms = performance.now() - start;
	await file.close();
	return ms;
}

/** `ahead`: appends that are made before the first of them is answered. 1: each waits for its answer. */
async function appended(
	path: string,
	header: LogHeader,
	batches: readonly TimedFact[][],
	ahead: number,
): Promise<number> {
	const store = await openFileStore(path, { header });
	const start = performance.now();
	const waiting: Promise<unknown>[] = [];
	for (const facts of batches) {
		waiting.push(store.append(facts));
		if (waiting.length >= ahead) await waiting.shift();
	}
	await Promise.all(waiting);
	const ms = performance.now() - start;
	await store.close();
	return ms;
}

/** Many callers at once: what group commit is for. */
async function appendedTogether(
	path: string,
	header: LogHeader,
	batches: readonly TimedFact[][],
	callers: number,
): Promise<number> {
	const store = await openFileStore(path, { header });
	const start = performance.now();
	for (let i = 0; i < batches.length; i += callers)
		await Promise.all(
			batches.slice(i, i + callers).map((facts) => store.append(facts)),
		);
	const ms = performance.now() - start;
	await store.close();
	return ms;
}

async function durableBench(
	header: LogHeader,
	batches: TimedFact[][],
): Promise<void> {
	const facts = batches.flat();
	heading(
		"Durable appends (fsync always), one caller, beside bare write + fdatasync of the same bytes",
		"records a batch",
		"batches",
		"appends/s",
		"records/s",
		"MB/s",
		"bare appends/s",
		"of bare",
		"of bare, 4 appends ahead",
	);
	for (const [size, count] of [
		[1, 200],
		[10, 200],
		[100, 200],
		[1000, 60],
	] as const) {
		const some = Array.from({ length: count }, (_, i) =>
			facts.slice(i * size, (i + 1) * size),
		);
		const { bytes: start, chain } = NDJSON.start(header);
		const chunks: Buffer[] = [];
		let at: Chain = chain;
		for (const batch of some) {
			const sealed = NDJSON.seal(at, batch);
			chunks.push(sealed.bytes);
			at = sealed.chain;
		}
		const bytes = chunks.reduce(
			(sum, chunk) => sum + chunk.length,
			start.length,
		);
		const ours: number[] = [];
		const theirs: number[] = [];
		const piped: number[] = [];
		for (let round = 0; round < 7; round++) {
			theirs.push(await bare(join(folder, `bare-${size}-${round}`), chunks));
			ours.push(
				await appended(join(folder, `ours-${size}-${round}`), header, some, 1),
			);
			piped.push(
				await appended(join(folder, `piped-${size}-${round}`), header, some, 4),
			);
		}
		const [a, b] = [figuresOf(ours).median, figuresOf(theirs).median];
		row(
			size,
			count,
			((count / a) * 1000).toFixed(0),
			(((count * size) / a) * 1000).toFixed(0),
			(bytes / a / 1000).toFixed(1),
			((count / b) * 1000).toFixed(0),
			(b / a).toFixed(2),
			(b / figuresOf(piped).median).toFixed(2),
		);
	}
	const operations = batches.slice(0, 6400);
	heading(
		"Group commit: one operation an append, many callers at once",
		"callers",
		"appends/s",
		"records/s",
	);
	for (const callers of [1, 16, 64, 256]) {
		const some = operations.slice(0, callers === 1 ? 400 : operations.length);
		const ms = await appendedTogether(
			join(folder, `together-${callers}`),
			header,
			some,
			callers,
		);
		row(
			callers,
			((some.length / ms) * 1000).toFixed(0),
			((some.flat().length / ms) * 1000).toFixed(0),
		);
	}
}

/** Opening a long log for writing and folding it, with and without a snapshot at 99 %. */
async function recoveryBench(
	header: LogHeader,
	batches: TimedFact[][],
): Promise<void> {
	const path = join(folder, "recovery");
	const snapshots = snapshotStore(join(folder, "snapshots"));
	const options = { header, fsync: "never", segmentBytes: 16 << 20 } as const;
	const store = await openFileStore(path, options);
	const mark = Math.floor(batches.length * 0.99);
	for (const [i, facts] of batches.entries()) {
		const answer = store.append(facts);
		if (i % 1000 === 0) await answer;
		if (i !== mark) continue;
		const { head } = await answer;
		await snapshots.save(
			head,
			Buffer.from(JSON.stringify({ folded: head.seq })),
		);
	}
	const records = store.head.seq;
	await store.close();
	heading(
		`Recovery of ${records} records in segments of 16 MiB: open, then fold`,
		"how",
		"ms",
		"records folded",
	);
	for (const how of ["without snapshot", "with snapshot at 99 %"]) {
		const start = performance.now();
		const again = await openFileStore(path, options);
		const found =
			how === "without snapshot"
				? undefined
				: await snapshots.find((at) => logHas(again, at));
		const from = found?.state === "found" ? found.snapshot.at.seq + 1 : 1;
		const fold = trivialFold();
		let folded = 0;
		if (from === 1) folded = (await scanLog(path, fold)).records;
		else
			for await (const batch of again.read(from))
				for (const record of batch.records) {
					fold.record(record);
					folded++;
				}
		row(how, (performance.now() - start).toFixed(0), folded);
		await again.close();
	}
}

/** One nats-server on this machine: appends of one host, of many hosts at once, and reading back. */
async function natsBench(
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

try {
	const { header, batches } = operations();
	scanBench(header, batches);
	await durableBench(header, batches);
	await recoveryBench(header, batches);
	await natsBench(header, batches);
} finally {
	rmSync(folder, { recursive: true });
}
