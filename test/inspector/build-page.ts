/** Builds the page for tests when it is missing or older than its sources. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "vite";

const root = resolve(import.meta.dirname, "../..");
const PAGE = join(root, "dist/src/inspector/page.html");

const newest = (folder: string): number =>
	Math.max(
		...readdirSync(folder, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile())
			.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
	);

/** Makes sure that dist/src/inspector/page.html is that of the sources. */
export async function buildPage(): Promise<void> {
	const sources = Math.max(
		newest(join(root, "src")),
		newest(join(root, "machines")),
		statSync(join(root, "vite.config.ts")).mtimeMs,
	);
	if (existsSync(PAGE) && statSync(PAGE).mtimeMs > sources) return;
	await build({ configFile: join(root, "vite.config.ts") });
}
