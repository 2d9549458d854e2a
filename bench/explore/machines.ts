/** Transitions per second of the compiled machines beside XState's `send`, on the same events. */
import { createActor } from "xstate";
import { attach } from "../../machines/attach.ts";
import { compileMachine, stepCompiled } from "../../machines/compile.ts";
import { type AnyDefinition, toXState } from "../../machines/define.ts";
import { device } from "../../machines/device.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { row } from "./contest.ts";

const ROUNDS = 9;
const COMPILED = 200_000;
const SENDS = 20_000;

type Event = { readonly type: string; readonly [field: string]: unknown };
/** A machine, events that bring it to where its cycle starts, and the cycle. */
interface Walk {
	readonly definition: AnyDefinition;
	readonly input: unknown;
	readonly before: readonly Event[];
	readonly cycle: readonly Event[];
}

const HWPT = "ctx:1/hwpt:1@1";
const done: Event = {
	type: "DONE",
	value: { hwpt: null, list: ["device:b"], msi: null, conflict: false },
};
const WALKS: readonly Walk[] = [
	{
		definition: attach,
		input: undefined,
		before: [],
		cycle: [
			{
				type: "BEGIN",
				dev: "device:a",
				ctx: "ctx:1",
				group: "group:1",
				pasid: "none",
				to: {
					hwpt: HWPT,
					dom: "domain:1",
					ioas: "ctx:1/ioas:2@1",
					auto: false,
					fault: false,
				},
			},
			...Array.from({ length: 6 }, () => done),
		],
	},
	{
		definition: iommuGroup,
		input: {
			group: "group:1",
			members: [{ dev: "device:a", requireDirect: false }],
			kernelDrivers: 0,
		},
		before: [{ type: "ig.get", ctx: "ctx:1" }],
		cycle: [
			{ type: "ig.lock" },
			{ type: "ig.list.add", dev: "device:a", hwpt: HWPT },
			{ type: "ig.hwpt.set", hwpt: HWPT },
			{ type: "ig.list.remove", dev: "device:a" },
			{ type: "ig.unlock" },
		],
	},
	{
		definition: device,
		input: { dev: "device:a", requireDirect: false, cc: true },
		before: [{ type: "dev.bind", ctx: "ctx:1", idev: "ctx:1/idev:1@1" }],
		cycle: [
			{
				type: "hw.attach",
				dom: "domain:3",
				blocking: false,
				undo: false,
				verdict: null,
			},
			{ type: "dev.attach", hwpt: HWPT, first: true },
			{ type: "dev.detach", hwpt: HWPT, last: true },
		],
	},
];

const nanoseconds = (n: number, body: () => void): number => {
	const start = process.hrtime.bigint();
	body();
	return Number(process.hrtime.bigint() - start) / n;
};

function bare({ definition, input, before, cycle }: Walk): number {
	const actor = createActor(toXState(definition), { input });
	actor.start();
	for (const event of before) actor.send(event);
	const n = Math.ceil(SENDS / cycle.length) * cycle.length;
	return nanoseconds(n, () => {
		for (let i = 0; i < n; i += cycle.length)
			for (const event of cycle) actor.send(event);
	});
}

function compiled({ definition, input, before, cycle }: Walk): number {
	const machine = compileMachine(definition);
	let at = machine.initial;
	let context = machine.start(input);
	const send = (event: Event): void => {
		({ at, context } = stepCompiled(machine, at, context, event));
	};
	for (const event of before) send(event);
	const n = Math.ceil(COMPILED / cycle.length) * cycle.length;
	return nanoseconds(n, () => {
		for (let i = 0; i < n; i += cycle.length)
			for (const event of cycle) send(event);
	});
}

const median = (times: readonly number[]): number =>
	[...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;

/** Prints the table. */
export function machines(): void {
	console.log(
		`compiled machines beside XState send (aim 50x), ${ROUNDS} rounds`,
	);
	console.log(row(["", "send ns", "compiled ns", "min ratio", "median ratio"]));
	for (const walk of WALKS) {
		const sends: number[] = [];
		const steps: number[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			sends.push(bare(walk));
			steps.push(compiled(walk));
		}
		const send = Math.min(...sends);
		const step = Math.min(...steps);
		console.log(
			row([
				walk.definition.id,
				Math.round(send),
				Math.round(step),
				`${(send / step).toFixed(1)}x`,
				`${(median(sends) / median(steps)).toFixed(1)}x`,
			]),
		);
	}
}
