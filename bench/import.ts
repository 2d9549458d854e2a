/**
 * Lines per second and peak memory of importing a trace, beside only splitting the same file into lines, and beside mawk extracting
 * three fields of it, all in one run, each in a process of its own, interleaved.
 *
 *     npm run bench -- import            a shipped recording repeated to 5 million lines
 *     tsx bench/import.ts FILE [LINES]   another trace, another length
 *
 * Takes the built program when there is one (dist/): running TypeScript through tsx costs twice the time.
 */
import { spawnSync } from "node:child_process";
import {
	appendFileSync,
	existsSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const ROOT = join(import.meta.dirname, "..");
const DEFAULT_TRACES = [
	"logs/kernel/f_storm2.M6/trace.txt.gz",
	"test/fixtures/traces/f_dma_driver_unbind.M6/trace.txt.gz",
];
const LINES = 5_000_000;
const ROUNDS = 3;
const built = join(ROOT, "dist/src/traces/import.js");
const CODE = existsSync(built) ? built : join(ROOT, "src/traces/import.ts");

/** What a child tells: seconds, peak memory in MB, and what it counted. */
interface Figure {
	readonly seconds: number;
	readonly peakMb: number;
	readonly counted: number;
}

const least = (values: readonly number[]): number => Math.min(...values);

const [mode, path = ""] = process.argv.slice(2);
if (mode === "--split" || mode === "--import") await child(mode, path);
else parent(mode, Number(path || LINES));

async function child(what: string, file: string): Promise<void> {
	const start = performance.now();
	const counted = what === "--split" ? await split(file) : await run(file);
	const figure: Figure = {
		seconds: (performance.now() - start) / 1000,
		peakMb: process.resourceUsage().maxRSS / 1024,
		counted,
	};
	console.log(JSON.stringify(figure));
}

async function split(file: string): Promise<number> {
	const folder = CODE.slice(0, CODE.lastIndexOf("/"));
	const suffix = CODE.endsWith(".js") ? "js" : "ts";
	const { fileSource } = (await import(
		`${folder}/bytes.${suffix}`
	)) as typeof import("../src/traces/bytes.ts");
	const { LineSplitter } = (await import(
		`${folder}/lines.${suffix}`
	)) as typeof import("../src/traces/lines.ts");
	const splitter = new LineSplitter();
	let lines = 0;
	const take = (): void => {
		lines++;
	};
	for await (const chunk of fileSource(file).open()) splitter.feed(chunk, take);
	splitter.finish(take);
	return lines;
}

async function run(file: string): Promise<number> {
	const { importRecording } = (await import(
		CODE
	)) as typeof import("../src/traces/import.ts");
	const recording = await importRecording(file, {
		alone: true,
		format: "ftrace",
	});
	let used = 0;
	const report = await recording.run((record) => {
		used ^= record.seq;
	});
	if (used < 0) console.error("unreachable: keeps the records in use");
	return report.lines;
}

/** Repeats a trace to at least that many lines. */
function repeated(trace: string, lines: number, to: string): number {
	const bytes = readFileSync(trace);
	const plain = bytes[0] === 0x1f ? gunzipSync(bytes) : bytes;
	let own = 0;
	for (let at = plain.indexOf(10); at >= 0; at = plain.indexOf(10, at + 1))
		own++;
	writeFileSync(to, "");
	let total = 0;
	for (; total < lines; total += own) appendFileSync(to, plain);
	return total;
}

function measure(what: string, file: string): Figure {
	const self = ["--import", "tsx", import.meta.filename, what, file];
	const { stdout, stderr, status } = spawnSync(process.execPath, self, {
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(`${what} failed: ${stderr}`);
	return JSON.parse(stdout) as Figure;
}

function mawk(file: string): number | undefined {
	const start = performance.now();
	const { status, error } = spawnSync("mawk", ["{ print $1, $4, $5 }", file], {
		stdio: ["ignore", "ignore", "ignore"],
	});
	if (error !== undefined || status !== 0) return undefined;
	return (performance.now() - start) / 1000;
}

function parent(trace: string | undefined, wanted: number): void {
	const source =
		trace ?? DEFAULT_TRACES.map((name) => join(ROOT, name)).find(existsSync);
	if (source === undefined) throw new Error("no trace to repeat: name one");
	const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-bench-"));
	try {
		const file = join(folder, "trace.txt");
		const lines = repeated(source, wanted, file);
		const short = join(folder, "short.txt");
		const shortLines = repeated(source, wanted / 10, short);
		console.log(
			`${lines.toLocaleString("en-US")} lines, ${(statSync(file).size / 1e6).toFixed(0)} MB (${source.replace(`${ROOT}/`, "")} repeated), ${CODE.endsWith(".js") ? "built program" : "through tsx"}`,
		);
		const imports: Figure[] = [];
		const splits: Figure[] = [];
		const awks: number[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			splits.push(measure("--split", file));
			imports.push(measure("--import", file));
			const seconds = mawk(file);
			if (seconds !== undefined) awks.push(seconds);
		}
		const own = least(imports.map(({ seconds }) => seconds));
		const cut = least(splits.map(({ seconds }) => seconds));
		const peak = Math.max(...imports.map(({ peakMb }) => peakMb));
		const rate = (seconds: number): string =>
			`${(lines / seconds / 1e6).toFixed(2)} M lines/s`;
		console.log(`import            ${own.toFixed(2)} s  ${rate(own)}`);
		console.log(
			`split into lines  ${cut.toFixed(2)} s  ${rate(cut)}  import takes ${(own / cut).toFixed(1)} times as long`,
		);
		if (awks.length > 0)
			console.log(
				`mawk, 3 fields    ${least(awks).toFixed(2)} s  ${rate(least(awks))}  import takes ${(own / least(awks)).toFixed(1)} times as long`,
			);
		else console.log("mawk              not installed: no yardstick");
		const shortPeak = measure("--import", short).peakMb;
		console.log(
			`peak memory       ${peak.toFixed(0)} MB; at ${shortLines.toLocaleString("en-US")} lines ${shortPeak.toFixed(0)} MB`,
		);
	} finally {
		rmSync(folder, { recursive: true });
	}
}
