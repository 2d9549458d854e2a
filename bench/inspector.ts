/**
 * The inspector's figures on a log of a million records, measured in headless Chromium: how long until it is open, how long a
 * cursor move takes to be painted, how much memory the page holds. Run: npx tsx bench/inspector.ts [RECORDS]
 */
import {
	createWriteStream,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
} from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import type { Page } from "playwright-core";
import { VIEWS } from "../src/inspector/page/views.ts";
import { startInspector } from "../src/inspector/server.ts";
import { browserMissing, startBrowser } from "../test/inspector/browser.ts";
import { buildPage } from "../test/inspector/build-page.ts";
import { generateLog, randomOf } from "../test/inspector/generate.ts";

/** Cursor moves per view. */
const MOVES = 40;
const MIB = 2 ** 20;

async function writeLog(path: string, records: number): Promise<void> {
	const out = createWriteStream(path);
	for (const piece of generateLog({ records, groups: 16 }))
		if (!out.write(piece)) await once(out, "drain");
	out.end();
	await finished(out);
}

/** Moves the cursor by its address and waits until the page says that all of it is painted. */
function moveAndPaint(page: Page, seq: number): Promise<number> {
	return page.evaluate(
		(wanted) =>
			new Promise<number>((done) => {
				const start = performance.now();
				location.hash = `seq=${wanted}`;
				const look = (): void => {
					const isPainted =
						document.body.dataset["painted"] === String(wanted - 1);
					if (isPainted) done(performance.now() - start);
					else requestAnimationFrame(look);
				};
				look();
			}),
		seq,
	);
}

/** The yardstick: how long two frames take in which nothing is done. Cursor moves cannot be faster, and a busy machine shows here, too. */
async function emptyFrames(page: Page): Promise<number[]> {
	const times: number[] = [];
	for (let i = 0; i < MOVES; i++)
		times.push(
			await page.evaluate(
				() =>
					new Promise<number>((done) => {
						const start = performance.now();
						requestAnimationFrame(() =>
							requestAnimationFrame(() => done(performance.now() - start)),
						);
					}),
			),
		);
	return times;
}

/** The same random moves in every view. */
async function paintsByView(
	page: Page,
	records: number,
): Promise<[string, number[]][]> {
	const paints: [string, number[]][] = [];
	for (const [id, name] of VIEWS) {
		await page.getByRole("tab", { name }).click();
		const random = randomOf(5);
		const times: number[] = [];
		for (let move = 0; move < MOVES; move++)
			times.push(await moveAndPaint(page, 1 + random(records)));
		paints.push([id, times]);
	}
	return paints;
}

const median = (values: readonly number[]): number =>
	values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;

/** What the page's process holds, its worker in, after garbage was collected in both. */
async function memoryBytes(page: Page): Promise<number> {
	const browser = page.context().browser();
	const session = await browser?.newBrowserCDPSession();
	if (session === undefined) return 0;
	const { processInfo } = (await session.send("SystemInfo.getProcessInfo")) as {
		processInfo: { type: string; id: number }[];
	};
	const own = await page.context().newCDPSession(page);
	await own.send("HeapProfiler.collectGarbage");
	for (const worker of page.workers())
		await worker.evaluate(() => (globalThis as { gc?: () => void }).gc?.());
	await page.waitForTimeout(1500);
	const sizes = processInfo
		.filter(({ type }) => type === "renderer")
		.map(({ id }) => residentBytes(id));
	return Math.max(...sizes);
}

/** Private memory, as Chromium's task manager counts it: resident pages that belong to no file. */
function residentBytes(pid: number): number {
	const text = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(/RssAnon:\s+(\d+) kB/.exec(text)?.[1] ?? 0) * 1024;
}

async function run(records: number): Promise<void> {
	if (browserMissing !== undefined) {
		console.log(`inspector: skipped, ${browserMissing}`);
		return;
	}
	await buildPage();
	const folder = mkdtempSync(join(tmpdir(), "inspector-bench-"));
	const path = join(folder, "large.ndjson");
	await writeLog(path, records);
	const inspector = await startInspector({ logs: [path] });
	const browser = await startBrowser();
	try {
		const page = await browser.newPage({
			viewport: { width: 1280, height: 800 },
		});
		// tsx marks functions with a helper that the page does not have.
		await page.addInitScript("globalThis.__name = (f) => f");
		const start = performance.now();
		await page.goto(inspector.url);
		await page.waitForFunction(
			() => document.body.dataset["opened"] === "yes",
			undefined,
			{ polling: "raf", timeout: 120_000 },
		);
		const open = performance.now() - start;
		await page.waitForFunction(
			() => document.body.dataset["folded"] === "all",
			undefined,
			{ polling: 50, timeout: 300_000 },
		);
		const folded = performance.now() - start;
		const frames = await emptyFrames(page);
		const paints = await paintsByView(page, records);
		const memory = await memoryBytes(page);
		console.log(
			`inspector: ${records} records, ${(statSync(path).size / MIB).toFixed(0)} MiB`,
		);
		console.log(
			`  open: records and timeline painted       ${open.toFixed(0)} ms`,
		);
		console.log(
			`  folded and judged to the end             ${folded.toFixed(0)} ms`,
		);
		console.log(
			`  two empty frames of the same page: median ${median(frames).toFixed(1)} ms, least ${Math.min(...frames).toFixed(1)} ms`,
		);
		for (const [view, times] of paints)
			console.log(
				`  cursor move anywhere, painted: median     ${median(times).toFixed(1)} ms, least ${Math.min(...times).toFixed(1)} ms, most ${Math.max(...times).toFixed(1)} ms (${view}, ${MOVES} moves)`,
			);
		console.log(
			`  memory of the page's process, workers in  ${(memory / 1e6).toFixed(0)} MB`,
		);
	} finally {
		await browser.close();
		await inspector.close();
		rmSync(folder, { recursive: true });
	}
}

await run(Number(process.argv[2] ?? 1_000_000));
