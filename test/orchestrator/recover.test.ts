/** Recovery: the state out of the folded records is the live state, after every operation of every scenario and of random calls. */
import fc from "fast-check";
import { describe, test } from "vitest";
import { runHeader } from "../../src/orchestrator/core.ts";
import type { Command } from "../../src/orchestrator/commands.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS } from "../../src/scenarios/runs.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { expectEqualAllAlong } from "./fold-compare.ts";
import { ctx, SET_UP, step, topology } from "./random-calls.ts";

const commandsOf = (records: readonly LogRecord[]): Command[] =>
	records.flatMap(({ type, data }) => {
		if (type !== "op.begin") return [];
		const { op, args } = data as { op: string; args: object };
		return op === "boot" ? [] : [{ op, args } as unknown as Command];
	});

describe("the state out of the records is the live state", () => {
	test.each(FLOWS)("every scenario under %s, after every operation", (flow) => {
		for (const scenario of RUN_SCENARIOS) {
			// Nested hwpts came years after the designs of 2023, which would fill their domains.
			if (scenario.name === "tour" && flow !== "group-owned") continue;
			const { header, records } = runScenario(scenario, {
				flow,
				engine: "compiled",
			});
			expectEqualAllAlong(header, commandsOf(records));
		}
	});
	test("the compatibility slot is emptied with its IOAS", () => {
		const on = { ctx };
		expectEqualAllAlong(runHeader(topology), [
			{ op: "open", args: {} },
			{ op: "ioasAlloc", args: on },
			{ op: "vfioIoas", args: { ...on, ioas: 1 } },
			{ op: "destroy", args: { ...on, id: 1 } },
			{ op: "vfioIoas", args: on },
		] as Command[]);
	});
	test("random calls of every kind", () => {
		fc.assert(
			fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
				const commands = [...SET_UP, ...steps].map(([op, args]) => ({
					op,
					args: op === "open" ? args : { ctx, ...args },
				}));
				expectEqualAllAlong(
					runHeader(topology),
					commands as unknown as Command[],
				);
			}),
			{ numRuns: 60 },
		);
	});
});
