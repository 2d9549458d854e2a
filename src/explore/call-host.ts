/**
 * The host that concurrent calls run on: an executor over cells, set up as in facts iommufd-semantics.md §3.5 (all devices bound, H1
 * on IOAS A, H2 on IOAS B, each IOAS with one mapped area).
 */
import { ask } from "../../machines/steps.ts";
import { type Command, carryOut } from "../orchestrator/commands.ts";
import { Executor } from "../orchestrator/executor.ts";
import { transactionsOf } from "../orchestrator/flows.ts";
import { Outside } from "../orchestrator/outside.ts";
import { type Switches, switchesFrom } from "../orchestrator/switches.ts";
import { runHeader } from "../orchestrator/core.ts";
import type { LogHeader, Topology } from "../vocabulary/header.ts";
import type { DeviceId, GroupId } from "../vocabulary/ids.ts";
import { ctxId, deviceId, groupId, objectId } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import { cellEngine, type SwitchableEngine } from "./call-cells.ts";
import type { CallScenario } from "./call-scenario.ts";
import { ScenarioError } from "./scenario-error.ts";

export const CTX = ctxId(1);
/** The device of each number. */
const DEVS = [
	deviceId("0000:01:00.0"),
	deviceId("0000:02:00.0"),
	deviceId("0000:02:01.0"),
	deviceId("0000:03:00.0"),
	deviceId("0000:04:00.0"),
	deviceId("0000:05:00.0"),
] as const;
/** A device's number in a scenario brought to its name. */
export const deviceNumbered = (n: number): DeviceId => DEVS[n - 1] as DeviceId;

/** Where a device's window lies. */
export const windowOf = (n: number): { start: string; last: string } => ({
	start: `0xa000${n}000`,
	last: `0xa000${n}fff`,
});

const topologyOf = ({ groups, windows }: CallScenario): Topology => ({
	known: "complete",
	groups: groups.map((members, i) => ({
		group: groupId(7 + i),
		driver: "vtd",
		members: members.map((n) => ({
			dev: deviceNumbered(n),
			resv: [
				{ start: "0xfee00000", last: "0xfeefffff", kind: "msi" },
				...(windows.includes(n)
					? [{ ...windowOf(n), kind: "reserved" as const }]
					: []),
			],
		})),
	})),
});

/** A group of the host. */
export interface CallGroup {
	readonly group: GroupId;
	readonly devs: readonly DeviceId[];
}

/** A host, and what was written down so far. */
export interface CallHost {
	readonly executor: Executor;
	readonly outside: Outside;
	readonly header: LogHeader;
	/** Facts with the number of their operation, in order; set to undefined to stop writing down. */
	facts: (Fact & { readonly op: number })[] | undefined;
	op: number;
	readonly groups: readonly CallGroup[];
	readonly devs: readonly DeviceId[];
	/** Makes the entities that come into being later. */
	readonly engine: SwitchableEngine;
	/** Object ids of H1 and H2, and of their IOASes A and B. */
	readonly ids: Readonly<Record<Target, number>>;
}
/** What a call may name. */
type Target = CallScenario["at"];

/** Refusals name hwpts by their actors, whose numbers do not depend on refusals. */
function switchesOf(scenario: CallScenario): Switches {
	const { flow, refuse, failRollback } = scenario;
	if (refuse.length === 0) return switchesFrom({ flow, failRollback });
	const { ids } = callHost({ ...scenario, refuse: [], attached: [] });
	return switchesFrom({
		flow,
		failRollback,
		refuse: refuse.map(({ dev, to, errno, when }) => ({
			dev: deviceNumbered(dev),
			to: to === "any" ? to : objectId("hwpt", CTX, ids[to], 1),
			errno,
			when,
		})),
	});
}

/** Builds the host and runs everything up to the threads. */
export function callHost(scenario: CallScenario): CallHost {
	const switches = switchesOf(scenario);
	const topology = topologyOf(scenario);
	const outside = new Outside(topology, switches);
	// Answers are copied out as long as no operation of this name is running.
	outside.op = "explore";
	const facts: (Fact & { readonly op: number })[] = [];
	const engine = cellEngine();
	const executor: Executor = new Executor({
		engine,
		txEngine: engine,
		transactions: transactionsOf(scenario.flow),
		outside,
		emit: (one) => void host.facts?.push({ ...one, op: host.op }),
	});
	const groups = topology.groups.map(({ group, members }) => ({
		group,
		devs: members.map(({ dev }) => dev),
	}));
	const ids = { 1: 0, 2: 0, A: 0, B: 0 };
	const host: CallHost = {
		executor,
		outside,
		header: {
			...runHeader(topology, switches, 0),
			origin: "explore",
		},
		facts,
		op: 0,
		groups,
		devs: groups.flatMap(({ devs }) => devs),
		engine,
		ids,
	};
	operate(host, "boot", {}, () => {
		for (const group of groups) boot(executor, group);
		executor.actors.get("host")?.send({ type: "host.booted" });
		return undefined;
	});
	const run = (op: string, args: object): Record<string, unknown> =>
		operate(host, op, args, () => {
			const outcome = carryOut(executor, { op, args } as Command);
			if (!outcome.ok)
				throw new ScenarioError(`set-up: ${op} failed with ${outcome.errno}`, [
					op === "attach" ? "attached" : "refuse",
				]);
			return (outcome as { value?: unknown }).value;
		}) as Record<string, unknown>;
	run("open", {});
	for (const dev of host.devs) run("bind", { ctx: CTX, dev });
	const make = (va: string): [number, number] => {
		const ioas = run("ioasAlloc", { ctx: CTX })["ioas"] as number;
		const args = { ctx: CTX, ioas, iova: "0x100000", length: "0x4000", va };
		run("map", { ...args, prot: 3 });
		const dev = host.devs[0];
		return [
			ioas,
			run("hwptAlloc", { ctx: CTX, dev, pt: ioas })["hwpt"] as number,
		];
	};
	[ids.A, ids[1]] = make("0x700000");
	[ids.B, ids[2]] = make("0x900000");
	for (const n of scenario.attached)
		run("attach", { ctx: CTX, dev: deviceNumbered(n), pt: ids[scenario.at] });
	return host;
}

/** Writes op.begin and op.commit around a body. */
function operate(
	host: CallHost,
	op: string,
	args: object,
	body: () => unknown,
): unknown {
	host.op = (host.facts?.length ?? 0) + 1;
	const emit = (one: Fact) => host.facts?.push({ ...one, op: host.op });
	emit(fact("op.begin", "host", { op, args: args as never }));
	const value = body();
	emit(
		fact(
			"op.commit",
			"host",
			value === undefined ? {} : { result: value as never },
		),
	);
	host.op = 0;
	return value;
}

/** First probe of a group (facts §4.1): its default domain is made and attached, as IommuSystem boots it. */
function boot(x: Executor, { group, devs }: CallGroup): void {
	x.spawnGroup(
		{
			group,
			members: devs.map((dev) => ({ dev, requireDirect: false })),
			kernelDrivers: 0,
		},
		() => ({ cc: true, dirty: true }),
	);
	const dom = x.parts.outside.nextDomain;
	x.tell(ask({ type: "dom.create", to: dom, kind: "dma" }));
	x.tell(ask({ type: "grp.default.set", to: group, dom }));
	x.perform(
		ask({
			type: "call.switch",
			to: group,
			how: "release",
			dev: devs[0] as DeviceId,
			pasid: "none",
			undo: false,
		}),
	);
}
