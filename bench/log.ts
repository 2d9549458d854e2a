/**
 * The log's figures, each beside a yardstick in the same run, interleaved: scanning NDJSON beside JSON.parse of the same lines; durable
 * appends beside bare write + fdatasync of the same bytes; folding the binary codec beside NDJSON; opening with and without snapshot.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { BINARY } from "../src/log/binary.ts";
import { type LogCodec, NDJSON } from "../src/log/codec.ts";
import { openFileStore } from "../src/log/file-store.ts";
import { nodeIo } from "../src/log/io.ts";
import type { Chain } from "../src/log/seal.ts";
import type { TimedFact } from "../src/log/write.ts";
import type { LogHeader } from "../src/vocabulary/header.ts";
import {
	figuresOf,
	folder,
	heading,
	interleaved,
	operations,
	perSecond,
	row,
	trivialFold,
} from "./log/common.ts";
import { natsBench } from "./log/nats.ts";
import { recoveryBench } from "./log/recovery.ts";

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
		"records/s (fastest)",
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
			perSecond(records, min),
			(median / yardstick).toFixed(2),
		);
}

/** Bare write + fdatasync of the same chunks, one after the other, by the same calls as the store's. */
async function bare(path: string, chunks: readonly Buffer[]): Promise<number> {
	const file = await nodeIo.open(path, "create");
	const start = performance.now();
	let position = 0;
	for (const chunk of chunks) {
		await file.write(chunk, position);
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
		"of bare (medians)",
		"of bare (fastest rounds)",
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
			(figuresOf(theirs).min / figuresOf(ours).min).toFixed(2),
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

try {
	const { header, batches } = operations();
	scanBench(header, batches);
	await durableBench(header, batches);
	await recoveryBench(header, batches);
	await natsBench(header, batches);
} finally {
	rmSync(folder, { recursive: true });
}
