/** docs/invariants.md is written from the catalogue. `UPDATE_DOCS=1 npx vitest run test/invariants/docs.test.ts` writes it anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import { catalogueMarkdown } from "../../src/invariants/document.ts";

const FILE = join(import.meta.dirname, "../../docs/invariants.md");

test("docs/invariants.md is what the catalogue says", () => {
	const text = catalogueMarkdown(CATALOGUE);
	if (process.env["UPDATE_DOCS"] === "1") writeFileSync(FILE, text);
	expect(
		readFileSync(FILE, "utf8"),
		"stale: run UPDATE_DOCS=1 npx vitest run test/invariants/docs.test.ts",
	).toBe(text);
});

test("every invariant is complete and every id is given once", () => {
	expect(new Set(CATALOGUE.map(({ id }) => id)).size).toBe(CATALOGUE.length);
	for (const invariant of CATALOGUE) {
		expect(invariant.id).toMatch(
			/^(OWN|GRP|REF|HWP|IOP|RSV|MSI|PIN|ACC|DRT|NST|FLT|LOG|VFT|PT)-\d+$/,
		);
		expect(invariant.sentence, invariant.id).toMatch(/^[A-Z].*\.$/s);
		expect(invariant.harm.length, invariant.id).toBeGreaterThan(10);
		expect(invariant.source.length, invariant.id).toBeGreaterThan(0);
		expect(
			invariant.on !== undefined || invariant.test !== undefined,
			invariant.id,
		).toBe(true);
	}
});
