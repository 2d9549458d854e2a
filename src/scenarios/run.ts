/** Runs a scenario: names become ids, each call becomes a command; what comes back is a log and, by label, how each call ended. */
import type { AnyDefinition } from "../../machines/define.ts";
import type { Command } from "../orchestrator/commands.ts";
import type { EngineName } from "../orchestrator/engine.ts";
import type { Flow } from "../orchestrator/switches.ts";
import { createIommuSystem } from "../orchestrator/create.ts";
import type { IommuSystem, SystemOptions } from "../orchestrator/system.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader, Topology } from "../vocabulary/header.ts";
import { objectId } from "../vocabulary/ids.ts";
import type { CtxId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { RunScenario, ScenarioStep } from "./run-scenario.ts";

/** How to run it. */
export interface RunOptions {
	readonly flow?: Flow;
	/** Personality for every group, in place of the scenario's own. */
	readonly driver?: string;
	/** Switches by name (orchestrator/switches.ts). */
	readonly set?: { readonly [name: string]: Json };
	readonly engine?: EngineName;
	readonly seed?: number;
	/** For tests: puts a changed definition in the place of another. */
	readonly definition?: (definition: AnyDefinition) => AnyDefinition;
}
/** How one call ended. */
export interface CallOutcome {
	readonly seq: number;
	readonly errno?: ErrnoName;
	readonly step?: string;
	/** Objects that the scenario named, by the kernel's id. */
	readonly result?: Json;
}
/** A run. */
export interface ScenarioRun {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
	readonly calls: { readonly [label: string]: CallOutcome };
	/** What the scenario's names stand for: ids, contexts, devices. */
	readonly names: { readonly [name: string]: Json };
	readonly system: IommuSystem;
}

const withDriver = (
	topology: Topology,
	driver: string | undefined,
): Topology =>
	driver === undefined
		? topology
		: {
				...topology,
				groups: topology.groups.map((group) => ({ ...group, driver })),
			};

type SwitchValues = { readonly [name: string]: Json };

/** Arguments that hold names; everything else is taken as it stands. */
const NAMED = [
	"ctx",
	"dev",
	"pt",
	"ioas",
	"id",
	"src",
	"dst",
	"access",
	"hwpt",
	"fault",
];

function command(
	step: ScenarioStep,
	names: { readonly [name: string]: Json },
): Command {
	const args: Record<string, Json> = {};
	for (const [key, value] of Object.entries(step.args)) {
		if (!NAMED.includes(key) || typeof value !== "string") args[key] = value;
		else if (Object.hasOwn(names, value)) args[key] = names[value]!;
		// A name whose call failed: no object has id 0, so the kernel's own answer follows.
		else args[key] = key === "ctx" || key === "dev" ? value : 0;
	}
	return { op: step.do, args } as unknown as Command;
}

/**
 * With a guard that is blind a machine goes where it should not, and a later call may find gone what it relies on: a kernel would have crashed
 * there, and the log ends.
 */
function dispatched(
	system: IommuSystem,
	call: Command,
): ReturnType<IommuSystem["dispatch"]> | undefined {
	try {
		return system.dispatch(call);
	} catch (error) {
		if (system.header.switches["blind"] === undefined) throw error;
		return undefined;
	}
}

function play(scenario: RunScenario, options: SystemOptions): ScenarioRun {
	const system = createIommuSystem(options);
	const names: Record<string, Json> = { ...scenario.devices };
	const calls: Record<string, CallOutcome> = {};
	for (const step of scenario.steps) {
		const outcome = dispatched(system, command(step, names));
		if (outcome === undefined) break;
		const { seq } = outcome;
		if (!outcome.ok) {
			calls[step.label] = { seq, errno: outcome.errno, step: outcome.step };
			continue;
		}
		const result = (outcome as { value?: Json }).value;
		calls[step.label] = result === undefined ? { seq } : { seq, result };
		const named = Object.values((result ?? {}) as { [name: string]: Json })[0];
		if (step.as !== undefined && named !== undefined) names[step.as] = named;
	}
	return {
		header: system.header,
		records: system.records,
		calls,
		names,
		system,
	};
}

/** Names in refusals become actors. The ids come from a run without refusals: ids do not depend on what happens later. */
function resolveRefusals(scenario: RunScenario, options: SystemOptions): Json {
	const refuse = scenario.refuse ?? [];
	if (refuse.length === 0) return [];
	const { switches: _none, ...plain } = options;
	const { flow, ...rest } = options.switches ?? {};
	const dry = play(scenario, {
		...plain,
		switches: {
			...(flow === undefined ? {} : { flow }),
			...rest,
			failNth: 0,
			refuse: [],
		},
		engine: "compiled",
	});
	return refuse.map((rule) => {
		const id = dry.names[rule.to];
		const to =
			typeof id === "number"
				? objectId("hwpt", dry.names["ctx"] as CtxId, id, 1)
				: rule.to;
		return { ...rule, dev: (dry.names[rule.dev] as string) ?? rule.dev, to };
	});
}

/**
 * Runs a scenario to its end; calls that fail are part of it. Throws RangeError for unknown flows, drivers or switches.
 */
export function runScenario(
	scenario: RunScenario,
	run: RunOptions = {},
): ScenarioRun {
	const { flow, driver, set, ...rest } = run;
	const options: SystemOptions = {
		...rest,
		topology: withDriver(scenario.topology, driver),
		switches: {
			...scenario.switches,
			...set,
			...(flow === undefined ? {} : { flow }),
		} as SwitchValues,
	};
	const refuse = set?.["refuse"] ?? resolveRefusals(scenario, options);
	return play(scenario, {
		...options,
		switches: { ...options.switches, refuse } as SwitchValues,
	});
}
