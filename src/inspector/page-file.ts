/** The built page: one HTML file that Vite wrote beside the compiled sources. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Thrown when the page was not built. */
export class PageMissingError extends Error {
	override readonly name = "PageMissingError";
}

/** From compiled code the page is a neighbour; from sources (tests, tsx) it is in dist. */
const PLACES = [
	new URL("./page.html", import.meta.url),
	new URL("../../dist/src/inspector/page.html", import.meta.url),
].map((url) => fileURLToPath(url));

/** The page's text. Throws PageMissingError. */
export async function readPage(): Promise<string> {
	const path = PLACES.find((place) => existsSync(place));
	if (path === undefined)
		throw new PageMissingError(
			"the inspector's page is not built; run: npm run build",
		);
	return await readFile(path, "utf8");
}
