/**
 * The corpus that pins the machines: every shipped scenario under every flow and some switches, fail-nth sweeps, and walks of single
 * transactions through what no scenario reaches yet (fault queues). Each item gives text; a changed machine that matters changes some text.
 */
import { compileMachine, stepCompiled } from "../../machines/compile.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import type { GroupContext } from "../../machines/iommu-group.ts";
import type { HwptView } from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import { runScenario, type RunOptions } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";

/** Puts a definition in the place of another. */
export type Substitute = (definition: AnyDefinition) => AnyDefinition;
/** One item: `run` gives what happened, as text. */
export interface CorpusItem {
	readonly name: string;
	run(substitute: Substitute): string;
}

const asText = (value: unknown): string =>
	JSON.stringify(value, (_k, v) =>
		typeof v === "bigint" ? `0x${v.toString(16)}` : v,
	);

function item(
	scenario: string,
	flow: Flow,
	set: NonNullable<RunOptions["set"]> = {},
): CorpusItem {
	return {
		name: `${scenario} ${flow} ${Object.keys(set).length === 0 ? "" : asText(set)}`.trim(),
		run(definition) {
			const run = runScenario(runScenarioNamed(scenario), {
				flow,
				set,
				engine: "compiled",
				definition,
			});
			const states = run.system.snapshot().map(({ id, state }) => [id, state]);
			return asText([run.records, states]);
		},
	};
}

/** Every scenario under every flow. */
export const SCENARIO_ITEMS: readonly CorpusItem[] = RUN_SCENARIOS.flatMap(
	({ name }) => FLOWS.map((flow) => item(name, flow)),
);
const SWITCHED: readonly CorpusItem[] = [
	item("refused-member-one-ioas", "group-owned", { sameIoasUnreserve: false }),
	item("unwritable-result", "group-owned", { respFailureDetaches: false }),
	item("unwritable-result", "group-owned", { unwritableResult: "attach" }),
	item("unwritable-result", "group-owned", { unwritableResult: "ioasAlloc" }),
	item("unwritable-result", "group-owned", { unwritableResult: "hwptAlloc" }),
	item("unwritable-result", "posted-v2", { unwritableResult: "hwptAlloc" }),
	item("other-hwpt-sibling", "group-owned", { replaceByUnattached: true }),
	item("software-msi", "group-owned", { msiLearnedOnAttachOnly: false }),
	item("refused-member", "group-owned", { refusalTearsDown: false }),
];
/** failNth from 1 to the end of the run. */
function sweep(scenario: string, flow: Flow): CorpusItem[] {
	const { failableSteps } = runScenario(runScenarioNamed(scenario), {
		flow,
		engine: "compiled",
	}).system;
	return Array.from({ length: failableSteps }, (_, i) =>
		item(scenario, flow, { failNth: i + 1 }),
	);
}
const SWEEPS: readonly CorpusItem[] = [
	...sweep("replace-1", "group-owned"),
	...sweep("replace-1-auto", "group-owned"),
	...sweep("replace-3-auto", "group-owned"),
	...sweep("only-one-attached", "group-owned"),
	...sweep("software-msi", "group-owned"),
	...sweep("refused-member", "group-owned"),
	...(["posted-v2", "device-lagging", "device-forced"] as const).flatMap(
		(flow) => [
			...sweep("replace-1", flow),
			...sweep("replace-3", flow),
			...sweep("replace-3-one-ioas", flow),
			...sweep("replace-3-auto", flow),
		],
	),
];

/** Runs one transaction on its own: each step it asks for is answered by `answer`; gives the steps in order. */
export function walk(
	definition: AnyDefinition,
	begin: object,
	answer: (type: string, nth: number) => object | "fail",
): string[] {
	const machine = compileMachine(definition);
	const steps: string[] = [];
	const seen = new Map<string, number>();
	let now = stepCompiled(machine, machine.initial, machine.start(undefined), {
		type: "BEGIN",
		...begin,
	});
	while (steps.length < 200) {
		const { ask } = now.context as TxContext;
		const { type, to: _to, failable: _failable, ...args } = ask;
		steps.push(`${type} ${asText(args)}`);
		if (type === "return") return steps;
		const nth = (seen.get(type) ?? 0) + 1;
		seen.set(type, nth);
		const said = answer(type, nth);
		const event =
			said === "fail"
				? { type: "FAILED", errno: "EIO", step: type }
				: { type: "DONE", value: said };
		now = stepCompiled(machine, now.at, now.context, event);
	}
	throw new Error(
		`${definition.id} does not end: ${steps.slice(-4).join("; ")}`,
	);
}

