/** Bad scenarios: a clear error with line and column, never a crash. */
import { describe, expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { ScenarioError } from "../../src/explore/scenario-error.ts";
import {
	parseScenario,
	withSettings,
} from "../../src/explore/scenario-file.ts";
import fc from "fast-check";

const good = `name: x
root: { 0: T }
tables: { T: {} }
switches: { s: false }
threads:
  - name: t
    steps:
      - clear: root.0
`;
const now = () => performance.now();
const errorOf = (text: string): string => {
	try {
		explore(parseScenario(text, "f.yaml"), { now });
	} catch (error) {
		expect(error).toBeInstanceOf(ScenarioError);
		return (error as Error).message;
	}
	return "no error";
};

/** The good scenario with another step in line 9. */
const also = (step: string) => `${good}      - ${step}\n`;

describe("errors", () => {
	test.each([
		[also("clear: root.7"), "f.yaml:9:9: root.7 does not exist"],
		[also("clear: V.0"), "f.yaml:9:9: no table V"],
		[also("goto: nowhere"), "f.yaml:9:9: thread t has no label nowhere"],
		[also("{ label: a, goto: a }"), "threads.0.steps.1: goes round and round"],
		[
			also("{ label: a, clear: T.0 }") + "      - { label: a, clear: T.1 }\n",
			"f.yaml:10:9: thread t has two labels a",
		],
		[also("flush: { pages: [5] }"), "f.yaml:9:9: page 5 does not exist"],
		[also("begin: { map: [7] }"), "f.yaml:9:9: page 7 does not exist"],
		[also("write: { slot: root.0, value: V }"), "f.yaml:9:9: V is neither"],
		[also("unlock: l"), "f.yaml:9:9: no lock l"],
		[also("await: { v: 1 }"), "f.yaml:9:9: no variable v"],
		[also("free: $r"), "f.yaml:9:9: thread t never reads anything into"],
		[also("{ clear: T.0, when: q }"), "f.yaml:9:9: no switch q"],
		[`${good}live: [9]\n`, "f.yaml:9:7: page 9 does not exist"],
		[`${good}observe: q\n`, "f.yaml:9:10: observe: no thread q; there are t"],
		[`${good}targets: [old, old]\n`, "f.yaml:9:16: two targets named old"],
		[`${good}targets: [T]\n`, "f.yaml:3:14: T is the name of a target and"],
		[good.replace("T: {}", "T: {}, fault: {}"), "fault cannot be a table's"],
		[
			good.replace("T: {}", "T: { holds: { 0: T } }"),
			"f.yaml:3:23: T (entries of level 1) cannot point to T",
		],
		["", "f.yaml:1:1"],
		["name: [", "not YAML"],
		[
			good.replace("clear:", "cleer:"),
			"f.yaml:8:9: a step holds exactly one verb (found cleer)",
		],
		[good.replace("clear: root.0", "clear: root"), "f.yaml:8:16: "],
		[
			good.replace("clear: root.0", "clear: root.7"),
			"root.7 does not exist; root has 1 slots",
		],
		[
			good.replace("clear: root.0", "write: { slot: root.0, value: nwe }"),
			"nwe is neither empty, nor a table (T), nor a target (old, new)",
		],
		[good.replace("clear: root.0", "goto: nowhere"), "no label nowhere"],
		[
			good.replace("clear: root.0", "free: $r"),
			"never reads anything into register r",
		],
		[
			good.replace("clear: root.0", "flush: { pages: [9] }"),
			"page 9 does not exist",
		],
		[
			good.replace("clear: root.0", "clear: root.0\n        when: q"),
			"no switch q",
		],
		[
			good.replace("tables: { T: {} }", "tables: { T: { level: 2 } }"),
			"level 2 is not below",
		],
		[
			good.replace(
				"name: x",
				"name: x\ngeometry: { levels: 4, slots: 8, fanout: 8 }",
			),
			"the explorer takes at most",
		],
		[good.replace("name: x", "name: x\nbogus: 1"), "bogus"],
		[
			good.replace("tables: { T: {} }", "tables: { T: {}, __proto__: {} }"),
			"__proto__ cannot be a name",
		],
		[
			good.replace("clear: root.0", "flush: { pages: all, level: 4 }"),
			"level 4: the geometry has 2 levels",
		],
		[good.replace("clear: root.0", "unlink: root"), "stands in no slot"],
		[
			good.replace("clear: root.0", "if: { is: leaf, goto: end }"),
			"a test names a value or a var, one of them",
		],
		[
			good.replace("clear: root.0", "if: { var: v, is: leaf, goto: end }"),
			"a variable is compared with a number",
		],
		[
			good.replace("clear: root.0", "goto: here\n        label: here"),
			"goes round and round",
		],
	])("%#", (text, message) => {
		expect(errorOf(text)).toContain(message);
	});

	test("a table starts in one slot", () => {
		const twice = `name: x
geometry: { slots: 2 }
root: { 0: T, 1: T }
tables: { T: {} }
threads: [{ name: t, steps: [{ nothing: true }] }]`;
		expect(errorOf(twice)).toContain(
			"f.yaml:3:7: T is linked twice at the start, by root[0] and by root[1]",
		);
	});

	test("unknown settings name the known ones", () => {
		const scenario = parseScenario(good, "f");
		expect(() => withSettings(scenario, { q: true })).toThrow(
			/no switch or parameter q; there are s, driver/,
		);
		expect(() => withSettings(scenario, { s: 1 })).toThrow(/on or off/);
		expect(() => withSettings(scenario, { bbm: 7 })).toThrow(ScenarioError);
	});

	test("any text is a scenario or a ScenarioError", () => {
		fc.assert(
			fc.property(
				fc.string({ maxLength: 200 }),
				fc.nat(good.length),
				(junk, at) => {
					errorOf(good.slice(0, at) + junk + good.slice(at));
				},
			),
			{ numRuns: 300 },
		);
	});

	test("a limit is admitted", () => {
		const scenario = parseScenario(good, "f");
		const result = explore(scenario, { now, limits: { maxStates: 1 } });
		expect(result).toMatchObject({
			verdict: "incomplete",
			complete: false,
			stoppedBy: "maxStates",
		});
	});
});
