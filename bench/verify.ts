/**
 * Verify against its yardsticks, in one process: a native log of a million records (decode, seal check, fold, judge) beside JSON.parse
 * of the same lines, and a real kernel trace (import, fold, judge) beside only splitting its lines.
 *
 *     npm run bench -- verify
 *
 * Rounds are interleaved; the minimum and the median of each are printed, and their ratio. `--redecide` is another matter and not here.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { scanLog } from "../src/log/read.ts";
import { sealFacts, sealHeader, type TimedFact } from "../src/log/write.ts";
import { redecide } from "../src/orchestrator/redecide.ts";
import { createIommuSystem } from "../src/orchestrator/create.ts";
import { createVerifier } from "../src/replay/verify.ts";
import { importRecording } from "../src/traces/import.ts";
import { runScenarioNamed } from "../src/scenarios/runs.ts";
import type { CtxId, DeviceId } from "../src/vocabulary/ids.ts";
import type { LogHeader } from "../src/vocabulary/header.ts";
import type { LogRecord } from "../src/vocabulary/records.ts";

const RECORDS = 1_000_000;
/** Records per sealed batch, as a busy file store with group commit writes them. */
const BATCH = 500;
const ROUNDS = 5;
/** Records whose commands are decided again. */
const REDECIDED = 100_000;

/** A storm like f_storm: areas of 1 to 4 pages are mapped and unmapped at random places, now and then the group is replaced. */
function storm(): {
	readonly header: LogHeader;
	readonly records: LogRecord[];
} {
	const { topology } = runScenarioNamed("replace-1");
	const system = createIommuSystem({ topology, engine: "compiled" });
	const ctx: CtxId = system.open();
	const devices = topology.groups[0]?.members.map(
		(member) => member.dev,
	) as DeviceId[];
	for (const dev of devices) system.bind({ ctx, dev });
	const ioas = system.ioasAlloc({ ctx });
	const hwpts = [0, 1].map(() =>
		system.hwptAlloc({ ctx, dev: devices[0] as DeviceId, pt: ioas }),
	);
	for (const dev of devices)
		system.attach({ ctx, dev, pt: hwpts[0] as number });
	const live = new Map<number, number>();
	let seed = 1;
	const random = (below: number): number => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
		return seed % below;
	};
	for (let i = 0; system.records.length < RECORDS; i++) {
		const slot = random(4096);
		const iova = `0x${(0x1000_0000 + slot * 0x4000).toString(16)}`;
		const pages = live.get(slot);
		if (pages === undefined) {
			const n = 1 + random(4);
			system.map({
				ctx,
				ioas,
				iova,
				length: `0x${(n * 4096).toString(16)}`,
				va: "0x7f0000000000",
				prot: 3,
			});
			live.set(slot, n);
		} else {
			system.unmap({
				ctx,
				ioas,
				iova,
				length: `0x${(pages * 4096).toString(16)}`,
			});
			live.delete(slot);
		}
		if (i % 1000 === 999)
			system.replace({
				ctx,
				dev: devices[0] as DeviceId,
				pt: hwpts[(i / 1000) & 1] as number,
			});
	}
	return { header: system.header, records: [...system.records] };
}

function logBytes(header: LogHeader, records: readonly LogRecord[]): Buffer {
	let sealed = sealHeader(header);
	const parts = [sealed.bytes];
	for (let i = 0; i < records.length; i += BATCH) {
		sealed = sealFacts(
			sealed.chain,
			records.slice(i, i + BATCH) as TimedFact[],
		);
		parts.push(sealed.bytes);
	}
	return Buffer.concat(parts);
}

async function timed(work: () => unknown): Promise<number> {
	const start = performance.now();
	await work();
	return performance.now() - start;
}

const median = (values: readonly number[]): number =>
	values.toSorted((a, b) => a - b)[values.length >> 1] as number;

