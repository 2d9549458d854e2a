/** An actor that looks its transitions up in the compiled table is an XState actor like any other, step by step. */
import { afterEach, describe, expect, test, vi } from "vitest";
import {
	type AnyStateMachine,
	createActor,
	type InspectionEvent,
	type SnapshotFrom,
} from "xstate";
import { compileMachine, stepCompiled } from "../../machines/compile.ts";
import { type AnyDefinition, toXState } from "../../machines/define.ts";
import { device } from "../../machines/device.ts";
import { domain } from "../../machines/domain.ts";
import { HOT_AFTER } from "../../machines/hot-row.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { toTableActor } from "../../machines/table-actor.ts";

type Event = { readonly type: string; readonly [field: string]: unknown };
interface Life {
	readonly definition: AnyDefinition;
	readonly input: unknown;
	readonly events: readonly Event[];
}

const HWPT = "ctx:1/hwpt:1@1";
const LIVES: readonly Life[] = [
	{
		definition: device,
		input: { dev: "device:a", requireDirect: true, cc: true, dirty: false },
		events: [
			{ type: "dev.attach", hwpt: HWPT, first: true },
			{ type: "dev.bind", ctx: "ctx:1", idev: "ctx:1/idev:1@1" },
			{ type: "hw.attach", dom: "domain:3", blocking: true, verdict: null },
			{ type: "hw.attach", dom: "domain:3", blocking: false, verdict: null },
			{ type: "dev.attach", hwpt: HWPT, first: true },
			{ type: "no.such.event" },
			{ type: "constructor" },
			{ type: "__proto__" },
			{ type: "dev.unbind" },
			{ type: "dev.detach", hwpt: HWPT, last: true },
		],
	},
	{
		definition: iommuGroup,
		input: {
			group: "group:1",
			members: [{ dev: "device:a", requireDirect: false }],
			kernelDrivers: 0,
		},
		events: [
			{ type: "grp.default.set", dom: "domain:1" },
			{ type: "grp.claim", owner: "ctx:1" },
			{ type: "grp.own", owner: "ctx:1" },
			{ type: "ig.get", ctx: "ctx:1" },
			{ type: "ig.lock" },
			{ type: "ig.lock" },
			{ type: "ig.hwpt.set", hwpt: HWPT },
			{ type: "ig.list.add", dev: "device:a", hwpt: HWPT },
			{ type: "grp.domain.set", dom: "domain:2", torn: false },
			{ type: "ig.list.remove", dev: "device:b" },
			{ type: "ig.list.remove", dev: "device:a" },
			{ type: "ig.unlock" },
		],
	},
	{
		definition: domain,
		input: { dom: "domain:1" },
		events: [
			{ type: "dom.create", kind: "dma", shape: null },
			{ type: "dom.cc" },
			{ type: "dom.populating" },
			{ type: "dom.current" },
			{ type: "dom.drained" },
			{ type: "dom.left" },
			{ type: "dom.free" },
		],
	},
];

/** Everything a snapshot shows of itself. */
const shown = (snapshot: SnapshotFrom<AnyStateMachine>, events: Event[]) => ({
	json: JSON.parse(JSON.stringify(snapshot)),
	nodes: snapshot._nodes.map(({ id }) => id).sort(),
	can: events.map((event) => snapshot.can(event)),
	matches: snapshot.matches(snapshot.value),
});

/** Runs a life: the snapshots a subscriber saw, and what is left behind. */
function lived(logic: AnyStateMachine, { input, events }: Life) {
	const inspected: string[] = [];
	const actor = createActor(logic, {
		input,
		id: "one",
		inspect: (event: InspectionEvent) => {
			if (event.type === "@xstate.event" || event.type === "@xstate.snapshot")
				inspected.push(`${event.type} ${event.event.type}`);
		},
	});
	const seen: unknown[] = [];
	actor.subscribe((snapshot) => seen.push(shown(snapshot, [...events])));
	actor.start();
	for (const event of events) actor.send(event);
	const persisted = actor.getPersistedSnapshot();
	const again = createActor(logic, { snapshot: persisted, input }).start();
	again.send(events[0]!);
	const resumed = shown(again.getSnapshot(), [...events]);
	actor.stop();
	const { status } = actor.getSnapshot();
	return { seen, inspected, persisted, resumed, status };
}

describe.each(LIVES.map((life) => [life.definition.id, life] as const))(
	"%s",
	(_id, life) => {
		test("subscribers, inspectors, snapshots, resumption and end are as by XState's interpreter", () => {
			const table = lived(toTableActor(life.definition), life);
			const interpreter = lived(toXState(life.definition), life);
			expect(table).toEqual(interpreter);
			expect(table.seen.length).toBe(life.events.length + 1);
			expect(table.status).toBe("stopped");
		});

		test("a snapshot that was taken stays as it was", () => {
			const actor = createActor(toTableActor(life.definition), {
				input: life.input,
			}).start();
			const taken: string[] = [];
			const kept = life.events.map((event) => {
				actor.send(event);
				taken.push(JSON.stringify(actor.getSnapshot()));
				return actor.getSnapshot();
			});
			expect(kept.map((snapshot) => JSON.stringify(snapshot))).toEqual(taken);
		});
	},
);

test("an event that changes nothing leaves the snapshot itself", () => {
	const quiet: AnyDefinition = {
		id: "quiet",
		about: "for this test",
		events: ["go", "stay"],
		start: () => ({ n: 0 }),
		guards: { never: () => false },
		actions: {},
		config: {
			initial: "A",
			states: {
				A: { on: { go: { target: "B" }, stay: { guard: "never" } } },
				B: {},
			},
		},
	};
	const actor = createActor(toTableActor(quiet)).start();
	const before = actor.getSnapshot();
	actor.send({ type: "stay" });
	expect(actor.getSnapshot()).toBe(before);
	actor.send({ type: "go" });
	expect(actor.getSnapshot().value).toBe("B");
	expect(actor.getSnapshot().machine.id).toBe("quiet");
});

test("what every object inherits is no event of the table", () => {
	const table = compileMachine(domain);
	const context = table.start({ dom: "domain:1" });
	const step = (type: string) =>
		stepCompiled(table, table.initial, context, { type });
	for (const type of ["constructor", "__proto__", "toString"])
		expect(step(type)).toEqual(step("no.such.event"));
});

describe("where code may not be generated", () => {
	afterEach(() => vi.unstubAllGlobals());

	test.each(LIVES.map((life) => [life.definition.id, life] as const))(
		"%s: the table spreads, and comes to the same",
		(_, { definition, input, events }) => {
			const run = () => {
				const table = compileMachine(definition);
				const seen: unknown[] = [];
				// Often enough for a row to become a function where that is allowed.
				for (let i = 0; i <= HOT_AFTER + 1; i++) {
					let at = table.initial;
					let context = table.start(input);
					for (const event of events) {
						({ at, context } = stepCompiled(table, at, context, event));
						seen.push([at, context]);
					}
				}
				return {
					seen,
					merges: table.merge !== undefined,
					hot: table.hot.some((row) => row !== undefined),
				};
			};
			const allowed = run();
			expect(allowed).toMatchObject({ merges: true, hot: true });
			vi.stubGlobal("Function", function refuse() {
				throw new EvalError("not here");
			});
			expect(run()).toEqual({ ...allowed, merges: false, hot: false });
			vi.stubGlobal("Function", function spoil() {
				throw new SyntaxError("a defect");
			});
			expect(run).toThrow("a defect");
		},
	);
});
