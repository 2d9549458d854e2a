/** Chromium for the page's tests. Where there is none, tests skip and say so. */
import { existsSync, mkdirSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
	(path) => existsSync(path),
);

/** Why browser tests cannot run, or undefined. */
export const browserMissing: string | undefined =
	CHROMIUM === undefined
		? "no Chromium: install Debian's package chromium to run the page's tests"
		: undefined;

/** Starts a headless Chromium that talks to nobody. */
export function startBrowser(): Promise<Browser> {
	return chromium.launch({
		executablePath: CHROMIUM as string,
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-background-networking",
			"--disable-component-update",
			"--no-first-run",
			"--disable-dev-shm-usage",
			"--enable-precise-memory-info",
			"--js-flags=--expose-gc",
		],
	});
}

/** What went wrong inside a page while it was used. */
export interface PageTrouble {
	readonly errors: string[];
	/** Addresses asked for. */
	readonly requests: string[];
}

/** Opens an address at 1280×800 and collects errors and requests. */
export async function openPage(
	browser: Browser,
	url: string,
	colorScheme: "light" | "dark" = "light",
): Promise<{ page: Page; trouble: PageTrouble }> {
	const context = await browser.newContext({
		viewport: { width: 1280, height: 800 },
		colorScheme,
	});
	const page = await context.newPage();
	const trouble: PageTrouble = { errors: [], requests: [] };
	page.on("pageerror", (error) => trouble.errors.push(String(error)));
	page.on("console", (message) => {
		if (message.type() === "error") trouble.errors.push(message.text());
	});
	page.on("request", (request) => trouble.requests.push(request.url()));
	await page.goto(url);
	await settled(page);
	return { page, trouble };
}

/** Waits until everything on screen belongs to the cursor. */
export async function settled(page: Page): Promise<void> {
	await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
	await page.waitForFunction(() => {
		const { painted, busy } = document.body.dataset;
		return painted !== undefined && painted !== "-1" && busy === "no";
	});
}

/** Keeps a picture of the page among the artefacts (git-ignored). */
export async function picture(page: Page, name: string): Promise<void> {
	mkdirSync("artifacts/inspector", { recursive: true });
	await page.screenshot({ path: `artifacts/inspector/${name}.png` });
}

/** Waits until the log is folded and judged to its end. */
export async function judged(page: Page): Promise<void> {
	await page.waitForFunction(
		() => document.body.dataset["folded"] === "all",
		undefined,
		{ timeout: 60_000 },
	);
	await settled(page);
}

/** Chooses a view by its tab. */
export async function tab(page: Page, name: string): Promise<void> {
	await page.getByRole("tab", { name }).click();
	await settled(page);
}

/** What a person reads in the main pane. */
export const viewText = (page: Page): Promise<string> =>
	page.locator("#view").innerText();

/** The number of the record at the cursor. */
export const seqOf = (page: Page): Promise<string> =>
	page.getByLabel("Position: record number (seq)").inputValue();

/** Goes to a record by its number. */
export async function goTo(page: Page, seq: number): Promise<void> {
	const field = page.getByLabel("Position: record number (seq)");
	await field.fill(String(seq));
	await field.press("Enter");
	await field.press("Escape");
	await settled(page);
}

/** Presses a key and waits. */
export async function press(page: Page, key: string): Promise<void> {
	await page.keyboard.press(key);
	await settled(page);
}