const hwpt = (n: number, ioas: number, fault: boolean): HwptView => ({
	hwpt: `ctx:1/hwpt:${n}@1`,
	dom: `domain:${n}`,
	ioas: `ctx:1/ioas:${ioas}@1`,
	auto: false,
	fault,
});
/** A group's view as its lock hands it out. */
export const groupView = (
	fields: Partial<GroupContext>,
): Partial<GroupContext> => ({
	hwpt: null,
	list: [],
	msi: null,
	...fields,
});

/** A walk as a corpus item: `failAt` names the step, and which occurrence of it, that fails. */
function walkItem(
	name: string,
	definition: AnyDefinition,
	begin: object,
	lock: Partial<GroupContext>,
	failAt?: readonly [string, number],
): CorpusItem {
	return {
		name: `walk ${definition.id} ${name} ${failAt?.join("#") ?? ""}`.trim(),
		run: (substitute) =>
			asText(
				walk(substitute(definition), begin, (type, nth) => {
					if (failAt !== undefined && failAt[0] === type && failAt[1] === nth)
						return "fail";
					if (type === "ig.lock") return lock;
					if (type === "ig.list.remove")
						return { last: lock.list?.length === 1 };
					return { conflict: false, unused: false, ofGroup: [], empty: true };
				}),
			),
	};
}

const common = {
	dev: "device:a",
	ctx: "ctx:1",
	group: "group:1",
	pasid: "none",
};
const kernel = {
	sameIoasUnreserve: true,
	msiLearnedOnAttachOnly: true,
	replaceByUnattached: false,
};

/** Walks of attach, detach and replace over hwpts with and without a fault queue, each step failing once. */
export function faultWalks(machines: {
	readonly attach: AnyDefinition;
	readonly detach: AnyDefinition;
	readonly replace: AnyDefinition;
}): CorpusItem[] {
	const { attach, detach, replace } = machines;
	const fails: (readonly [string, number])[] = [
		["ig.lock", 1],
		["fault.iopf.on", 1],
		["call.switch", 1],
		["handle.alloc", 1],
		["dom.msi.cookie", 1],
		["resv.add", 1],
		["resv.add", 2],
		["ig.list.remove", 1],
	];
	const items: CorpusItem[] = [];
	for (const failAt of [undefined, ...fails]) {
		for (const msi of [null, 1]) {
			const view = groupView({ msi });
			items.push(
				walkItem(
					`queue msi ${msi}`,
					attach,
					{ ...common, to: hwpt(1, 1, true) },
					view,
					failAt,
				),
			);
		}
		for (const list of [["device:a"], ["device:a", "device:b"]] as const)
			items.push(
				walkItem(
					`queue of ${list.length}`,
					detach,
					{ ...common, to: hwpt(1, 1, true) },
					groupView({ list, hwpt: hwpt(1, 1, true).hwpt }),
					failAt,
				),
			);
		for (const [from, to] of [
			[true, true],
			[true, false],
			[false, true],
		] as const)
			for (const ioas of [1, 2])
				items.push(
					walkItem(
						`queue ${from}→${to} ioas ${ioas}`,
						replace,
						{
							...common,
							...kernel,
							from: hwpt(1, 1, from),
							to: hwpt(2, ioas, to),
						},
						groupView({
							list: ["device:a", "device:b"],
							hwpt: hwpt(1, 1, from).hwpt,
						}),
						failAt,
					),
				);
	}
	return items;
}

/** The items that run whole systems. */
export const SYSTEM_ITEMS: readonly CorpusItem[] = [
	...SCENARIO_ITEMS,
	...SWITCHED,
	...SWEEPS,
];
