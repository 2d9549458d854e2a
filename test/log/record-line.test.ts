/** The record line: lossless, canonical, and the fast path the same as the general one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { putChecked } from "../../src/log/encode-line.ts";
import { LogError } from "../../src/log/error.ts";
import { jsonText } from "../../src/log/json-text.ts";
import { LineBytes } from "../../src/log/line-bytes.ts";
import { decodeLine, encodeRecord } from "../../src/log/record-line.ts";
import { copyRecord, LineDecoder } from "../../src/log/scan-line.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import { anyRecord, RECORD_TYPES, recordOf } from "./arbitrary.ts";

const decoder = new LineDecoder();
const looping = new LineDecoder(false);
/** Decodes one line with the fast path, compiled and as a loop; what follows the line must not matter. */
function fast(line: string): LogRecord | undefined {
	const bytes = Buffer.from(`${line}\n{"seq":`, "utf8");
	const [record, same] = [decoder, looping].map((one) => {
		one.use(bytes, bytes.lastIndexOf("\n") + 1);
		const found = one.decode(0);
		return found && copyRecord(found);
	});
	expect(same).toStrictEqual(record);
	return record;
}
/** Writes a record with the fast path, behind something else and in too little room; undefined when it wrote nothing. */
function written(record: LogRecord): string | undefined {
	const out = new LineBytes(8);
	out.text("before");
	const done = putChecked(out, record.seq, record);
	const text = out.written.toString();
	expect(text.startsWith("before")).toBe(true);
	if (done) expect(text.endsWith("\n")).toBe(true);
	else expect(text).toBe("before");
	return done ? text.slice("before".length, -1) : undefined;
}
const general = (line: string): LogRecord | undefined => {
	try {
		return decodeLine(line, 1);
	} catch (error) {
		if (error instanceof LogError) return undefined;
		throw error;
	}
};

describe.each(RECORD_TYPES)("%s", (type) => {
	test("general and fast path give back what was written", () => {
		let [missed, left] = [0, 0];
		fc.assert(
			fc.property(recordOf(type), (record) => {
				expect(recordProblem(record)).toBeUndefined();
				const line = encodeRecord(record);
				const back = decodeLine(line, 1);
				expect(back).toStrictEqual(record);
				expect(encodeRecord(back)).toBe(line);
				const direct = written(record);
				if (direct === undefined) left++;
				else expect(direct).toBe(line);
				const quick = fast(line);
				if (quick === undefined) missed++;
				else expect(quick).toStrictEqual(record);
			}),
			{ numRuns: 60 },
		);
		// The fast paths may leave exotic lines to the general one, not whole types.
		expect(missed).toBeLessThan(60);
		expect(left).toBeLessThan(40);
	});
});

test("ordinary lines never leave the fast paths", () => {
	const lines = [
		'{"seq":1,"t":5,"type":"op.begin","actor":"ctx:1","op":1,"data":{"op":"map","args":{"iova":"0x1e00000"},"task":"qemu"}}',
		'{"seq":2,"t":123456789012345,"type":"dom.map","actor":"domain:5","op":1,"data":{"dom":"domain:5","iova":"0xfee00000","pa":"0xfffffffffffff000","len":"0x1000","prot":3}}',
		'{"seq":3,"t":5,"type":"dom.map","actor":"domain:5","op":1,"data":{"dom":"domain:5","iova":"0x0","pa":"0x1fffffffffffff","len":"0x20000000000000"}}',
		'{"seq":4,"t":5,"type":"op.fail","actor":"ctx:1","op":1,"data":{"errno":"EBUSY","step":"hw.attach"}}',
		'{"seq":5,"t":5,"type":"ioas.allowed.set","actor":"ctx:1/ioas:1@1","op":1,"data":{"ioas":"ctx:1/ioas:1@1","ranges":[["0x0","0xfff"],["0x2000","0xffffffffffffffff"]]}}',
		'{"seq":6,"t":5,"type":"obj.ref","actor":"ctx:1/hwpt:3@2","op":1,"data":{"obj":"ctx:1/hwpt:3@2","delta":-1,"u":2,"why":"détaché","undo":true}}',
		'{"seq":7,"t":5,"type":"iopt.dom.removed","actor":"domain:1","op":1,"data":{"ioas":"ctx:1/ioas:1@1","dom":"domain:1","order":["domain:2","domain:3"]}}',
	];
	for (const line of lines) {
		const record = decodeLine(line, 1);
		expect(fast(line), line).toStrictEqual(record);
		expect(written(record)).toBe(line);
	}
});

