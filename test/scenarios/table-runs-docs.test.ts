/** docs/table-runs.md, docs/caches.md and docs/cache-runs.md are written from the code. `UPDATE_DOCS=1 npx vitest run test/scenarios/table-runs-docs.test.ts` writes them anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TABLE_RUNS } from "../../src/scenarios/table-runs.ts";
import { CACHE_RUNS } from "../../src/scenarios/cache-runs.ts";
import { cacheRunsPage, cachesPage } from "../../src/scenarios/caches-page.ts";
import { tableRunsPage } from "../../src/scenarios/table-runs-page.ts";

test.each([
	["table-runs.md", tableRunsPage(TABLE_RUNS)],
	["caches.md", cachesPage()],
	["cache-runs.md", cacheRunsPage(CACHE_RUNS)],
])("docs/%s is what the code says", (name, text) => {
	const file = join(import.meta.dirname, "../../docs", name);
	if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, text);
	expect(readFileSync(file, "utf8")).toBe(text);
});
