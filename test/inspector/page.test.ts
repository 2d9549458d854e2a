/**
 * The page as a person uses it: in Chromium, by clicks and keys, on a recording of a real kernel (an unmap racing with an attach on
 * Linux 6.12, facts kernel-findings F2). Pictures go to artifacts/inspector.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeReport } from "../../src/inspector/report.ts";
import { type Inspector, startInspector } from "../../src/inspector/server.ts";
import {
	bytesSource,
	LiveLog,
	type LogSource,
} from "../../src/inspector/source.ts";
import {
	browserMissing,
	judged,
	openPage,
	picture,
	press,
	seqOf,
	settled,
	startBrowser,
	tab,
	viewText,
} from "./browser.ts";
import { buildPage } from "./build-page.ts";
import { generatedLog } from "./generate.ts";
import { scenarioOne } from "./scenario-log.ts";

const RECORDING = join(import.meta.dirname, "fixtures/f2_attach.ndjson.gz");

if (browserMissing !== undefined)
	console.warn(`page tests skipped: ${browserMissing}`);

describe.skipIf(browserMissing !== undefined)("the page", () => {
	let browser: Browser;
	const running: Inspector[] = [];

	beforeAll(async () => {
		await buildPage();
		browser = await startBrowser();
	});
	afterAll(async () => {
		await browser?.close();
		for (const inspector of running) await inspector.close();
	});

	async function open(
		logs: Parameters<typeof startInspector>[0]["logs"],
		hash = "",
		scheme: "light" | "dark" = "light",
	) {
		const inspector = await startInspector({ logs });
		running.push(inspector);
		return {
			inspector,
			...(await openPage(browser, inspector.url + hash, scheme)),
		};
	}
	it("lists the records, searches them and moves by clicks and keys", async () => {
		const { page, trouble } = await open([RECORDING]);
		await judged(page);
		expect(await page.locator("footer").innerText()).toMatch(
			/170 records.*17 operations.*import · fidelity L1 · kernel 6\.12/s,
		);
		expect(await seqOf(page)).toBe("170");
		await press(page, "Home");
		expect(await seqOf(page)).toBe("1");
		await press(page, "ArrowRight");
		expect(await seqOf(page)).toBe("2");
		await press(page, "]");
		expect(await seqOf(page)).toBe("49");
		expect(await page.locator(".row.is-here").innerText()).toMatch(
			/49\s*iotlb\.synced/,
		);
		await page.locator(".row", { hasText: "dom.unmap" }).first().click();
		await settled(page);
		expect(await seqOf(page)).toBe("48");
		expect(await page.locator(".detail").innerText()).toContain(
			"0x1000 = 4 KiB",
		);
		await press(page, "/");
		await page.keyboard.type("type:dom.* op:unmap");
		await page.waitForFunction(() =>
			/\d+ match/.test(document.querySelector(".found")?.textContent ?? ""),
		);
		expect(await page.locator(".found").innerText()).toBe("4 match");
		expect(await page.locator(".row .type").allInnerTexts()).toEqual([
			"dom.unmap",
			"dom.unmap",
			"dom.unmap",
			"dom.unmap",
		]);
		await picture(page, "records");
		expect(trouble.errors).toEqual([]);
		expect(
			trouble.requests.every(
				(url) => url.startsWith("http://127.0.0.1") || url.startsWith("blob:"),
			),
		).toBe(true);
	});

	it("shows who translates whom, at the record after the device's hardware moved", async () => {
		const { page } = await open([RECORDING], "#seq=60&view=topology");
		const text = await viewText(page);
		expect(text).toMatch(/group 3/);
		expect(text).toMatch(/0000:00:08\.0/);
		expect(text).toMatch(/domain 3 = hwpt 3/);
		const line = page.locator('[data-link^="hardware device:0000:00:08.0"]');
		expect(await line.getAttribute("data-link")).toMatch(/domain:[23]$/);
		await picture(page, "topology");
	});

	it("shows the stale window of the race as a bar, and the proof as a violation", async () => {
		const { page, trouble } = await open([RECORDING], "#seq=52&view=iotlb");
		await judged(page);
		await settled(page);
		expect(await viewText(page)).toContain(
			"1 range may still be translated by hardware",
		);
		expect(await page.locator(".window.claimed").count()).toBe(1);
		expect(await page.locator(".window.claimed title").textContent()).toMatch(
			/0x103d8000 \+4 KiB: cleared at seq 48.*told it was flushed while it was not/,
		);
		expect(await viewText(page)).toMatch(
			/0x103d8000\s+4 KiB\s+0x10307c000\s+seq 48\s+certain, ✕ called flushed at seq \d+/,
		);
		await picture(page, "iotlb");
		await tab(page, "Violations");
		const text = await viewText(page);
		expect(text).toContain("1 violation — 170 of 170 records judged");
		expect(text).toMatch(/PT-32/);
		expect(text).toContain(
			"When a strict unmap returns, everything cached for its range has been invalidated.",
		);
		expect(text).toMatch(/drivers\/iommu\/iommu\.c:iommu_unmap/);
		await picture(page, "violations");
		await page.locator(".leading .link", { hasText: "seq 48" }).click();
		await settled(page);
		expect(await seqOf(page)).toBe("48");
		expect(trouble.errors).toEqual([]);
	});

	it("draws the operation's statechart and its sequence", async () => {
		const { page } = await open(
			[bytesSource("run", Buffer.from(scenarioOne("group-owned")))],
			"#view=statechart",
		);
		await press(page, "Home");
		for (
			let i = 0;
			i < 40 && !/replace: Committed/.test(await viewText(page));
			i++
		)
			await press(page, i === 0 ? "End" : "ArrowLeft");
		expect(await viewText(page)).toMatch(/operation \d+: replace: Committed/);
		await press(page, "ArrowLeft");
		await press(page, "ArrowLeft");
		expect(
			await page.locator(".box.is-active").getAttribute("data-state"),
		).not.toBe("Committed");
		expect(await page.locator(".wire.is-last").count()).toBeGreaterThan(0);
		expect(
			await page
				.locator('[data-state="unwinding.DroppingReservations"]')
				.count(),
		).toBe(1);
		await picture(page, "statechart");
		await tab(page, "Sequence");
		expect(await viewText(page)).toMatch(/replace — committed, \d+ records/);
		await picture(page, "sequence");
	});

	it("compares two positions", async () => {
		const { page } = await open([
			bytesSource("run", Buffer.from(scenarioOne("posted-v2"))),
		]);
		await press(page, "Shift+O");
		await press(page, "m");
		await press(page, "End");
		await tab(page, "Diff");
		const text = await viewText(page);
		expect(text).toMatch(
			/device:0000:10:00\.1\s+hardware translates through\s+domain:4\s+→ domain:5/,
		);
		expect(text).toMatch(/hazard/);
		await picture(page, "diff");
	});

	it("shows two flows of one scenario side by side", async () => {
		const { page } = await open(
			[
				bytesSource("posted-v2", Buffer.from(scenarioOne("posted-v2"))),
				bytesSource("group-owned", Buffer.from(scenarioOne("group-owned"))),
			],
			"#view=topology",
		);
		const [naive, merged] = await page.locator(".log-view").allInnerTexts();
		expect(naive).toContain(
			"2 devices translate through another domain than the books say",
		);
		expect(merged).toContain("Books and hardware agree");
		await page.waitForSelector(".differs");
		expect(await page.locator(".differs").count()).toBeGreaterThan(0);
		await picture(page, "side-by-side");
	});

	it("follows a live log", async () => {
		const live = new LiveLog("live.ndjson");
		const lines = generatedLog({ records: 60 }).trimEnd().split("\n");
		for (const line of lines.slice(0, 31)) live.append(line);
		const { page } = await open([live]);
		await page.waitForFunction(() =>
			/30 records/.test(document.querySelector("footer")?.textContent ?? ""),
		);
		expect(await page.locator("footer").innerText()).toContain(
			"live: following",
		);
		for (const line of lines.slice(31)) live.append(line);
		await page.waitForFunction(() =>
			/60 records/.test(document.querySelector("footer")?.textContent ?? ""),
		);
		await settled(page);
		expect(await seqOf(page)).toBe("60");
		live.end();
		await page.waitForFunction(() =>
			/source has ended/.test(
				document.querySelector("footer")?.textContent ?? "",
			),
		);
	});

	it("goes on from where it was when the connection is lost", async () => {
		const text = new TextEncoder().encode(generatedLog({ records: 80 }));
		const half = Math.floor(text.length / 2);
		const asked: number[] = [];
		const source: LogSource = {
			name: "unsteady",
			live: true,
			sizeBytes: async () => undefined,
			async *read(from, signal) {
				asked.push(from);
				yield text.subarray(from, from === 0 ? half : undefined);
				if (from === 0) {
					await new Promise((done) => setTimeout(done, 200));
					throw new Error("cut");
				}
				await new Promise((done) => signal.addEventListener("abort", done));
			},
		};
		const { page } = await open([source]);
		await page.waitForFunction(() =>
			/80 records/.test(document.querySelector("footer")?.textContent ?? ""),
		);
		expect(asked[0]).toBe(0);
		expect(asked.at(-1)).toBe(half);
		expect(await page.locator("footer").innerText()).not.toContain("not read");
	});

	it("takes markup and scripts in names as text", async () => {
		const evil = `\u202egnp.exe\u202c<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
		const log = generatedLog({ records: 400, nameSuffix: evil });
		const { page, trouble } = await open(
			[bytesSource(evil, Buffer.from(log))],
			"#seq=60&view=topology",
		);
		await judged(page);
		for (const name of [
			"Topology",
			"Statechart",
			"Page table",
			"IOTLB",
			"Sequence",
			"Violations",
			"Diff",
		])
			await tab(page, name);
		await tab(page, "Topology");
		const topology = await viewText(page);
		expect(topology).toContain("\\u202egn…");
		expect(await page.locator(".row .actor").allInnerTexts()).toContainEqual(
			expect.stringContaining("<img src"),
		);
		const everything = await page.locator("body").innerText();
		expect(everything).not.toMatch(/[\u202a-\u202e]/);
		expect(await page.title()).toBe("iommu-ledger inspector");
		expect(await page.locator("img, #app script").count()).toBe(0);
		await picture(page, "hostile");
		expect(trouble.errors).toEqual([]);
	});

	it("opens a report from disk, dark, with no request at all", async () => {
		const folder = mkdtempSync(join(tmpdir(), "report-"));
		const path = join(folder, "page.html");
		await writeReport(RECORDING, path);
		const { page, trouble } = await openPage(
			browser,
			`${pathToFileURL(path)}#seq=49&view=violations`,
			"dark",
		);
		await judged(page);
		await settled(page);
		expect(await viewText(page)).toContain("PT-32");
		expect(
			trouble.requests.filter(
				(url) => !url.startsWith("file:") && !url.startsWith("blob:"),
			),
		).toEqual([]);
		expect(
			trouble.requests.filter((url) => url.startsWith("file:")),
		).toHaveLength(1);
		expect(trouble.errors).toEqual([]);
		await picture(page, "report-dark");
		rmSync(folder, { recursive: true });
	});

	it("names every control", async () => {
		const { page } = await open([RECORDING]);
		const nameless = await page.evaluate(
			() =>
				[...document.querySelectorAll("button, input, select")].filter(
					(e) =>
						!(
							e.getAttribute("aria-label") ||
							e.textContent?.trim() ||
							(e as HTMLInputElement).labels?.length ||
							e.getAttribute("title")
						),
				).length,
		);
		expect(nameless).toBe(0);
		await press(page, "?");
		expect(
			await page.getByRole("dialog", { name: "Keys" }).innerText(),
		).toContain("next violation");
		await press(page, "Escape");
		expect(await page.getByRole("dialog").count()).toBe(0);
	});

	it("does not move anything but the content while the cursor is scrubbed", async () => {
		const { page } = await open([RECORDING]);
		const boxes = () =>
			page.evaluate(() =>
				[
					".toolbar",
					".timeline",
					".tabs",
					"#view",
					".records",
					".detail",
					".facts",
					".position input",
					".jump",
				].map((s) => {
					const { x, y, width, height } = (
						document.querySelector(s) as HTMLElement
					).getBoundingClientRect();
					return [s, x, y, width, height].join(" ");
				}),
			);
		const before = await boxes();
		for (const key of [
			"Home",
			"PageDown",
			"ArrowRight",
			"o",
			"Shift+ArrowRight",
			"End",
		]) {
			await press(page, key);
			expect(await boxes()).toEqual(before);
		}
	});
});
