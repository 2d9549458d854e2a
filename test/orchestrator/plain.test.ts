/** The operations of machines/ops in the live system: answers, records for the judge, redecide, engines, fail-nth. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createJudge } from "../../src/invariants/judge.ts";
import type { Command } from "../../src/orchestrator/commands.ts";
import type { EngineName } from "../../src/orchestrator/engine.ts";
import { firstDifference, redecide } from "../../src/orchestrator/redecide.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import type { IommuSystem } from "../../src/orchestrator/system.ts";
import type { Json } from "../../src/vocabulary/fields.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import {
	ctx,
	dev,
	map,
	SET_UP,
	START,
	type Step,
	step,
	topology,
} from "./random-calls.ts";

/** Plays steps; what each answered. */
function play(
	steps: readonly Step[],
	switches: { readonly [name: string]: Json } = {},
	engine: EngineName = "mixed",
) {
	const system = createIommuSystem({ topology, engine, switches });
	const answers = steps.map(([op, args]) => {
		const given = op === "open" ? args : { ctx, ...args };
		const done = system.dispatch({ op, args: given } as unknown as Command);
		return done.ok
			? ((done as { value?: Json }).value ?? {})
			: { errno: done.errno, step: done.step };
	});
	return { system, answers };
}
function judged(system: IommuSystem) {
	const judge = createJudge(system.header);
	for (const record of system.records) judge.next(record);
	judge.finish();
	return {
		errors: judge.verdicts.violations.map(({ id }) => id),
		warnings: judge.verdicts.warnings.map(({ id }) => id),
	};
}

