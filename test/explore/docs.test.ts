/** docs/scenarios.md: its example runs, and it documents every word of the vocabulary. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";
import {
	callScenarioFiles,
	loadCallScenario,
	loadScenario,
	scenarioFiles,
} from "../../src/scenarios/library.ts";
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

const experiments = readFileSync(
	join(import.meta.dirname, "../../docs/experiments.md"),
	"utf8",
);

test.each([...scenarioFiles(), ...callScenarioFiles()].map((f) => f.name))(
	"docs/experiments.md tells of %s, with its verdict, states and ids",
	(name) => {
		const section = experiments.split(`### ${name}: `)[1]?.split("\n### ")[0];
		const wanted = loadScenario(name)?.expect ?? loadCallScenario(name)?.expect;
		const [, verdict, states, ids] =
			/\*\*(Holds|Violated)\*\*, (\d+) states(?:: ([^.]*))?\./.exec(
				section ?? "",
			) ?? [];
		expect(verdict?.toLowerCase()).toBe(wanted?.verdict);
		expect(Number(states)).toBe(wanted?.states);
		expect(ids?.split(", ") ?? []).toEqual([...(wanted?.ids ?? [])].sort());
	},
);

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
