/**
 * The host that concurrent calls run on: an executor over cells, set up as in facts iommufd-semantics.md §3.5 (one group of three, all
 * bound, H1 on IOAS A, H2 on IOAS B, each with one mapped area).
 */
import { ask } from "../../machines/steps.ts";
import { type Command, carryOut } from "../orchestrator/commands.ts";
import { Executor } from "../orchestrator/executor.ts";
import { transactionsOf } from "../orchestrator/flows.ts";
import { Outside } from "../orchestrator/outside.ts";
import { switchesFrom } from "../orchestrator/switches.ts";
import { runHeader } from "../orchestrator/core.ts";
import type { LogHeader, Topology } from "../vocabulary/header.ts";
import { ctxId, deviceId, groupId } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import { cellEngine } from "./call-cells.ts";
import type { CallScenario } from "./call-scenario.ts";

export const GROUP = groupId(7);
export const CTX = ctxId(1);
/** Devices 1 to 3. */
export const DEVS = [
	deviceId("0000:01:00.0"),
	deviceId("0000:02:00.0"),
	deviceId("0000:02:01.0"),
] as const;

const TOPOLOGY: Topology = {
	known: "complete",
	groups: [
		{
			group: GROUP,
			driver: "vtd",
			members: DEVS.map((dev) => ({
				dev,
				resv: [{ start: "0xfee00000", last: "0xfeefffff", kind: "msi" }],
			})),
		},
	],
};

/** A host, and what was written down so far. */
export interface CallHost {
	readonly executor: Executor;
	readonly outside: Outside;
	readonly header: LogHeader;
	/** Facts with the number of their operation, in order; set to undefined to stop writing down. */
	facts: (Fact & { readonly op: number })[] | undefined;
	op: number;
	/** Object ids of H1 and H2. */
	readonly hwpts: readonly [number, number];
}

/** Builds the host and runs everything up to the threads. */
export function callHost(scenario: CallScenario): CallHost {
	const switches = switchesFrom({ flow: scenario.flow });
	const outside = new Outside(TOPOLOGY, switches);
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
	const host: CallHost = {
		executor,
		outside,
		header: {
			...runHeader(TOPOLOGY, switches, 0),
			origin: "explore",
		},
		facts,
		op: 0,
		hwpts: [0, 0],
	};
	operate(host, "boot", {}, () => {
		boot(executor);
		return undefined;
	});
	const run = (op: string, args: object): Record<string, unknown> =>
		operate(host, op, args, () => {
			const outcome = carryOut(executor, { op, args } as Command);
			if (!outcome.ok)
				throw new Error(`set-up: ${op} failed with ${outcome.errno}`);
			return (outcome as { value?: unknown }).value;
		}) as Record<string, unknown>;
	run("open", {});
	for (const dev of DEVS) run("bind", { ctx: CTX, dev });
	const ids = ["0x700000", "0x900000"].map((va) => {
		const { ioas } = run("ioasAlloc", { ctx: CTX });
		const args = { ctx: CTX, ioas, iova: "0x100000", length: "0x4000", va };
		run("map", { ...args, prot: 3 });
		return run("hwptAlloc", { ctx: CTX, dev: DEVS[0], pt: ioas })["hwpt"];
	});
	for (const n of scenario.attached)
		run("attach", { ctx: CTX, dev: DEVS[n - 1], pt: ids[0] });
	return Object.assign(host, { hwpts: ids });
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

/** First probe of the group (facts §4.1): its default domain is made and attached, as IommuSystem boots it. */
function boot(x: Executor): void {
	x.spawnGroup(
		{
			group: GROUP,
			members: DEVS.map((dev) => ({ dev, requireDirect: false })),
			kernelDrivers: 0,
		},
		() => ({ cc: true, dirty: true }),
	);
	const dom = x.parts.outside.nextDomain;
	x.tell(ask({ type: "dom.create", to: dom, kind: "dma" }));
	x.tell(ask({ type: "grp.default.set", to: GROUP, dom }));
	x.perform(
		ask({
			type: "call.switch",
			to: GROUP,
			how: "release",
			dev: DEVS[0],
			pasid: "none",
			undo: false,
		}),
	);
	x.actors.get("host")?.send({ type: "host.booted" });
}
