/** The recordings hold answers written for people (notes, reasons, folder names). The importer reads none of them. */
import { describe, expect, test } from "vitest";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import type { Parts } from "./support.ts";
import { importAll, load, mapLines } from "./support.ts";

/** A recording without anything that hints at what it shows. */
function stripped(parts: Parts): Parts {
	const { counts: _counts, ...rest } = parts;
	return {
		...rest,
		name: "x",
		trace: mapLines(parts.trace, (line) =>
			/: lab: N /.test(line) ? undefined : line,
		),
		calls: mapLines(parts.calls, (line) => {
			if (line === "") return line;
			const call = JSON.parse(line) as { call: string; args: object };
			if (call.call === "NOTE") return undefined;
			return JSON.stringify({
				...call,
				args: Object.fromEntries(
					Object.entries(call.args).filter(([key]) => key !== "why"),
				),
			});
		}),
	};
}

const withoutWords = (records: readonly LogRecord[]): unknown[] =>
	records.map((record) =>
		record.type === "dma.done"
			? { ...record, data: { ...record.data, what: "" } }
			: record,
	);

describe.each([
	"f2_attach_v1.B1",
	"f2_ctl_late_v1.B1",
	"f1_same_single_v1.A1",
	"f4_ro_mfunc_v1.B5",
	"a_bridge_v1.M1",
	"e_type1_v1.M2",
	"h_types.M3",
])("%s", (name) => {
	test("the same records with notes, reasons, names and checks removed", async () => {
		const whole = await importAll(load(name));
		const bare = await importAll(stripped(load(name)));
		expect(bare.header).toEqual(whole.header);
		expect(withoutWords(bare.records)).toEqual(withoutWords(whole.records));
	});
});

test("what a device saw is free text: other words with the same outcome change nothing else", async () => {
	const parts = load("f2_attach_v1.B1");
	const whole = await importAll(parts);
	const other = await importAll({
		...parts,
		calls: (parts.calls ?? "").replaceAll(
			/"seen":"(?!ZERO_READ_BLOCKED|WRITE_BLOCKED)[^"]*"/g,
			'"seen":"SOMETHING"',
		),
	});
	expect(withoutWords(other.records)).toEqual(withoutWords(whole.records));
});
