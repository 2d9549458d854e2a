/**
 * Every view on a shipped recording of a real kernel (logs/kernel), used by clicks and keys, and judged by what a person would read
 * there. Pictures go to artifacts/inspector.
 */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logSource } from "../../src/cli/log-source.ts";
import { type Inspector, startInspector } from "../../src/inspector/server.ts";
import {
	browserMissing,
	goTo,
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

const KERNEL = join(import.meta.dirname, "../../logs/kernel");
const SCENARIOS = join(import.meta.dirname, "../../logs/scenarios");
/** Three functions behind one bridge in one group: attached, replaced one by one, detached (Linux 6.12, emulated VT-d). */
const GROUP = join(KERNEL, "a_bridge_v1.M1");
/** An unmap that races with an attach. */
const RACE = join(KERNEL, "f2_attach_v1.B1");

describe.skipIf(browserMissing !== undefined)("on real recordings", () => {
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

	async function open(paths: readonly string[], hash: string) {
		const inspector = await startInspector({
			logs: await Promise.all(paths.map((path) => logSource(path))),
		});
		running.push(inspector);
		const opened = await openPage(browser, inspector.url + hash);
		await judged(opened.page);
		return opened;
	}

	it("timeline: a click moves the cursor, the wheel zooms, keys jump to operations, actors, failures; it plays", async () => {
		const { page, trouble } = await open([GROUP], "#seq=1&view=topology");
		const paper = page.locator(".timeline-paper");
		const box = (await paper.boundingBox()) as { width: number };
		await paper.click({ position: { x: box.width / 2, y: 12 } });
		await settled(page);
		expect(Number(await seqOf(page))).toBeGreaterThan(365);
		expect(Number(await seqOf(page))).toBeLessThan(385);
		const shown = () => page.locator("canvas").getAttribute("aria-label");
		expect(await shown()).toContain("Records 1 to 747 of 747");
		await paper.hover({ position: { x: box.width / 2, y: 12 } });
		for (let i = 0; i < 5; i++) await page.mouse.wheel(0, -100);
		await settled(page);
		const [, from, to] =
			/Records (\d+) to (\d+)/.exec((await shown()) ?? "") ?? [];
		expect(Number(to) - Number(from)).toBeLessThan(300);
		expect(Number(from)).toBeLessThan(374);
		expect(Number(to)).toBeGreaterThan(374);
		await page.getByRole("button", { name: "Show the whole log" }).click();
		await press(page, "Home");
		await press(page, "f");
		expect(await seqOf(page)).toBe("667");
		expect(await page.locator(".row.is-here").innerText()).toMatch(
			/op\.fail[\s\S]*ENOENT/,
		);
		await press(page, "Shift+O");
		expect(await seqOf(page)).toBe("665");
		await press(page, "o");
		expect(await seqOf(page)).toBe("668");
		await page.getByRole("button", { name: /^actor before/ }).click();
		await settled(page);
		const here = await page.locator(".row.is-here .actor").innerText();
		expect(here).toBe("ctx:1");
		await press(page, "Escape");
		await press(page, "Home");
		await press(page, " ");
		await page.waitForFunction(
			() =>
				Number(
					(document.querySelector(".position input") as HTMLInputElement).value,
				) > 3,
		);
		await press(page, " ");
		const stopped = await seqOf(page);
		await page.waitForTimeout(300);
		expect(await seqOf(page)).toBe(stopped);
		await picture(page, "real-timeline");
		expect(trouble.errors).toEqual([]);
	});

	it("topology: the group moves as one; a bridge that nobody attached translates all the same", async () => {
		const { page } = await open([GROUP], "#seq=240&view=topology");
		expect(await viewText(page)).toMatch(/Books and hardware agree/);
		const link = (device: string) =>
			page
				.locator(`[data-link^="hardware device:${device}"]`)
				.getAttribute("data-link");
		expect(await link("0000:02:03.0")).toContain("domain:3");
		await goTo(page, 310);
		expect(await viewText(page)).toMatch(
			/▲ \d devices translate through another domain than the books say/,
		);
		await picture(page, "real-topology-in-replace");
		await press(page, "o");
		expect(await seqOf(page)).toBe("342");
		const text = await viewText(page);
		expect(text).toMatch(/not attached, yet uses domain 4/);
		expect(text).toContain("owner ctx 1 ×3");
		for (const device of ["0000:01:00.0", "0000:02:01.0", "0000:02:02.0"])
			expect(await link(device)).toContain("domain:4");
		await page
			.getByRole("button", { name: /^0000:02:02\.0, attached/ })
			.click();
		expect(
			await page.locator(".part.is-selected").getAttribute("data-actor"),
		).toBe("device:0000:02:02.0");
		await picture(page, "real-topology");
	});

	it("topology of the race: the context entry is live, the books and the cache tag are not there yet", async () => {
		const { page } = await open([RACE], "#seq=48&view=topology");
		const text = await viewText(page);
		expect(text).toContain(
			"▲ 1 device translates through another domain than the books say",
		);
		expect(text).toContain("books domain 1 ≠ hardware domain 3");
		expect(text).toContain("entry live at seq 42, attach not done");
		expect(text).toContain("domain 3 has no cache tag: no flush");
		await picture(page, "real-topology-race");
	});

	it("statechart: replace of a real kernel, step by step, with its unwinding in the drawing; actors through their lives", async () => {
		const { page, trouble } = await open([GROUP], "#seq=240&view=statechart");
		const place = () => page.locator(".chart-line").innerText();
		expect(await place()).toContain("operation 240: replace: Locking");
		const steps: [number, string][] = [
			[241, "Reserving"],
			[269, "Switching"],
			[289, "Switching"],
			[330, "SettingHwpt"],
			[331, "CountingNew"],
			[334, "Reporting"],
			[335, "Committed"],
		];
		for (const [seq, state] of steps) {
			await goTo(page, seq);
			expect(await place()).toContain(`operation 240: replace: ${state} `);
			expect(await page.locator(".wire.is-last").count()).toBeGreaterThan(0);
		}
		expect(
			await page.locator(".box.is-active").getAttribute("data-state"),
		).toBe("Committed");
		const unwinding = page.locator('[data-state^="unwinding."]');
		expect(await unwinding.count()).toBe(4);
		await page.getByRole("button", { name: "Fit the width" }).click();
		await settled(page);
		const pane = await page.locator(".log-view").boundingBox();
		const drawing = await page.locator(".chart").boundingBox();
		expect(drawing?.width).toBeLessThanOrEqual(pane?.width ?? 0);
		expect(drawing?.width).toBeGreaterThan((pane?.width ?? 0) * 0.9);
		await picture(page, "real-statechart");
		const chooser = page.getByLabel("Statechart of");
		await chooser.selectOption("actor device:0000:02:01.0");
		await settled(page);
		expect(await place()).toContain("device:0000:02:01.0: Attached");
		await press(page, "Home");
		expect(await viewText(page)).toMatch(/no state yet|Unbound/);
		await press(page, "End");
		expect(await place()).toMatch(/device:0000:02:01\.0: (?:Unbound|Gone)/);
		await chooser.selectOption("machine replace");
		await settled(page);
		expect(await page.locator(".chart .box").count()).toBeGreaterThan(20);
		expect(trouble.errors).toEqual([]);
	});

	it("statechart and sequence while another call is at work: the attach that runs is shown, and what came between its steps", async () => {
		const { page } = await open([RACE], "#seq=48&view=statechart");
		expect(await page.locator(".chart-line").innerText()).toMatch(
			/operation 39: attach: Switching \(inferred; running here, the record is of another\)/,
		);
		await goTo(page, 52);
		await tab(page, "Sequence");
		const text = await viewText(page);
		expect(text).toContain("operation 39: attach — committed, 14 records");
		expect(text).toContain("⋮ 14 records of others — unmap (seq 46): 6");
		await picture(page, "real-sequence-race");
		await page.locator(".others").click();
		await settled(page);
		expect(await seqOf(page)).toBe("43");
	});

	it("sequence: who said what to whom in a replace; an arrow is a way to its record, by pointer and by key", async () => {
		const { page, trouble } = await open([GROUP], "#seq=240&view=sequence");
		const text = await viewText(page);
		expect(text).toMatch(/operation 240: replace — committed, \d+ records/);
		for (const name of ["task", "02:01.0", "ioas 5", "group 11", "hwpt 7"])
			expect(text).toContain(name);
		expect(text).toContain("inv.issued kind=");
		await page.getByRole("button", { name: /^seq 272: hw\.attach/ }).click();
		await settled(page);
		expect(await seqOf(page)).toBe("272");
		expect(await page.locator(".message.is-here").count()).toBe(1);
		await page.getByRole("button", { name: /^seq 289: hw\.attach/ }).focus();
		await press(page, "Enter");
		expect(await seqOf(page)).toBe("289");
		await picture(page, "real-sequence");
		expect(trouble.errors).toEqual([]);
	});

	it("diff: what one record changed, and what a replace changed between the mark and the cursor", async () => {
		const { page } = await open([GROUP], "#seq=269&view=diff");
		expect(await viewText(page)).toMatch(
			/changed by the record at the cursor, seq 269[\s\S]*device:0000:01:00\.0\s+hardware translates through\s+domain:3\s+→ domain:4/,
		);
		await press(page, "Shift+O");
		expect(await seqOf(page)).toBe("240");
		await press(page, "m");
		expect(await page.locator(".mark-line").count()).toBe(1);
		await press(page, "o");
		const text = await viewText(page);
		expect(text).toContain("from seq 240 (mark) to seq 342");
		for (const device of ["02:01.0", "02:02.0", "02:03.0"])
			expect(text).toMatch(
				new RegExp(
					`device:0000:${device}\\s+attached to \\(books\\)\\s+ctx:1/hwpt:6@1\\s+→ ctx:1/hwpt:7@1`,
				),
			);
		await picture(page, "real-diff");
		await page.getByRole("button", { name: "Go to the mark" }).click();
		await settled(page);
		expect(await seqOf(page)).toBe("240");
		await page.getByRole("button", { name: "Remove the mark" }).click();
		expect(await page.locator(".mark-line").count()).toBe(0);
	});

	it("page table: page sizes by shape, entries decoded, what was cleared and may be cached below the line", async () => {
		const { page } = await open(
			[join(KERNEL, "g_superpage.M1")],
			"#seq=49&view=pages",
		);
		expect(await viewText(page)).toMatch(
			/domain 3\s+vtd, 2\.0 MiB mapped, \d+ linked/,
		);
		const big = page.locator(".strip .run", { has: page.locator("path.bar") });
		expect(await big.locator("title").first().textContent()).toContain(
			"0x4b800000 … 0x4b9fffff → 0x105800000, 2 MiB in pages of 2 MiB",
		);
		const heightOf = async (part: string) =>
			Number(await page.locator(part).first().getAttribute("height"));
		const small = page.locator(".strip > svg .run:not(:has(path.bar)) rect");
		expect(Number(await small.first().getAttribute("height"))).toBeLessThan(
			await heightOf(".strip > svg .run:has(path.bar) rect"),
		);
		expect(await viewText(page)).toMatch(/page 0x105800000, 2 MiB, rw/);
		const range = () => page.locator(".strip-bar .mono").innerText();
		const whole = await range();
		await page
			.locator(".strip-bar")
			.getByRole("button", { name: "Zoom in" })
			.click();
		expect(await range()).not.toBe(whole);
		await picture(page, "real-page-table");
		const race = await open([RACE], "#seq=52&view=pages");
		expect(
			await race.page.locator(".strip > svg .ghost title").textContent(),
		).toContain("0x103d8000 +4 KiB: cleared at seq 48");
		await race.page
			.getByLabel("Domain", { exact: true })
			.selectOption("domain:3");
		await settled(race.page);
		expect(await viewText(race.page)).toMatch(/page 0x1030b4000, 4 KiB, rw/);
		await race.page.locator(".table-head", { hasText: "table 5" }).click();
		expect(await viewText(race.page)).not.toMatch(/page 0x1030b4000/);
		await picture(race.page, "real-page-table-race");
	});

	it("violations: the failed replace inside one IOAS, with reason, source and the records that led there", async () => {
		const { page } = await open(
			[join(KERNEL, "f1_same_single_v1.A1")],
			"#seq=1&view=violations",
		);
		const text = await viewText(page);
		expect(text).toMatch(/✕ \d+ violations — 926 of 926 records judged/);
		expect(text).toContain("RSV-5");
		expect(text).toContain("RSV-2");
		expect(text).toMatch(/Source: .*device\.c:/);
		await press(page, "]");
		const first = Number(await seqOf(page));
		await press(page, "]");
		expect(Number(await seqOf(page))).toBeGreaterThan(first);
		await press(page, "[");
		expect(Number(await seqOf(page))).toBe(first);
		expect(await page.locator(".row.is-here .broken").count()).toBe(1);
		expect(await page.locator(".violation.is-here").count()).toBeGreaterThan(0);
		await picture(page, "real-violations");
		await page.locator(".leading .link").first().click();
		await settled(page);
		expect(Number(await seqOf(page))).toBeLessThanOrEqual(first);
	});

	it("two logs: scrubbed together by keys and by the second one's timeline and records, differences marked", async () => {
		const { page, trouble } = await open(
			[
				join(SCENARIOS, "replace-1.posted-v2.ndjson"),
				join(SCENARIOS, "replace-1.group-owned.ndjson"),
			],
			"#seq=100&view=topology",
		);
		const titles = () => page.locator(".log-title").allInnerTexts();
		expect((await titles()).map((one) => one.replace(/\s+/g, " "))).toEqual([
			"replace-1.posted-v2.ndjson 100 grp.domain.set group:7",
			"replace-1.group-owned.ndjson 105 grp.domain.set group:7",
		]);
		const rows = page.locator(".pair-rows");
		expect(await rows.first().locator(".is-unlike").count()).toBeGreaterThan(0);
		expect(await rows.last().locator(".is-unlike").first().innerText()).toMatch(
			/≠ 100\s+resv\.added/,
		);
		await rows.last().locator(".row", { hasText: "op.commit" }).click();
		await settled(page);
		expect(await seqOf(page)).toBe("114");
		expect(await viewText(page)).toContain(
			"2 devices translate through another domain than the books say",
		);
		const second = page.locator(".timeline-paper").last();
		await second.click({ position: { x: 5, y: 10 } });
		await settled(page);
		expect(Number(await seqOf(page))).toBeLessThan(10);
		await picture(page, "pair");
		expect(trouble.errors).toEqual([]);
	});
});
