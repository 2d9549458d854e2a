import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogIndex } from "../../src/inspector/model/log-index.ts";
import { matcherOf, parseQuery } from "../../src/inspector/model/query.ts";
import { Spans } from "../../src/inspector/model/spans.ts";
import {
	actorKind,
	laneOrder,
	timelinePicture,
} from "../../src/inspector/model/timeline.ts";
import { generatedLog } from "./generate.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function indexOf(text: string): LogIndex {
	const index = new LogIndex();
	index.push(bytesOf(text));
	index.finish();
	return index;
}

const LOG = generatedLog({ records: 3000, seed: 7 });

describe("the columnar index", () => {
	it("holds what JSON.parse finds", () => {
		const index = indexOf(LOG);
		const lines = LOG.trimEnd().split("\n").slice(1);
		expect(index.count).toBe(3000);
		expect(index.count).toBe(lines.length);
		expect(index.header?.["format"]).toBe("iommu-ledger");
		for (const [at, line] of lines.entries()) {
			const record = JSON.parse(line);
			expect([index.seq[at], index.t[at], index.op[at]]).toEqual([
				record.seq,
				record.t,
				record.op,
			]);
			expect(index.types.names[index.type[at] as number]).toBe(record.type);
			expect(index.actors.names[index.actor[at] as number]).toBe(record.actor);
			expect(index.textAt(at)).toBe(line);
		}
	});

	it("does not care how the bytes are cut", () => {
		const whole = indexOf(LOG);
		const bytes = bytesOf(LOG);
		fc.assert(
			fc.property(
				fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }),
				(cuts) => {
					const index = new LogIndex();
					for (let at = 0, i = 0; at < bytes.length; i++) {
						const size = cuts[i % cuts.length] as number;
						index.push(bytes.subarray(at, at + size));
						at += size;
					}
					index.finish();
					expect(index.count).toBe(whole.count);
					expect(index.lineEnd.slice(0, index.count)).toEqual(
						whole.lineEnd.slice(0, whole.count),
					);
					expect(index.actors.names).toEqual(whole.actors.names);
				},
			),
			{ numRuns: 20 },
		);
	});

	it("reads records in another key order and names with escapes", () => {
		const index = indexOf(
			'{"type":"x","data":{},"actor":"device:\\"a\\"","op":0,"t":5,"seq":1}\n{"seq":2,"t":6,"type":"x","actor":"device:\\"a\\"","op":0,"data":{}}',
		);
		expect(index.count).toBe(2);
		expect(index.actors.names).toEqual(['device:"a"']);
		expect(index.actor[1]).toBe(index.actor[0]);
	});

	it("says which line it could not read and goes on", () => {
		const index = indexOf(
			'{"seq":1,"t":1,"type":"x","actor":"a","op":0,"data":{}}\nnonsense\n{"seq":1,"t":2,"type":"x","actor":"a","op":0,"data":{}}\n[]\n',
		);
		expect(index.count).toBe(1);
		expect(index.problems.map((p) => p.line)).toEqual([2, 3, 4]);
	});

	it("survives arbitrary bytes", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
				const index = new LogIndex(1);
				index.push(bytes);
				index.finish();
				expect(index.count + index.problemCount).toBeLessThanOrEqual(
					index.lines,
				);
			}),
		);
	});

	it("finds positions by seq", () => {
		const index = indexOf(LOG);
		expect(index.positionOf(1)).toBe(0);
		expect(index.positionOf(3000)).toBe(2999);
		expect(index.positionOf(0)).toBe(-1);
		expect(index.positionOf(99_999)).toBe(2999);
	});
});

