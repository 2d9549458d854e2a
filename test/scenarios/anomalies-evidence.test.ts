/** A2, A3 and A11 are not only the model's: recorded answers of a running 6.12 are equal to the model's in calls where they happen. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { Player } from "../../src/replay/conform/player.ts";
import type { Fact } from "../../src/vocabulary/records.ts";

const FOLDER = join(import.meta.dirname, "../fixtures/calls/directed");

/** Which anomalies one operation showed. `tracking`: domains with tracking on before it. */
function shows(facts: readonly Fact[], tracking: Set<string>): string[] {
	const failed = facts.some(({ type }) => type === "op.fail");
	const seen: string[] = [];
	for (const one of facts) {
		if (one.type === "dirty.read" && one.data.walkErr !== undefined && !failed)
			seen.push("A2");
		if (one.type === "area.gone" && failed) seen.push("A11");
		if (one.type !== "dirty.set") continue;
		const { dom, on } = one.data;
		if (on && tracking.has(dom)) seen.push("A3");
		if (on) tracking.add(dom);
		else tracking.delete(dom);
	}
	return seen;
}

test.each([
	["directed.dirty", ["A2", "A3"]],
	["directed.unmap_is_not_atomic", ["A11"]],
])("%s", (file, anomalies) => {
	const path = join(FOLDER, `${file}.ndjson.gz`);
	const lines = gunzipSync(readFileSync(path)).toString().trim().split("\n");
	const found = new Set<string>();
	let tracking = new Set<string>();
	let now: string[] = [];
	const fresh = () =>
		new Player((facts) => void now.push(...shows(facts, tracking)));
	let player = fresh();
	for (const line of lines) {
		const record = JSON.parse(line) as { readonly ev?: string };
		if (record.ev === "begin") {
			tracking = new Set();
			player = fresh();
		}
		now = [];
		const { kind } = player.play(record as never);
		expect(kind).not.toBe("mismatched");
		if (kind === "matched") for (const id of now) found.add(id);
	}
	expect([...found].sort()).toEqual([...anomalies].sort());
});
