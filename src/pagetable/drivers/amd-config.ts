/** AMD: settings of both table versions (amd/io_pgtable.c:v1_alloc_pgtable, io_pgtable_v2.c:v2_alloc_pgtable; facts §1.1). */
import type { FormatConfig, TableRequest } from "../config.ts";
import { AMD_V1_CODEC, AMD_V1_GEOMETRY } from "../formats/amd-v1.ts";
import { AMD_V2_CODEC, amdV2Geometry } from "../formats/amd-v2.ts";
import {
	PageTableConfigError,
	settlePolicy,
	type Policy,
	type PolicyOverrides,
} from "../policy.ts";
import { AMD_V1_DRIVER } from "./amd-v1.ts";
import { AMD_V2_DRIVER } from "./amd-v2.ts";

const V1_POLICY: Policy = {
	partialUnmap: "larger",
	mapOverLeaf: "replace",
	holeOnUnmap: "count",
	tableFree: "localList",
	levelChoice: "asked",
	v7sSplitBase: "kept",
	iovaToPhysBlockDefect: false,
};
const V1_KNOWN = {
	mapOverLeaf: ["replace", "replaceFlush", "eexist"],
	holeOnUnmap: ["count", "stop"],
	tableFree: ["localList", "direct"],
} as const;
const V2_POLICY: Policy = {
	...V1_POLICY,
	mapOverLeaf: "replaceFlush",
	tableFree: "direct",
};
const V2_KNOWN = {
	mapOverLeaf: ["replaceFlush", "eexist"],
	holeOnUnmap: ["count", "stop"],
	tableFree: ["direct", "localList"],
} as const;

/** Every power of two from 4 KiB to 2^51 except 512 GiB: a hardware defect (AMD_IOMMU_PGSIZES). */
const V1_SIZES = Array.from({ length: 40 }, (_, bit) => 2 ** bit).filter(
	(size) => size !== 2 ** 27,
);
const OUTPUT_BITS = 52;

/** A version 1 table: starts with three levels and grows. */
export const amdV1Config = (
	request: TableRequest,
	overrides: PolicyOverrides,
): FormatConfig => ({
	format: "amd_v1",
	unitShift: 12,
	pageSizes: V1_SIZES,
	ias: OUTPUT_BITS,
	oas: OUTPUT_BITS,
	coherent: request.coherent ?? true,
	quirks: [],
	geometry: AMD_V1_GEOMETRY,
	codec: AMD_V1_CODEC,
	driver: AMD_V1_DRIVER,
	policy: settlePolicy("amd_v1", V1_POLICY, V1_KNOWN, overrides),
	registers: { geo: { mode: AMD_V1_GEOMETRY.mode } },
});

/** A version 2 table of 4 or 5 levels. The code says 52 input bits for four levels. */
export function amdV2Config(
	request: TableRequest,
	overrides: PolicyOverrides,
): FormatConfig {
	const levels = request.levels ?? 4;
	if (levels !== 4 && levels !== 5)
		throw new PageTableConfigError(
			`amd_v2 tables have 4 or 5 levels, not ${levels}`,
		);
	return {
		format: "amd_v2",
		unitShift: 12,
		pageSizes: [1, 512, 262144],
		ias: levels === 5 ? 57 : 52,
		oas: OUTPUT_BITS,
		coherent: request.coherent ?? true,
		quirks: [],
		geometry: amdV2Geometry(levels),
		codec: AMD_V2_CODEC,
		driver: AMD_V2_DRIVER,
		policy: settlePolicy("amd_v2", V2_POLICY, V2_KNOWN, overrides),
		registers: { geo: { levels } },
	};
}
