/** Every semantic mutation is flagged by a named invariant, named as damage, changes no record, or is listed as undetectable with its reason. */
import { expect, test } from "vitest";
import { MUTATIONS } from "./mutate.ts";
import { mutateAll, POSITIONS, REASONS } from "./mutations.ts";

const kinds = Object.keys(MUTATIONS);

test("there are enough kinds and positions", () => {
	expect(kinds.length).toBeGreaterThanOrEqual(10);
	expect(POSITIONS).toBeGreaterThanOrEqual(20);
});

test.each(kinds)("%s", { timeout: 60_000 }, async (kind) => {
	const outcome = await mutateAll(kind);
	const silent = [...outcome.silent.values()].reduce((a, b) => a + b, 0);
	expect(outcome.flagged + outcome.named + outcome.same + silent).toBe(
		outcome.tried,
	);
	expect(outcome.tried).toBeGreaterThan(0);
	const without = [...outcome.silent.keys()].filter(
		(event) => !REASONS.some(([events]) => events.test(event)),
	);
	expect(without).toEqual([]);
});
