/** VT-d configuration: what paging_domain_alloc / domain_setup settle from capabilities (intel/iommu.c; facts §1.1, §2.7). */
import type { FormatConfig, TableRequest } from "../config.ts";
import { VTD_CODEC, vtdGeometry } from "../formats/vtd.ts";
import {
	PageTableConfigError,
	settlePolicy,
	type Policy,
	type PolicyOverrides,
} from "../policy.ts";
import { VTD_DRIVER } from "./vtd.ts";

/** A VT-d table's settings. */
export interface VtdConfig extends FormatConfig {
	readonly firstStage: boolean;
	readonly forceSnoop: boolean;
	readonly nestedParent: boolean;
	/** Superpage levels above 4 KiB the hardware offers: 0, 1 (2M), 2 (1G). */
	readonly superpage: number;
	readonly levels: number;
	/** Guest address width: the last frame a map may touch is 2^(gaw-12)-1. */
	readonly gaw: number;
}

const POLICY: Policy = {
	partialUnmap: "larger",
	mapOverLeaf: "keepOld",
	holeOnUnmap: "enlarge",
	tableFree: "gather",
	levelChoice: "derived",
	v7sSplitBase: "kept",
	iovaToPhysBlockDefect: false,
};
const KNOWN = {
	holeOnUnmap: ["enlarge", "count"],
	levelChoice: ["derived", "asked"],
	mapOverLeaf: ["keepOld", "eexist"],
	tableFree: ["gather", "rcu"],
	iovaToPhysBlockDefect: [false, true],
} as const;

/** Settles a request. `levels` is 2 to 6; hardware has 3, 4 and 5. */
export function vtdConfig(
	request: TableRequest,
	overrides: PolicyOverrides,
): VtdConfig {
	const levels = request.levels ?? 4;
	if (![2, 3, 4, 5, 6].includes(levels))
		throw new PageTableConfigError(
			`VT-d tables have 2 to 6 levels (agaw 0 to 4), not ${levels}`,
		);
	const superpage = request.superpage ?? 2;
	const gaw = request.gaw ?? Math.min(64, 12 + 9 * levels);
	if (superpage > 2 || gaw < 12 || gaw > 64)
		throw new PageTableConfigError(
			`VT-d: superpage ${superpage} is not 0, 1 or 2, or width ${gaw} is not within 12 and 64 bits`,
		);
	return {
		format: "vtd",
		unitShift: 12,
		pageSizes: [1, 512, 262144].slice(0, superpage + 1),
		ias: gaw,
		oas: request.oas ?? 52,
		coherent: request.coherent ?? true,
		quirks: [],
		geometry: vtdGeometry(levels),
		codec: VTD_CODEC,
		driver: VTD_DRIVER,
		policy: settlePolicy("vtd", POLICY, KNOWN, overrides),
		firstStage: request.firstStage ?? false,
		forceSnoop: request.forceSnoop ?? false,
		nestedParent: request.nestedParent ?? false,
		superpage,
		levels,
		gaw,
	};
}