test("whatever is done to a line, the fast path accepts only what the general one does, and reads the same", () => {
	const bytes = fc.array(
		fc.tuple(
			fc.nat(),
			fc.oneof(
				fc.constantFrom(...'"{}[],:0123456789abcdefx\\ -.eE\n'),
				fc.string({ unit: "binary-ascii", maxLength: 1 }),
			),
			fc.nat(2),
		),
		{ minLength: 1, maxLength: 4 },
	);
	let accepted = 0;
	fc.assert(
		fc.property(anyRecord, bytes, (record, edits) => {
			let line = encodeRecord(record);
			for (const [at, text, drop] of edits) {
				const where = at % line.length;
				line = line.slice(0, where) + text + line.slice(where + drop);
			}
			const whole = line.split("\n", 1)[0] ?? "";
			const quick = fast(whole);
			if (quick === undefined) return;
			accepted++;
			expect(quick).toStrictEqual(general(whole));
		}),
		{ numRuns: 4000 },
	);
	expect(accepted).toBeGreaterThan(0);
});

test("whatever is done to a record, the fast writer writes only what the general one would", () => {
	const values = fc.oneof(
		fc.anything(),
		fc.constantFrom(undefined, -1, 2 ** 53, 1n, "", "x", true, []),
	);
	let count = 0;
	fc.assert(
		fc.property(anyRecord, fc.nat(), values, (record, pick, value) => {
			const names = [
				"seq",
				"t",
				"op",
				"actor",
				"extra",
				...Object.keys(record.data),
			];
			const name = names[pick % names.length] ?? "";
			const inData = pick % names.length > 4 || name === "extra";
			const changed = (
				inData
					? { ...record, data: { ...record.data, [name]: value } }
					: { ...record, [name]: value }
			) as LogRecord;
			const line = written(changed);
			if (line === undefined) return;
			count++;
			// A fact need not say that it belongs to no operation.
			const meant = { ...changed, op: changed.op ?? 0 } as LogRecord;
			expect(recordProblem(meant)).toBeUndefined();
			expect(line).toBe(encodeRecord(meant));
		}),
		{ numRuns: 4000 },
	);
	expect(count).toBeGreaterThan(0);
});

test("the record object is reused, a copy is not", () => {
	const line = (seq: number) =>
		encodeRecord({
			seq,
			t: 1,
			type: "dom.freed",
			actor: "domain:1",
			op: 0,
			data: { dom: `domain:${seq}` },
		});
	const bytes = Buffer.from(`${line(1)}\n${line(2)}\n`);
	decoder.use(bytes, bytes.length);
	const first = decoder.decode(0) as LogRecord;
	const kept = copyRecord(first);
	const second = decoder.decode(decoder.position);
	expect(second).toBe(first);
	expect(kept).toMatchObject({ seq: 1, data: { dom: "domain:1" } });
	expect(second).toMatchObject({ seq: 2, data: { dom: "domain:2" } });
});

test("free-form values are written with sorted keys at every depth", () => {
	expect(jsonText({ b: [{ z: 1, a: 2 }], a: { y: null, x: "é" } })).toBe(
		'{"a":{"x":"é","y":null},"b":[{"a":2,"z":1}]}',
	);
});

test.each([
	['{"seq":1,', "bad-line", 10],
	[
		'{"seq":1,"t":2,"type":"dom.freed","actor":"domain:1","op":0,"data":{"dom":domain:1}}',
		"bad-line",
		75,
	],
	[
		'{"seq":1,"t":2,"type":"dom.fred","actor":"domain:1","op":0,"data":{"dom":"domain:1"}}',
		"bad-record",
		undefined,
	],
	[
		'{"seq":1,"t":2,"type":"dom.freed","actor":"domain:1","op":0,"data":{"dom":"dom:1"}}',
		"bad-record",
		69,
	],
	[
		'{"seq":1,"t":2,"type":"dom.map","actor":"domain:1","op":0,"data":{"dom":"domain:1","iova":"0x00","pa":"0x0","len":"0x0"}}',
		"bad-record",
		84,
	],
	[
		'{"seq":-1,"t":2,"type":"dom.freed","actor":"domain:1","op":0,"data":{"dom":"domain:1"}}',
		"bad-record",
		2,
	],
	["[]", "bad-record", undefined],
	["null", "bad-record", undefined],
	[`${"[".repeat(100_000)}`, "bad-line", undefined],
])("a bad line says what is wrong and where: %s", (line, code, column) => {
	const error = (() => {
		try {
			decodeLine(line, 12);
		} catch (caught) {
			return caught;
		}
		return undefined;
	})();
	expect(error).toBeInstanceOf(LogError);
	expect(error).toMatchObject({
		code,
		line: 12,
		...(column === undefined ? {} : { column }),
	});
	expect((error as LogError).message).toContain("line 12");
	expect((error as LogError).hint).toBeTruthy();
});
