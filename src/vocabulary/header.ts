/**
 * The header: the first line of every log (seq 0). With it a log is readable and judgeable with nothing beside it (DESIGN §2).
 */
import type { Json } from "./fields.ts";
import type { DeviceId, GroupId } from "./ids.ts";

/** Version of the line format. Older ones are read through upcasters; newer ones are refused. */
export const FORMAT_VERSION = 1;
/** Version of the model's decisions; `--redecide` compares byte for byte only under the same one. */
export const MODEL_VERSION = "0.1.0";

/** How a log came to be. */
export type Origin = "run" | "import" | "explore";
/** How much a log can know: L0 the kernel's own tracepoints only, L1 with probes, L2 our own records (DESIGN §5). */
export type Fidelity = "L0" | "L1" | "L2";
/** A range a device cannot use for DMA; `start` and `last` (inclusive) are hex text. Kinds as in sysfs reserved_regions: direct, direct-relaxable, reserved, msi (hardware), sw-msi. */
export interface ReservedRegion {
	readonly start: string;
	readonly last: string;
	readonly kind: "direct" | "direct-relaxable" | "reserved" | "msi" | "sw-msi";
}
/** A member of a group. `kernelDriver` names a bound driver that uses the DMA API; an `absent` one is not there at boot: `hotAdd` brings it. */
export interface TopologyDevice {
	readonly dev: DeviceId;
	readonly resv: readonly ReservedRegion[];
	readonly kernelDriver?: string;
	readonly absent?: true;
	/** Requester ids the device uses on the bus when they differ from its own (alias behind a bridge). */
	readonly aliases?: readonly number[];
	/** Capabilities that differ from the personality's default. */
	readonly caps?: { readonly [name: string]: Json };
}
/** An iommu_group: members in the core's list order, and the driver personality of its IOMMU. */
export interface TopologyGroup {
	readonly group: GroupId;
	readonly driver: string;
	readonly members: readonly TopologyDevice[];
}
/** The machine as the log knew it at its start. */
export interface Topology {
	readonly groups: readonly TopologyGroup[];
	/** `complete`: no group is missing; `partial`: what the recording told; `unknown`: groups are learned as they appear. */
	readonly known: "complete" | "partial" | "unknown";
}
/** Everything in a header. `switches` holds flow, faults and policies by name. */
export interface LogHeader {
	readonly format: "iommu-ledger";
	readonly version: number;
	readonly model: string;
	readonly origin: Origin;
	readonly fidelity: Fidelity;
	/** What `t` counts from: "boot" (CLOCK_MONOTONIC of the recorded machine) or "run" (logical ticks). */
	readonly clock: "boot" | "run";
	readonly seed: number;
	/** The kernel release that was recorded, or "model" for our own runs, or "unknown". */
	readonly kernel: string;
	/** Properties of the IOMMU that judge and projection need. */
	readonly iommu: {
		readonly strict: boolean | "unknown";
		readonly cachingMode: boolean | "unknown";
		readonly scalable: boolean | "unknown";
	};
	readonly topology: Topology;
	readonly switches: { readonly [name: string]: Json };
	/** Where an imported log came from; for people. */
	readonly source?: { readonly [name: string]: Json };
}

/** The members that are there at boot. */
export const presentMembers = ({
	members,
}: TopologyGroup): readonly TopologyDevice[] =>
	members.some(({ absent }) => absent)
		? members.filter(({ absent }) => absent !== true)
		: members;

const has = (value: unknown, ...allowed: unknown[]): boolean =>
	allowed.includes(value);
const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** Checks a parsed header. Returns undefined when it is one, else a sentence that says what is wrong. */
export function headerProblem(value: unknown): string | undefined {
	if (!isObject(value)) return "not an object";
	if (value["format"] !== "iommu-ledger") return 'format is not "iommu-ledger"';
	const version = value["version"];
	if (!Number.isSafeInteger(version)) return "version is not a number";
	if ((version as number) > FORMAT_VERSION)
		return `version ${version} is newer than this program (${FORMAT_VERSION}): update it`;
	if (typeof value["model"] !== "string") return "model is not a string";
	if (!has(value["origin"], "run", "import", "explore"))
		return "origin is not run, import or explore";
	if (!has(value["fidelity"], "L0", "L1", "L2"))
		return "fidelity is not L0, L1 or L2";
	if (!has(value["clock"], "boot", "run")) return "clock is not boot or run";
	if (!Number.isSafeInteger(value["seed"])) return "seed is not an integer";
	if (typeof value["kernel"] !== "string") return "kernel is not a string";
	if (!isObject(value["iommu"])) return "iommu is not an object";
	if (!isObject(value["switches"])) return "switches is not an object";
	const topology = value["topology"];
	if (!isObject(topology) || !Array.isArray(topology["groups"]))
		return "topology.groups is not an array";
	return topology["groups"]
		.map(groupProblem)
		.find((problem) => problem !== undefined);
}

function groupProblem(group: unknown): string | undefined {
	if (
		!isObject(group) ||
		typeof group["group"] !== "string" ||
		typeof group["driver"] !== "string"
	)
		return "topology.groups holds something that is not a group";
	const members = group["members"];
	if (!Array.isArray(members))
		return `topology: members of ${group["group"]} are not an array`;
	const bad = members.some(
		(m) =>
			!isObject(m) || typeof m["dev"] !== "string" || !Array.isArray(m["resv"]),
	);
	return bad
		? `topology: a member of ${group["group"]} has no dev or no resv`
		: undefined;
}