const SITUATIONS: { readonly [name: string]: readonly Step[] } = {
	"ranges, allow list, options, copy": [
		["open", {}],
		["optionSet", { option: "rlimit-mode", value: 1 }, {}],
		["optionGet", { option: "rlimit-mode" }, { value: 1 }],
		["bind", { dev }, { idev: 1 }],
		["ioasAlloc", {}, { ioas: 2 }],
		["ioasAlloc", {}, { ioas: 3 }],
		["optionSet", { option: "rlimit-mode", value: 0 }, { errno: "EBUSY" }],
		["optionSet", { option: "huge-pages", ioas: 2, value: 0 }, {}],
		["optionGet", { option: "huge-pages", ioas: 2 }, { value: 0 }],
		[
			"optionSet",
			{ option: "huge-pages", ioas: 2, value: 7 },
			{ errno: "EINVAL" },
		],
		["attach", { dev, pt: 2 }, { hwpt: 4 }],
		[
			"iovaRanges",
			{ ioas: 2 },
			{ ranges: [{ start: "0x1000000", last: "0x7fffffff" }], align: 4096 },
		],
		["iovaRanges", { ioas: 2, num: 0 }, { errno: "EMSGSIZE" }],
		["iovaRanges", { ioas: 9 }, { errno: "ENOENT" }],
		[
			"allowIovas",
			{ ioas: 2, ranges: [{ start: "0x2000000", last: "0x2ffffff" }] },
			{},
		],
		[
			"map",
			{ ioas: 2, length: "0x4000", va: "0x70000000", prot: 3 },
			{ iova: "0x2000000" },
		],
		[
			"copy",
			{
				src: 2,
				dst: 3,
				srcIova: "0x2000000",
				length: "0x4000",
				dstIova: "0x5000000",
				prot: 1,
			},
			{ iova: "0x5000000" },
		],
		[
			"copy",
			{ src: 2, dst: 3, srcIova: "0x9000000", length: "0x4000", prot: 1 },
			{ errno: "ENOENT" },
		],
		[
			"unmap",
			{ ioas: 2, iova: "0x2000000", length: "0x4000" },
			{ bytes: "0x4000" },
		],
		[
			"unmap",
			{ ioas: 3, iova: "0x5000000", length: "0x4000" },
			{ bytes: "0x4000" },
		],
		["vfioIoas", {}, { errno: "ENODEV" }],
		["vfioIoas", { ioas: 3 }, {}],
		["vfioIoas", {}, { ioas: 3 }],
		["vfioIoasClear", {}, {}],
	],
	"VFIO type1 on the IOAS in the slot: v2 keeps areas whole, v1 cuts them": [
		...START,
		[
			"vfioMap",
			{ iova: "0x2000000", length: "0x4000", va: "0x70000000", prot: 3 },
			{ errno: "ENODEV" },
		],
		["vfioIoas", { ioas: 2 }, {}],
		["vfioCheckExtension", { extension: 1 }, { ret: 1 }],
		["vfioCheckExtension", { extension: 6 }, { ret: 0 }],
		["vfioSetIommu", { version: "v2" }, {}],
		[
			"vfioMap",
			{ iova: "0x2000000", length: "0x4000", va: "0x70000000", prot: 3 },
			{},
		],
		[
			"vfioMap",
			{ iova: "0x2001000", length: "0x1000", va: "0x70000000", prot: 3 },
			{ errno: "EEXIST" },
		],
		["vfioUnmap", { iova: "0x2001000", length: "0x1000" }, { errno: "ENOENT" }],
		["vfioUnmap", { iova: "0x9000000", length: "0x1000" }, { bytes: "0x0" }],
		["vfioSetIommu", { version: "v1" }, {}],
		["vfioUnmap", { iova: "0x2001000", length: "0x1000" }, { bytes: "0x1000" }],
		["vfioUnmap", { iova: "0x2002800", length: "0x800" }, { errno: "EINVAL" }],
		["attach", { dev, pt: 2 }, {}],
		["vfioInfo", {}, { pgsizes: "0x1000" }],
		["vfioUnmap", {}, { bytes: "0x3000" }],
		["vfioUnmap", {}, { bytes: "0x0" }],
	],
	"an access pins, is asked to let go, moves and ends": [
		...START,
		map(2, "0x2000000"),
		map(3, "0x2000000"),
		["accessCreate", { pinning: true }, { access: 4 }],
		[
			"accessPin",
			{ access: 4, iova: "0x2000000", length: "0x1000" },
			{ errno: "ENOENT" },
		],
		["accessAttach", { access: 4, ioas: 2 }, {}],
		["destroy", { id: 2 }, { errno: "EBUSY" }],
		[
			"accessPin",
			{ access: 4, iova: "0x2000000", length: "0x1000" },
			{ item: 0 },
		],
		[
			"accessPin",
			{ access: 4, iova: "0x2001000", length: "0x2000" },
			{ item: 1 },
		],
		["accessUnpin", { access: 4, item: 0 }, {}],
		["accessUnpin", { access: 4, item: 0 }, { errno: "ENOENT" }],
		[
			"accessRw",
			{ access: 4, iova: "0x2000010", length: "0x20", write: true },
			{},
		],
		[
			"unmap",
			{ ioas: 2, iova: "0x2000000", length: "0x4000" },
			{ bytes: "0x4000" },
		],
		["accessReplace", { access: 4, ioas: 3 }, {}],
		["destroy", { id: 2 }, {}],
		[
			"accessPin",
			{ access: 4, iova: "0x2000000", length: "0x1000" },
			{ item: 2 },
		],
		["destroy", { id: 4 }, { errno: "EBUSY" }],
		["unbind", { dev }, {}],
		["close", {}, { errno: "EBUSY" }],
		["accessDestroy", { access: 4 }, {}],
		["ioasAlloc", {}, { ioas: 1 }],
		["close", {}, {}],
	],
	"dirty tracking": [
		...START,
		["hwptAlloc", { dev, pt: 2, flags: 2 }, { hwpt: 4 }],
		[
			"hwptAlloc",
			{ dev, pt: 2, flags: 8 },
			{ errno: "EOPNOTSUPP", step: "flags" },
		],
		map(2, "0x2000000"),
		["attach", { dev, pt: 4 }, { hwpt: 4 }],
		["dirtySet", { hwpt: 4, on: true }, {}],
		[
			"deviceWrote",
			{ hwpt: 4, iova: "0x2000800", length: "0x10" },
			{ marked: 1 },
		],
		[
			"dirtyGet",
			{ hwpt: 4, iova: "0x2000000", length: "0x4000", pageSize: "0x800" },
			{ dirty: [{ iova: "0x2000800", length: "0x800" }] },
		],
		[
			"dirtyGet",
			{ hwpt: 4, iova: "0x2000000", length: "0x4000", pageSize: "0x800" },
			{ dirty: [] },
		],
		[
			"deviceWrote",
			{ hwpt: 4, iova: "0x2000000", length: "0x4000" },
			{ marked: 8 },
		],
		[
			"unmap",
			{ ioas: 2, iova: "0x2000000", length: "0x4000" },
			{ bytes: "0x4000" },
		],
		map(2, "0x2000000"),
		[
			"dirtyGet",
			{ hwpt: 4, iova: "0x2000000", length: "0x4000", pageSize: "0x800" },
			{ dirty: [] },
		],
		["dirtySet", { hwpt: 4, on: false }, {}],
		["dirtySet", { hwpt: 2, on: true }, { errno: "ENOENT" }],
		["detach", { dev }, {}],
		["destroy", { id: 4 }, {}],
	],
	"nested hwpt, faults, invalidation": [
		...START,
		["hwptAlloc", { dev, pt: 2, flags: 1 }, { hwpt: 4 }],
		["faultQueueAlloc", {}, { fault: 5 }],
		[
			"hwptAlloc",
			{
				dev,
				pt: 4,
				flags: 4,
				data: { type: 0xdead, bytes: "01000000" },
				fault: 5,
			},
			{ hwpt: 6 },
		],
		["hwptAlloc", { dev, pt: 2, flags: 4, fault: 5 }, { errno: "EOPNOTSUPP" }],
		["destroy", { id: 4 }, { errno: "EBUSY" }],
		["destroy", { id: 5 }, { errno: "EBUSY" }],
		["attach", { dev, pt: 6 }, { hwpt: 6 }],
		["destroy", { id: 6 }, { errno: "EBUSY" }],
		["pageRequest", { dev, grpid: 7, addr: "0x3000", perm: 1 }, {}],
		[
			"faultRead",
			{ fault: 5 },
			{
				faults: [
					{
						addr: "0x3000",
						cookie: 1,
						dev_id: 1,
						flags: 2,
						grpid: 7,
						length: 0,
						pasid: 0,
						perm: 1,
					},
				],
			},
		],
		["faultAnswer", { fault: 5, cookie: 2, code: 0 }, { errno: "EINVAL" }],
		["faultAnswer", { fault: 5, cookie: 1, code: 0 }, {}],
		[
			"invalidate",
			{ hwpt: 6, type: 0xdeadbeef, entryLen: 8, entries: "0100000000000000" },
			{ done: 1 },
		],
		[
			"invalidate",
			{ hwpt: 6, type: 0xdeadbeef, entryLen: 8, entries: "0000000009000000" },
			{ errno: "EINVAL" },
		],
		["pageRequest", { dev, grpid: 8, addr: "0x4000", perm: 1 }, {}],
		["replace", { dev, pt: 4 }, { hwpt: 4 }],
		["faultRead", { fault: 5 }, { faults: [] }],
		["destroy", { id: 6 }, {}],
		["destroy", { id: 5 }, { errno: "EBUSY" }],
		["faultQueueClose", { fault: 5 }, {}],
		["destroy", { id: 5 }, {}],
		["detach", { dev }, {}],
		[
			"hwptAlloc",
			{ dev, pt: 4, data: { type: 0xdead, bytes: "01000000" } },
			{ hwpt: 5 },
		],
		["unbind", { dev }, {}],
		["close", {}, {}],
	],
};

