/** The embedded library: typed errors, records and snapshots as observables, systems that share nothing, runs decided again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Update } from "../../machines/define.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import type { Command, OpName } from "../../src/orchestrator/commands.ts";
import { Core, runHeader } from "../../src/orchestrator/core.ts";
import type { EngineName } from "../../src/orchestrator/engine.ts";
import { IommuError } from "../../src/orchestrator/error.ts";
import { firstDifference, redecide } from "../../src/orchestrator/redecide.ts";
import { type Flow, FLOWS } from "../../src/orchestrator/switches.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { parseRunScenario } from "../../src/scenarios/run-scenario.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";
import { DEVICES, threeInOneGroup } from "../../src/scenarios/setting.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { fact, recordProblem } from "../../src/vocabulary/records.ts";

const topology = threeInOneGroup();
const { dev1, dev2 } = DEVICES;

function bound(engine: EngineName = "mixed", flow: Flow = "group-owned") {
	const system = createIommuSystem({ topology, engine, flow });
	const ctx = system.open();
	for (const dev of Object.values(DEVICES)) system.bind({ ctx, dev });
	return { system, ctx };
}

describe("calls", () => {
	test("give ids back, and records of the schema with dense numbers", () => {
		const { system, ctx } = bound();
		const ioas = system.ioasAlloc({ ctx });
		expect(
			system.map({
				ctx,
				ioas,
				iova: "0x100000",
				length: "0x2000",
				va: "0x7000",
				prot: 3,
			}),
		).toBe(0x10_0000);
		const hwpt = system.attach({ ctx, dev: dev1, pt: ioas });
		expect(system.attach({ ctx, dev: dev2, pt: ioas })).toBe(hwpt);
		expect(
			system.unmap({ ctx, ioas, iova: "0x100000", length: "0x2000" }),
		).toBe(0x2000);
		system.detach({ ctx, dev: dev1 });
		expect(system.records.map(({ seq }) => seq)).toEqual(
			system.records.map((_, i) => i + 1),
		);
		expect(
			system.records
				.map(recordProblem)
				.filter((problem) => problem !== undefined),
		).toEqual([]);
	});
	test("that fail throw the kernel's errno with the step and the operation", () => {
		const { system, ctx } = bound();
		const failed = (() => {
			try {
				system.replace({ ctx, dev: dev1, pt: 99 });
			} catch (error) {
				return error;
			}
			return undefined;
		})();
		expect(failed).toBeInstanceOf(IommuError);
		expect(failed).toMatchObject({
			errno: "ENOENT",
			step: "id.look",
			op: "replace",
		});
		const last = system.records.at(-1)!;
		expect(last).toMatchObject({
			type: "op.fail",
			op: (failed as IommuError).seq,
			data: { errno: "ENOENT", step: "id.look" },
		});
	});
	test("that are none throw, and leave no record", () => {
		const { system, ctx } = bound();
		const ioas = system.ioasAlloc({ ctx });
		const before = system.records.length;
		const area = { ctx, ioas, iova: "0x100000", va: "0x7000", prot: 3 };
		const none: readonly (readonly [unknown, RegExp])[] = [
			[{ op: "constructor", args: {} }, /unknown operation "constructor"/],
			[{ op: "__proto__", args: {} }, /unknown operation "__proto__"/],
			[{ op: "map" }, /operation map needs its arguments in an object/],
			[{ op: "map", args: null }, /needs its arguments in an object/],
			[{ op: "map", args: { ...area, length: "4096" } }, /not a 64-bit hex/],
			[
				{ op: "map", args: { ...area, iova: "zz", length: "0x1000" } },
				/not a 64-bit hex value: "zz"/,
			],
		];
		for (const [command, message] of none) {
			expect(() => system.dispatch(command as Command)).toThrow(RangeError);
			expect(() => system.dispatch(command as Command)).toThrow(message);
		}
		expect(system.records.length).toBe(before);
		system.map({ ...area, length: "0x1000" });
		expect(system.records.map(({ seq }) => seq)).toEqual(
			system.records.map((_, i) => i + 1),
		);
		expect(system.records[before]).toMatchObject({
			type: "op.begin",
			seq: before + 1,
			op: before + 1,
		});
	});
	test("that break off in the middle, a defect, are the last, and have no records", () => {
		let isBroken = false;
		const setDomain = (...given: readonly [never, never]): object => {
			if (isBroken) throw new TypeError("a hole");
			return (iommuGroup.actions["setDomain"] as Update<object>)(...given);
		};
		const actions = { ...iommuGroup.actions, setDomain };
		const core = new Core(runHeader(topology), {
			engine: "compiled",
			definition: (one) =>
				one === iommuGroup
					? ({ ...one, actions } as unknown as typeof one)
					: one,
		});
		core.boot();
		const { seq } = core.decide({ op: "open", args: {} });
		const before = core.seq;
		isBroken = true;
		const bind = { op: "bind", args: { ctx: "ctx:1", dev: dev1 } } as const;
		expect(() => core.decide(bind)).toThrow("a hole");
		isBroken = false;
		expect(() => core.decide({ op: "open", args: {} })).toThrow(
			"an operation before broke off in the middle",
		);
		const [note, ...more] = core.note(
			fact("saga.ended", "host", { saga: seq, outcome: "committed" }),
		);
		expect([note?.seq, note?.op, more]).toEqual([before + 1, 0, []]);
	});
	test("on what does not exist are EBADF and ENODEV, and stand in the log", () => {
		const { system, ctx } = bound();
		expect(
			system.dispatch({ op: "ioasAlloc", args: { ctx: "ctx:9" } }),
		).toMatchObject({ ok: false, errno: "EBADF" });
		expect(
			system.dispatch({ op: "bind", args: { ctx, dev: "device:nowhere" } }),
		).toMatchObject({ ok: false, errno: "ENODEV" });
	});
	test("every operation begins, and ends once", () => {
		for (const scenario of RUN_SCENARIOS) {
			const open: number[] = [];
			for (const { type, seq, op } of runScenario(scenario, {
				engine: "compiled",
			}).records) {
				if (type === "op.begin") open.push(seq);
				else if (type === "op.commit" || type === "op.fail")
					expect(open.pop()).toBe(op);
				else expect(op).toBe(open[0]);
				expect(open.length).toBeLessThanOrEqual(1);
			}
			expect(open).toEqual([]);
		}
	});
	test("unknown switches, flows and drivers are named", () => {
		expect(() =>
			createIommuSystem({ topology, switches: { nope: true } }),
		).toThrow(/unknown switch nope; known: flow/);
		expect(() =>
			createIommuSystem({ topology, switches: { flow: "other" } }),
		).toThrow(/unknown flow "other"/);
		expect(() => runScenario(RUN_SCENARIOS[0]!, { driver: "nope" })).toThrow(
			/unknown driver personality "nope"/,
		);
		expect(() => runScenarioNamed("nope")).toThrow(/known: replace-1/);
		expect(() => parseRunScenario('{"name":"x"}')).toThrow(
			/title is not a string/,
		);
	});
});

describe("observables", () => {
	test("records$ gives records as they are written, snapshot$ the actors after each operation", () => {
		const { system, ctx } = bound();
		const seen: LogRecord[] = [];
		const states: (string | undefined)[] = [];
		const records = system.records$.subscribe((record) => seen.push(record));
		const snapshots = system.snapshot$.subscribe((actors) =>
			states.push(actors.find(({ id }) => id === "group:7")?.state),
		);
		const before = system.records.length;
		const ioas = system.ioasAlloc({ ctx });
		system.attach({ ctx, dev: dev1, pt: ioas });
		system.detach({ ctx, dev: dev1 });
		expect(seen).toEqual(system.records.slice(before));
		const idle = "ownership.Owned.OwnedIdle|attachment.Held.Idle";
		expect(states).toEqual([
			idle,
			idle,
			"ownership.Owned.OwnedUser|attachment.Held.Attached",
			idle,
		]);
		records.unsubscribe();
		snapshots.unsubscribe();
		system.ioasAlloc({ ctx });
		expect(states.length).toBe(4);
	});
	test("violations$ gives what is broken already, and what breaks later", () => {
		const { system, ctx } = bound("mixed", "posted-v2");
		const before: string[] = [];
		const later: string[] = [];
		const ids = ["A", "B"].map(() => system.ioasAlloc({ ctx }));
		for (const dev of Object.values(DEVICES))
			system.attach({ ctx, dev, pt: ids[0]! });
		system.violations$.subscribe(({ id }) => before.push(id));
		expect(before).toEqual([]);
		system.replace({ ctx, dev: dev1, pt: ids[1]! });
		expect(before).toContain("GRP-4");
		system.violations$.subscribe(({ id }) => later.push(id));
		expect(later).toEqual(before);
		const lossy = createIommuSystem({ topology, keep: false });
		expect(() => lossy.violations$).toThrow(/do not set keep to false/);
	});
	test("dispose ends every subscription", () => {
		const { system, ctx } = bound();
		let ended = 0;
		const complete = (): void => void ended++;
		system.records$.subscribe({ complete });
		system.snapshot$.subscribe({ complete });
		system.violations$.subscribe({ complete });
		system.dispose();
		expect(ended).toBe(3);
		expect(system.ioasAlloc({ ctx })).toBe(4);
	});
	test("inspection sees the actor tree: host, group, device", () => {
		const ids = new Set<string>();
		createIommuSystem({
			topology,
			inspect: (event) =>
				void (
					event.type === "@xstate.actor" &&
					ids.add((event.actorRef as unknown as { id: string }).id)
				),
		});
		expect(ids.has("host") && ids.has("group:7") && ids.has(dev1)).toBe(true);
	});
});

test("two systems in one process share nothing", () => {
	const one = bound();
	const two = bound();
	one.system.ioasAlloc({ ctx: one.ctx });
	expect(two.system.ioasAlloc({ ctx: two.ctx })).toBe(4);
	expect(firstDifference(one.system.records, two.system.records)).toBe(-1);
});

describe("redecide", () => {
	test.each(FLOWS)(
		"every scenario under %s gives the same records again",
		(flow) => {
			for (const scenario of RUN_SCENARIOS) {
				const { header, records } = runScenario(scenario, { flow });
				expect(firstDifference(records, redecide(header, records))).toBe(-1);
			}
		},
	);
	test("a changed record is found where it is", () => {
		const { header, records } = runScenario(runScenarioNamed("replace-1"));
		const changed = records.map((record) =>
			record.seq === 100 ? { ...record, actor: "host" as const } : record,
		) as LogRecord[];
		expect(firstDifference(changed, redecide(header, changed))).toBe(99);
	});
	test("an imported log is refused", () => {
		const { header, records } = runScenario(runScenarioNamed("replace-1"), {
			engine: "compiled",
		});
		expect(() => redecide({ ...header, origin: "import" }, records)).toThrow(
			/only a run can be decided again/,
		);
	});
});

describe("random commands", () => {
	const op = fc.record({
		kind: fc.constantFrom(
			"attach",
			"replace",
			"detach",
			"destroy",
			"hwptAlloc",
			"map",
			"unmap",
			"unbind",
			"bind",
			"ioasAlloc",
		),
		dev: fc.constantFrom(...Object.values(DEVICES)),
		id: fc.integer({ min: 1, max: 9 }),
	});
	const commandOf = (
		ctx: string,
		{ kind, dev, id }: { kind: string; dev: string; id: number },
	): Command => {
		const args = {
			ctx,
			dev,
			pt: id,
			id,
			ioas: id,
			iova: `0x${(0x10_0000 + id * 0x2000).toString(16)}`,
			length: "0x2000",
			va: "0x400000",
			prot: 3,
		};
		const wanted: { readonly [kind: string]: readonly (keyof typeof args)[] } =
			{
				destroy: ["ctx", "id"],
				map: ["ctx", "ioas", "iova", "length", "va", "prot"],
				unmap: ["ctx", "ioas", "iova", "length"],
				detach: ["ctx", "dev"],
				bind: ["ctx", "dev"],
				unbind: ["ctx", "dev"],
				ioasAlloc: ["ctx"],
			};
		const keys = wanted[kind] ?? ["ctx", "dev", "pt"];
		return {
			op: kind as OpName,
			args: Object.fromEntries(keys.map((key) => [key, args[key]])),
		} as unknown as Command;
	};
	test.each(FLOWS)(
		"%s: all engines write the same records, and the run can be decided again",
		(flow) => {
			fc.assert(
				fc.property(
					fc.array(op, { maxLength: 40 }),
					fc.integer({ min: 0, max: 60 }),
					(ops, failNth) => {
						const runs = (["xstate", "compiled", "mixed"] as const).map(
							(engine) => {
								const system = createIommuSystem({
									topology,
									engine,
									flow,
									switches: { failNth },
								});
								const opened = system.dispatch({ op: "open", args: {} });
								if (!opened.ok) return system;
								for (const dev of Object.values(DEVICES))
									system.dispatch({ op: "bind", args: { ctx: "ctx:1", dev } });
								for (const one of ops) system.dispatch(commandOf("ctx:1", one));
								return system;
							},
						);
						expect(firstDifference(runs[0]!.records, runs[1]!.records)).toBe(
							-1,
						);
						expect(
							firstDifference(
								runs[0]!.records,
								redecide(runs[0]!.header, runs[0]!.records),
							),
						).toBe(-1);
						expect(
							runs[0]!.records
								.map(recordProblem)
								.find((problem) => problem !== undefined),
						).toBeUndefined();
					},
				),
				{ numRuns: 25 },
			);
		},
	);
});
