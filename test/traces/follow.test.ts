import {
	appendFileSync,
	mkdtempSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { followSource } from "../../src/traces/follow.ts";
import { importParts } from "../../src/traces/import.ts";
import { load, only } from "./support.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "follow-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("records come while the file grows, the same as in one go", async () => {
	const { trace = "" } = load("f2_ctl_late_v1.B1");
	const lines = trace.split("\n");
	const path = join(folder, "trace.txt");
	writeFileSync(path, `${lines.slice(0, 60).join("\n")}\n`);
	const stop = new AbortController();
	const source = followSource(path, { signal: stop.signal, pollMs: 5 });
	const live = await importParts(
		{ name: path, trace: source },
		{ peekBytes: 1, fidelity: "L1" },
	);
	const records: LogRecord[] = [];
	let fed = 60;
	for await (const batch of live.batches) {
		records.push(...batch);
		if (fed >= lines.length) stop.abort();
		else {
			// Cut in the middle of a line now and then: it waits for its end.
			appendFileSync(path, `${lines.slice(fed, fed + 50).join("\n")}\n`);
			fed += 50;
		}
	}
	const whole = await importParts({
		name: "x",
		trace: {
			name: "x",
			again: true,
			open: async function* () {
				yield Buffer.from(trace);
			},
		},
	});
	const expected: LogRecord[] = [];
	await whole.run((record) => expected.push(record));
	expect(only(records, "hw.attach").length).toBe(4);
	expect(records).toEqual(expected);
});

test("a file that shrinks was begun anew", async () => {
	const path = join(folder, "trace.txt");
	writeFileSync(path, "one\ntwo\n");
	const stop = new AbortController();
	const got: string[] = [];
	for await (const chunk of followSource(path, {
		signal: stop.signal,
		pollMs: 2,
	}).open()) {
		got.push(Buffer.from(chunk).toString());
		if (got.length === 1) writeFileSync(path, "new\n");
		else stop.abort();
	}
	expect(got).toEqual(["one\ntwo\n", "new\n"]);
});

test("a file that was rotated away: the one that took its name goes on", async () => {
	const path = join(folder, "trace.txt");
	writeFileSync(path, "one\n");
	const stop = new AbortController();
	const got: string[] = [];
	for await (const chunk of followSource(path, {
		signal: stop.signal,
		pollMs: 2,
	}).open()) {
		got.push(Buffer.from(chunk).toString());
		if (got.length === 1) {
			renameSync(path, `${path}.1`);
			writeFileSync(path, "a longer first line\n");
		} else stop.abort();
	}
	expect(got).toEqual(["one\n", "a longer first line\n"]);
});