describe("operations as spans", () => {
	it("pairs each begin with its end", () => {
		const index = indexOf(LOG);
		const spans = new Spans(index);
		spans.update();
		const begins = LOG.split('"type":"op.begin"').length - 1;
		expect(spans.begin).toHaveLength(begins);
		for (let number = 0; number < begins - 1; number++) {
			const span = spans.span(number);
			expect(span.outcome).toBe("commit");
			expect(index.op[span.end]).toBe(span.op);
			expect(span.end).toBeGreaterThan(span.begin);
		}
		expect(new Set(spans.name)).toEqual(
			new Set([
				"ioas_alloc",
				"bind",
				"ioas_iova_ranges",
				"hwpt_alloc",
				"attach",
				"map",
				"unmap",
				"replace",
			]),
		);
	});

	it("gives overlapping operations rows of their own", () => {
		const line = (seq: number, type: string, op: number) =>
			`{"seq":${seq},"t":${seq},"type":"${type}","actor":"host","op":${op},"data":{"op":"o"}}\n`;
		const index = indexOf(
			line(1, "op.begin", 1) +
				line(2, "op.begin", 2) +
				line(3, "op.fail", 1) +
				line(4, "op.begin", 4),
		);
		const spans = new Spans(index);
		spans.update();
		expect([0, 1, 2].map((n) => spans.span(n).row)).toEqual([0, 1, 0]);
		expect([0, 1, 2].map((n) => spans.span(n).outcome)).toEqual([
			"fail",
			"open",
			"open",
		]);
	});
});

describe("queries", () => {
	const index = indexOf(LOG);
	const spans = new Spans(index);
	spans.update();
	const lines = LOG.trimEnd().split("\n").slice(1);
	const matches = (query: string): number[] => {
		const matcher = matcherOf(parseQuery(query), index, spans);
		return lines.map((_, at) => at).filter(matcher);
	};
	const where = (
		test: (record: {
			type: string;
			actor: string;
			op: number;
			data: Record<string, unknown>;
		}) => boolean,
	) => lines.flatMap((line, at) => (test(JSON.parse(line)) ? [at] : []));

	it.each([
		["type:dom.map", where((r) => r.type === "dom.map")],
		[
			"type:dom.* -type:dom.map",
			where((r) => r.type.startsWith("dom.") && r.type !== "dom.map"),
		],
		["actor:group:2", where((r) => r.actor.includes("group:2"))],
		[
			"dom:domain:3 type:dom.unmap",
			where((r) => r.type === "dom.unmap" && r.data["dom"] === "domain:3"),
		],
		[
			"iova:0x1",
			where(
				(r) =>
					(typeof r.data["iova"] === "string" &&
						r.data["iova"].startsWith("0x1")) ||
					JSON.stringify(r.data).includes('"iova":"0x1'),
			),
		],
		["op:hwpt_alloc type:dom.created", where((r) => r.type === "dom.created")],
		["op:1", where((r) => r.op === 1)],
		['"TYPE1"', []],
		["UNMANAGED", where((r) => r.type === "dom.created")],
	])("%s", (query, expected) => {
		expect(matches(query)).toEqual(expected);
		if (query !== '"TYPE1"') expect(expected.length).toBeGreaterThan(0);
	});
});

describe("the timeline's numbers", () => {
	const index = indexOf(LOG);
	const spans = new Spans(index);
	spans.update();

	it("counts every record of the window once, in density and in lanes", () => {
		const lanes = laneOrder(index.actors.names);
		const picture = timelinePicture(index, spans, {
			from: 0,
			to: index.count,
			columns: 100,
			lanes,
		});
		expect(picture.density.reduce((a, b) => a + b, 0)).toBe(3000);
		const inLanes = picture.lanes.reduce(
			(sum, lane) => sum + lane.reduce((a, b) => a + b, 0),
			0,
		);
		expect(inLanes).toBe(3000);
		expect(picture.spans).toHaveLength(spans.begin.length);
	});

	it("keeps spans that reach into the window from before", () => {
		const span = spans.span(20);
		const picture = timelinePicture(index, spans, {
			from: span.end,
			to: span.end + 1,
			columns: 10,
			lanes: [],
		});
		expect(picture.spans.map((s) => s.op)).toContain(span.op);
	});

	it("orders lanes by kind and number", () => {
		const names = ["ctx:1/hwpt:3@1", "device:a", "group:10", "group:9", "host"];
		expect(laneOrder(names).map((id) => names[id])).toEqual([
			"host",
			"group:9",
			"group:10",
			"device:a",
			"ctx:1/hwpt:3@1",
		]);
		expect(actorKind("ctx:1/hwpt:3@1")).toBe("hwpt");
	});
});