/** Runs the contestants in turns and prints a line for each; returns their minima. */
async function race(
	units: number,
	unit: string,
	contestants: readonly (readonly [string, () => unknown])[],
): Promise<number[]> {
	const times: number[][] = contestants.map(() => []);
	for (let round = 0; round <= ROUNDS; round++)
		for (const [i, [, work]] of contestants.entries()) {
			const ms = await timed(work);
			// The first round warms up.
			if (round > 0) times[i]?.push(ms);
		}
	contestants.forEach(([name], i) => {
		const all = times[i] as number[];
		const best = Math.min(...all);
		console.log(
			`${name.padEnd(44)} min ${best.toFixed(0).padStart(6)} ms   median ${median(all).toFixed(0).padStart(6)} ms   ${Math.round(units / best)}k ${unit}/s`,
		);
	});
	return times.map((all) => Math.min(...all));
}

let sink = 0;

async function native(): Promise<void> {
	console.error("making the log ...");
	const { header, records } = storm();
	const bytes = logBytes(header, records);
	const lines = bytes
		.toString("latin1")
		.split("\n")
		.filter((line) => line !== "");
	console.log(
		`native log: ${records.length} records, ${lines.length} lines, ${(bytes.length / 1e6).toFixed(0)} MB`,
	);
	const [file, json, verify, scan] = await race(records.length, "records", [
		[
			"JSON.parse of the file: bytes, text, lines",
			() => {
				for (const line of bytes.toString("utf8").split("\n"))
					if (line !== "") sink += JSON.parse(line).seq ?? 0;
			},
		],
		[
			"JSON.parse of lines that are at hand",
			() => {
				for (const line of lines) sink += JSON.parse(line).seq ?? 0;
			},
		],
		[
			"verify: decode + seals + fold + judge",
			async () => {
				let verifier: ReturnType<typeof createVerifier> | undefined;
				await scanLog([bytes], {
					header: (found) => {
						verifier = createVerifier(found);
					},
					record: (record) => verifier?.next(record),
				});
				const report = verifier?.finish();
				if (report?.verdict !== "holds" || report.records !== records.length)
					throw new Error(
						`expected a log that holds, found ${report?.verdict}: ${report?.violations[0]?.message ?? report?.unexplained[0]?.missing}`,
					);
				sink += report.records;
			},
		],
		[
			"of that, decode + seals only",
			() =>
				scanLog([bytes], {
					record: (record) => {
						sink += record.seq;
					},
				}),
		],
	]);
	const ratio = (yardstick: number | undefined): string =>
		((verify as number) / (yardstick as number)).toFixed(2);
	console.log(
		`verify / JSON.parse = ${ratio(file)} of the file, ${ratio(json)} of lines at hand   (fold + judge ${((((verify as number) - (scan as number)) * 1000) / records.length).toFixed(3)} us a record)`,
	);
	decideAgain(header, records);
}

/** Deciding again runs every command through the machines: another matter than folding, so a line of its own. */
function decideAgain(header: LogHeader, records: readonly LogRecord[]): void {
	const start = performance.now();
	const again = redecide(header, records.slice(0, REDECIDED));
	const ms = performance.now() - start;
	console.log(
		`--redecide of the first ${REDECIDED} records: ${ms.toFixed(0)} ms, ${Math.round(again.length / ms)}k records/s`,
	);
}

async function trace(): Promise<void> {
	const folder = join(import.meta.dirname, "..", "logs", "kernel", "h_race.M8");
	const big = process.argv[2] ?? folder;
	const name = ["trace.txt.gz", "trace.txt"]
		.map((file) => join(big, file))
		.find((file) => {
			try {
				return readFileSync(file).length > 0;
			} catch {
				return false;
			}
		}) as string;
	const raw = readFileSync(name);
	const text = (name.endsWith(".gz") ? gunzipSync(raw) : raw).toString(
		"latin1",
	);
	const lines = text.split("\n").length;
	console.log(`\nreal trace: ${lines} lines (${big.split("/").at(-1)}, alone)`);
	const [split, verify] = await race(lines, "lines", [
		[
			"splitting lines",
			() => {
				for (const line of text.split("\n")) sink += line.length;
			},
		],
		[
			"verify: import + fold + judge",
			async () => {
				const recording = await importRecording(name, { alone: true });
				const verifier = createVerifier(recording.header);
				await recording.run((record) => verifier.next(record));
				sink += verifier.finish().records;
			},
		],
	]);
	console.log(
		`verify / splitting = ${((verify as number) / (split as number)).toFixed(1)}`,
	);
}

await native();
await trace();
if (sink === -1) console.log("never");
