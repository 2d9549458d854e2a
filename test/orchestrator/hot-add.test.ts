/** Hot add (R9): who joins, what is refused and what is left of it; a system that recovers from the log stands where the live one stood. */
import { describe, expect, test } from "vitest";
import { createJudge } from "../../src/invariants/judge.ts";
import { memoryStore } from "../../src/log/memory-store.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import type { Json } from "../../src/vocabulary/fields.ts";
import type { TopologyDevice, Topology } from "../../src/vocabulary/header.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";

const old = deviceId("0000:01:00.0");
const dev = deviceId("0000:01:00.1");
const group = groupId(3);
const machine = (newcomer: Partial<TopologyDevice> = {}): Topology => ({
	known: "complete",
	groups: [
		{
			group,
			driver: "vtd",
			members: [
				{ dev: old, resv: [] },
				{ dev, resv: [], ...newcomer, absent: true },
			],
		},
	],
});
const direct = [{ start: "0x1000", last: "0x1fff", kind: "direct" as const }];

function system(newcomer?: Partial<TopologyDevice>, refuse: Json = []) {
	const one = createIommuSystem({
		topology: machine(newcomer),
		switches: { refuse },
	});
	const ctx = one.open();
	return { one, ctx };
}
type Live = ReturnType<typeof system>;
const membersIn = ({ one }: Live) => {
	const found = one.snapshot().find(({ id }) => id === group)!;
	const { members } = found.context as { members: { dev: string }[] };
	return members.map((member) => member.dev);
};
function attached(live: Live): void {
	const { one, ctx } = live;
	one.bind({ ctx, dev: old });
	one.attach({ ctx, dev: old, pt: one.ioasAlloc({ ctx }) });
}
const warnings = ({ one }: Live) => {
	const judge = createJudge(one.header);
	for (const record of one.records) judge.next(record);
	judge.finish();
	const { violations, warnings: risks } = judge.verdicts;
	expect(violations).toEqual([]);
	return risks.map(({ id }) => id);
};
const lastSteps = ({ one }: Live, n: number) =>
	one.records.slice(-n).map(({ type, data }) => [type, data]);

describe("a device that is absent at boot", () => {
	test("is ENODEV to every call until it is added; added twice it is added once", () => {
		const live = system();
		const { one, ctx } = live;
		for (const op of ["bind", "unbind", "detach", "irqRequest"] as const)
			expect(one.dispatch({ op, args: { ctx, dev } })).toMatchObject({
				errno: "ENODEV",
			});
		expect(membersIn(live)).toEqual([old]);
		one.hotAdd({ dev });
		expect(membersIn(live)).toEqual([old, dev]);
		one.hotAdd({ dev });
		expect(lastSteps(live, 2).map(([type]) => type)).toEqual([
			"op.begin",
			"op.commit",
		]);
		expect(membersIn(live)).toEqual([old, dev]);
		expect(one.bind({ ctx, dev })).toBe(1);
	});
	test("joins the default domain of a free group, the blocking one of a bound group: nothing to report", () => {
		const free = system();
		free.one.hotAdd({ dev });
		expect(warnings(free)).toEqual([]);
		const bound = system();
		bound.one.bind({ ctx: bound.ctx, dev: old });
		bound.one.hotAdd({ dev });
		expect(warnings(bound)).toEqual([]);
	});
	test("joins the user's domain of an attached group, unbound: GRP-16", () => {
		const live = system({ resv: direct });
		attached(live);
		live.one.hotAdd({ dev });
		expect(lastSteps(live, 3)).toMatchObject([
			["grp.member.added", { group, dev }],
			["hw.attach", { dev, dom: "domain:3" }],
			["op.commit", {}],
		]);
		expect(warnings(live)).toEqual(["GRP-16"]);
	});
	test("moves with its group from then on: the last detach blocks it", () => {
		const live = system();
		attached(live);
		live.one.hotAdd({ dev });
		const before = live.one.records.length;
		live.one.detach({ ctx: live.ctx, dev: old });
		const blocked = live.one.records
			.slice(before)
			.filter(
				({ type, data }) =>
					type === "hw.attach" && (data as { dev: string }).dev === dev,
			);
		expect(blocked).toMatchObject([{ data: { dom: "domain:2" } }]);
		expect(warnings(live)).toEqual(["GRP-16"]);
	});
});

describe("a refused newcomer is no member", () => {
	test("its driver refuses: the errno, no member, no word of a translation torn down", () => {
		const refuse = [{ dev, to: "any", errno: "ENODEV", when: "forward" }];
		const live = system({}, refuse);
		attached(live);
		expect(live.one.dispatch({ op: "hotAdd", args: { dev } })).toMatchObject({
			ok: false,
			errno: "ENODEV",
			step: "hw.attach",
		});
		expect(lastSteps(live, 4).map(([type]) => type)).toEqual([
			"grp.member.added",
			"hw.attach.failed",
			"grp.member.removed",
			"op.fail",
		]);
		expect(membersIn(live)).toEqual([old]);
		expect(warnings(live)).toEqual([]);
	});
	test("a mandated direct region and a blocked group: EINVAL", () => {
		const live = system({ resv: direct });
		live.one.bind({ ctx: live.ctx, dev: old });
		expect(live.one.dispatch({ op: "hotAdd", args: { dev } })).toMatchObject({
			errno: "EINVAL",
		});
		expect(membersIn(live)).toEqual([old]);
		expect(warnings(live)).toEqual([]);
	});
	test("no memory for the group's entry: ENOMEM, nothing on record", () => {
		const { one } = system();
		const n = one.failableSteps + 1;
		const short = createIommuSystem({
			topology: machine(),
			switches: { failNth: n },
		});
		short.open();
		expect(short.dispatch({ op: "hotAdd", args: { dev } })).toMatchObject({
			errno: "ENOMEM",
			step: "grp.member.add",
		});
		expect(short.records.at(-2)?.type).toBe("op.begin");
	});
});

test.each([[[]], [[{ dev, to: "any", errno: "EINVAL", when: "forward" }]]])(
	"recovered from its log a system stands where it stood, refusals %j",
	async (refuse) => {
		const header = runHeader(machine(), { refuse: refuse as Json });
		const store = memoryStore(header);
		const first = await createIommuSystem({ store });
		const ctx = await first.open();
		await first.bind({ ctx, dev: old });
		await first.dispatch({ op: "hotAdd", args: { dev } });
		const before = await first.snapshot();
		await first.dispose();
		const again = await createIommuSystem({ store });
		const actors = (list: typeof before) =>
			new Map(
				list
					.filter(({ id }) => !id.includes(" of "))
					.map(({ id, state, context }) => [
						id,
						{ state, ...context, answer: undefined },
					]),
			);
		expect(actors(again.snapshot())).toEqual(actors(before));
		expect(again.recovery.violations).toEqual([]);
		await again.dispose();
	},
);

test("a group whose members are all absent is refused", () => {
	const [only] = machine().groups;
	const groups = [{ ...only!, members: only!.members.slice(1) }];
	expect(() =>
		createIommuSystem({ topology: { known: "complete", groups } }),
	).toThrow(/every member of group:3 is absent/);
});
