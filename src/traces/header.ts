/** The header of an imported log: what the recording says about the machine, and nothing more. */
import type { Fidelity, LogHeader } from "../vocabulary/header.ts";
import { FORMAT_VERSION, MODEL_VERSION } from "../vocabulary/header.ts";
import type { GroupEntry } from "./groups.ts";
import { topologyOf } from "./groups.ts";

/** What the files beside a trace say. */
export interface Surroundings {
	/** cmdline.txt: the kernel's command line, its release, the emulator's command line. */
	readonly cmdline: string;
	/** dmesg.txt. */
	readonly dmesg: string;
	readonly groups: readonly GroupEntry[] | undefined;
}

/** `Linux version 6.12.117+deb12-amd64 (…)`. */
function kernelRelease(...texts: string[]): string {
	for (const text of texts) {
		const match = /Linux version ([^\s]{1,100})/.exec(text);
		if (match?.[1] !== undefined) return match[1];
	}
	return "unknown";
}

const has = (text: string, pattern: RegExp): boolean => pattern.test(text);

/** Properties of the unit: from the kernel's switches and the emulator's device line. */
export function iommuProperties(
	cmdline: string,
	dmesg: string,
): LogHeader["iommu"] {
	const emulated = /-device intel-iommu\S*/.exec(cmdline)?.[0];
	const cachingMode: boolean | "unknown" =
		emulated === undefined ? "unknown" : has(emulated, /caching-mode=on/);
	let scalable: boolean | "unknown" = "unknown";
	if (emulated !== undefined) scalable = has(emulated, /x-scalable-mode=on/);
	if (has(cmdline, /intel_iommu=\S*sm_off/)) scalable = false;
	return {
		strict: strictness(cmdline, dmesg, cachingMode),
		cachingMode,
		scalable,
	};
}

/** Lazy mode is refused on units with caching mode (intel/iommu.c: "IOMMU batching disallowed due to virtualization"). */
function strictness(
	cmdline: string,
	dmesg: string,
	cachingMode: boolean | "unknown",
): boolean | "unknown" {
	if (has(cmdline, /\biommu\.strict=1\b/)) return true;
	if (cachingMode === true || has(dmesg, /IOMMU batching disallowed/))
		return true;
	if (has(cmdline, /\biommu\.strict=0\b/)) return false;
	if (has(dmesg, /TLB invalidation policy: strict/)) return true;
	if (has(dmesg, /TLB invalidation policy: lazy/)) return false;
	return "unknown";
}

/** Builds the header. `absent` names devices of groups.txt that join only during the trace. */
export function headerOf(
	around: Surroundings,
	fidelity: Fidelity,
	absent: ReadonlySet<string>,
	format: string,
): LogHeader {
	const { cmdline, dmesg, groups } = around;
	const driver = format === "ftrace" && fidelity !== "L0" ? "vtd" : "unknown";
	return {
		format: "iommu-ledger",
		version: FORMAT_VERSION,
		model: MODEL_VERSION,
		origin: "import",
		fidelity,
		clock: "boot",
		seed: 0,
		kernel: kernelRelease(cmdline, dmesg),
		iommu: iommuProperties(cmdline, dmesg),
		topology: {
			groups: groups === undefined ? [] : topologyOf(groups, driver, absent),
			known: groups === undefined ? "unknown" : "complete",
		},
		switches: { source: format },
	};
}
