import { expect, test } from "vitest";
import { addRecord, newStat } from "../../src/traces/stat.ts";
import {
	sizeName,
	statText,
	summarize,
} from "../../src/traces/stat-summary.ts";
import { domainId } from "../../src/vocabulary/ids.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { importAll, load } from "./support.ts";

test("a recording's summary", async () => {
	const { header, records } = await importAll(load("a_bridge_v1.M1"));
	const stat = newStat(header);
	for (const record of records) addRecord(stat, record);
	const summary = summarize(stat);
	expect(summary.records).toBe(records.length);
	expect(summary.types["hw.attach"]).toBe(24);
	expect(summary.operations["replace"]).toMatchObject({ n: 4, failed: 0 });
	expect(summary.groups.find(({ group }) => group === "group:11")).toEqual({
		group: "group:11",
		devices: 4,
		switches: 6,
		attaches: 24,
	});
	expect(summary.dma.done + summary.dma.blocked).toBe(46);
	expect(
		summary.domains.every(({ mapped, unmapped }) => mapped === unmapped),
	).toBe(true);
	expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
	expect(statText(summary)).toContain("group:11: 4 devices, 6 switches");
});

test("leaves: the biggest pages that addresses and length allow", () => {
	const stat = newStat();
	const map = (iova: number, pa: number, len: number): void =>
		addRecord(stat, {
			seq: 1,
			t: 1,
			type: "dom.map",
			actor: domainId(1),
			op: 0,
			data: { dom: domainId(1), iova, pa, len },
		} as LogRecord);
	map(0x4000_0000, 0x8000_0000, 2 ** 30);
	map(0x20_0000, 0x40_0000, 2 ** 21);
	map(0x1f_f000, 0x3f_f000, 2 ** 21 + 8192);
	map(0x1000, 0x20_0000, 2 ** 21);
	expect(stat.leaves).toEqual({ "1G": 1, "2M": 2, "4K": 2 + 512 });
});

test.each([
	[0, "1"],
	[12, "4K"],
	[21, "2M"],
	[30, "1G"],
])("2^%i bytes is %s", (exponent, name) =>
	expect(sizeName(exponent)).toBe(name),
);
