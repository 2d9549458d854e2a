/** docs/scenarios.md: its example runs, and it documents every word of the vocabulary. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";
import { experimentsPage } from "../../src/scenarios/experiments.ts";
import { scenarioSchema, VERBS } from "../../src/explore/scenario-schema.ts";

const path = join(import.meta.dirname, "../../docs/scenarios.md");
const text = readFileSync(path, "utf8");

test("the example is as it says", () => {
	const yaml =
		/<!-- scenario -->\n```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? "";
	const scenario = parseScenario(yaml, path);
	const result = explore(scenario, { now: () => performance.now() });
	expect(result.verdict).toBe("holds");
	for (const row of scenario.expect?.reach ?? [])
		for (const page of row.pages)
			expect(
				result.reach.find((r) => r.step === row.step && r.page === page)?.sees,
			).toEqual(row.sees);
});

test("docs/experiments.md is what exploring the scenarios finds today", () => {
	const experiments = readFileSync(
		join(import.meta.dirname, "../../docs/experiments.md"),
		"utf8",
	);
	const untimed = (page: string) => page.replaceAll(/below \d+ ms/g, "");
	expect(
		untimed(experimentsPage({ now: () => performance.now() })),
		"when that is meant: npm run experiments",
	).toBe(untimed(experiments));
});

test.each([
	...Object.keys(VERBS),
	...Object.keys(scenarioSchema.shape),
	"ih0NonLeafScope",
	"tlbiTTL",
	"bbm",
	"smallFlushDropsLargeLeaf",
	"cachingMode",
	"pri",
	"cacheLeaf",
	"cacheDirectory",
	"cacheDevice",
	"evict",
])("documents %s", (word) => {
	expect(text).toMatch(new RegExp(`\`${word}[\`:]|\`${word} `));
});
