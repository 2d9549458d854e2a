/** Arguments that nobody asks for are kept as text, and read the same long after the reader has gone on. */
import { expect, test } from "vitest";
import { scanLog } from "../../src/log/read.ts";
import { sealFacts, sealHeader, type TimedFact } from "../../src/log/write.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";
import {
	keepForLater,
	type Later,
	laterValue,
} from "../../src/vocabulary/later.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

const isBegin = (record: LogRecord): record is LogRecord<"op.begin"> =>
	record.type === "op.begin";

function log() {
	const { topology } = runScenarioNamed("replace-1");
	const system = createIommuSystem({ topology });
	const ctx = system.open();
	const ioas = system.ioasAlloc({ ctx });
	for (let i = 1; i < 40; i++)
		system.map({
			ctx,
			ioas,
			iova: `0x${(i << 12).toString(16)}`,
			length: "0x1000",
			va: "0x400000",
			prot: 3,
		});
	return { header: system.header, records: system.records };
}

test("what a reader has not parsed is kept as text", async () => {
	const { header, records } = log();
	const head = sealHeader(header);
	const body = sealFacts(head.chain, [...records] as TimedFact[]);
	const kept: Later[] = [];
	await scanLog([head.bytes, body.bytes], {
		record: (record) => {
			if (isBegin(record)) kept.push(keepForLater(record.data, "args"));
		},
	});
	const args = records.filter(isBegin).map(({ data }) => data.args);
	expect(args.length).toBeGreaterThan(40);
	expect(kept.map(laterValue)).toEqual(args);
	expect(kept.every((one) => "text" in one)).toBe(true);
});

test("what is at hand is kept as it is, and so is what somebody asked for", async () => {
	const { header, records } = log();
	const begun = records.filter(isBegin);
	for (const { data } of begun) {
		const kept = keepForLater(data, "args");
		expect(kept).toEqual({ value: data.args });
		expect(laterValue(kept)).toBe(data.args);
	}
	const head = sealHeader(header);
	const body = sealFacts(head.chain, [...records] as TimedFact[]);
	let asked = 0;
	await scanLog([head.bytes, body.bytes], {
		record: (record) => {
			if (!isBegin(record)) return;
			const { args } = record.data;
			expect(keepForLater(record.data, "args")).toEqual({ value: args });
			asked++;
		},
	});
	expect(asked).toBe(begun.length);
});