describe.each(Object.entries(SITUATIONS))("%s", (_, steps) => {
	test("answers are the kernel's", () => {
		const { answers } = play(steps);
		for (const [i, [op, , wanted]] of steps.entries())
			if (wanted !== undefined)
				expect({ i, op, ...(answers[i] as object) }).toMatchObject({
					i,
					op,
					...wanted,
				});
	});
	test("records are whole, and break no invariant", () => {
		const { system } = play(steps);
		expect(
			system.records.map(recordProblem).filter((p) => p !== undefined),
		).toEqual([]);
		expect(judged(system).errors).toEqual([]);
	});
	test("all engines write the same, and the run can be decided again", () => {
		const { system } = play(steps);
		for (const engine of ["xstate", "compiled"] as const)
			expect(
				firstDifference(system.records, play(steps, {}, engine).system.records),
			).toBe(-1);
		expect(
			firstDifference(system.records, redecide(system.header, system.records)),
		).toBe(-1);
	});
	test("whichever step fails, no invariant breaks but for A8", () => {
		const { failableSteps } = play(steps).system;
		for (let failNth = 1; failNth <= failableSteps; failNth++) {
			const { system } = play(steps, { failNth }, "compiled");
			// A detach cannot fail: a driver that refuses the blocking domain tears the group (facts §4.3), which GRP-1 is there to say.
			const torn = system.records.some(
				({ type, op }) =>
					type === "hw.attach.failed" &&
					["detach", "unbind"].includes(
						(system.records[op - 1]!.data as { op: string }).op,
					),
			);
			const errors = judged(system).errors.filter((id) => id !== "VFT-7");
			if (torn) expect(errors).toContain("GRP-1");
			else expect({ failNth, errors }).toEqual({ failNth, errors: [] });
		}
	});
});

describe("random commands", () => {
	test("keep every invariant, and can be decided again by the other engine", () => {
		fc.assert(
			fc.property(fc.array(step, { minLength: 10, maxLength: 80 }), (steps) => {
				const { system } = play([...SET_UP, ...steps]);
				expect(judged(system).errors).toEqual([]);
				expect(
					system.records.map(recordProblem).find((p) => p !== undefined),
				).toBeUndefined();
				const again = redecide(system.header, system.records);
				expect(firstDifference(system.records, again)).toBe(-1);
			}),
			{ numRuns: 150 },
		);
	});
});
