/**
 * A scenario as data: a machine, and what user space does on it. Objects go by names that the scenario gives ("H1", "A", "dev2"); the
 * runner knows their ids. Shipped ones are in runs/, one a file; `parseRunScenario` checks one that came from
 * elsewhere. (The explorer's scenarios, about interleavings, are another kind: docs/scenarios.md.)
 */
import type { OpName } from "../orchestrator/commands.ts";
import { isOpName } from "../orchestrator/commands.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { Topology } from "../vocabulary/header.ts";
import type { DeviceId } from "../vocabulary/ids.ts";

/** One call of user space. String arguments that are names are resolved; `as` names the id that comes back. */
export interface ScenarioStep {
	/** How people speak of it: "1.d". Unique within the scenario. */
	readonly label: string;
	readonly do: OpName;
	readonly args: { readonly [name: string]: Json };
	readonly as?: string;
}
/** A driver's refusal, by names. */
export interface ScenarioRefusal {
	readonly dev: string;
	/** A hwpt's name, "blocking", "default" or "any". */
	readonly to: string;
	readonly errno: ErrnoName;
	readonly when: "forward" | "undo" | "any";
}
/** A scenario. */
export interface RunScenario {
	readonly name: string;
	readonly title: string;
	/** What it shows, and where it comes from. */
	readonly about: string;
	readonly topology: Topology;
	/** Names of devices. */
	readonly devices: { readonly [name: string]: DeviceId };
	readonly steps: readonly ScenarioStep[];
	readonly refuse?: readonly ScenarioRefusal[];
	/** Switches that belong to the scenario; what the caller sets wins. */
	readonly switches?: { readonly [name: string]: Json };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

function stepProblem(
	step: unknown,
	index: number,
	labels: Set<string>,
): string | undefined {
	const at = `steps[${index}]`;
	if (!isObject(step)) return `${at} is not an object`;
	const { label, do: op, args, as, ...rest } = step;
	if (typeof label !== "string") return `${at}.label is not a string`;
	if (labels.has(label))
		return `${at}.label ${JSON.stringify(label)} is used twice`;
	labels.add(label);
	if (typeof op !== "string" || !isOpName(op))
		return `${at}.do is not an operation: ${JSON.stringify(op)}`;
	if (!isObject(args)) return `${at}.args is not an object`;
	if (as !== undefined && typeof as !== "string")
		return `${at}.as is not a string`;
	const extra = Object.keys(rest)[0];
	return extra === undefined
		? undefined
		: `${at}.${extra} is not a field of a step`;
}

/** Checks a value. Returns undefined when it is a scenario, else a sentence that says what is wrong. */
export function scenarioProblem(value: unknown): string | undefined {
	if (!isObject(value)) return "a scenario is an object";
	for (const field of ["name", "title", "about"])
		if (typeof value[field] !== "string") return `${field} is not a string`;
	const { topology, devices, steps, refuse, switches } = value;
	if (!isObject(topology) || !Array.isArray(topology["groups"]))
		return "topology.groups is not a list";
	if (!isObject(devices)) return "devices is not an object";
	if (!Array.isArray(steps)) return "steps is not a list";
	if (refuse !== undefined && !Array.isArray(refuse))
		return "refuse is not a list";
	if (switches !== undefined && !isObject(switches))
		return "switches is not an object";
	const labels = new Set<string>();
	return steps
		.map((step, i) => stepProblem(step, i, labels))
		.find((p) => p !== undefined);
}

/** Reads a scenario from JSON text. Throws RangeError that says what is wrong. */
export function parseRunScenario(text: string): RunScenario {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new RangeError(`not JSON: ${(error as Error).message}`);
	}
	const problem = scenarioProblem(value);
	if (problem !== undefined) throw new RangeError(problem);
	return value as RunScenario;
}
