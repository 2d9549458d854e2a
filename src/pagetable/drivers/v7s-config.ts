/** Arm v7s: what arm_v7s_alloc_pgtable settles (io-pgtable-arm-v7s.c; facts §1.1). */
import { geometryOf, type FormatConfig, type TableRequest } from "../config.ts";
import { v7sCodec, type V7sQuirks } from "../formats/arm-v7s.ts";
import {
	PageTableConfigError,
	settlePolicy,
	type Policy,
	type PolicyOverrides,
} from "../policy.ts";
import { V7S_DRIVER } from "./v7s.ts";

/** A v7s table's settings. */
export interface V7sConfig extends FormatConfig {
	readonly quirkFlags: V7sQuirks;
}

const POLICY: Policy = {
	partialUnmap: "split",
	mapOverLeaf: "eexist",
	holeOnUnmap: "stop",
	tableFree: "direct",
	levelChoice: "asked",
	v7sSplitBase: "lost",
	iovaToPhysBlockDefect: false,
};
const KNOWN = {
	partialUnmap: ["split", "refuse"],
	v7sSplitBase: ["lost", "kept"],
} as const;
const QUIRKS = ["ARM_NS", "NO_PERMS", "ARM_MTK_EXT", "ARM_MTK_TTBR_EXT"];
/** 4K, 64K, 1M and 16M in frames. Supersections only when the driver asks for 16M. */
const SIZES = [1, 16, 256, 4096] as const;

/** Settles a request, or throws PageTableConfigError where the allocator returns NULL. */
export function v7sConfig(
	request: TableRequest,
	overrides: PolicyOverrides,
): V7sConfig {
	const quirks = request.quirks ?? [];
	const unknown = quirks.find((quirk) => !QUIRKS.includes(quirk));
	const mtk = quirks.includes("ARM_MTK_EXT");
	const ias = request.ias ?? 32;
	const oas = request.oas ?? 32;
	const reason =
		unknown !== undefined
			? `quirk ${unknown} is not supported`
			: ias > (mtk ? 34 : 32) || oas > (mtk ? 35 : 32)
				? `input ${ias} or output ${oas} bits are too many`
				: ias < 20
					? `${ias} input bits are too few: a negative shift in the kernel`
					: mtk && !quirks.includes("NO_PERMS")
						? "quirk ARM_MTK_EXT needs NO_PERMS"
						: quirks.includes("ARM_MTK_TTBR_EXT") && !mtk
							? "quirk ARM_MTK_TTBR_EXT needs ARM_MTK_EXT"
							: undefined;
	if (reason !== undefined)
		throw new PageTableConfigError(`arm_v7s: ${reason}`);
	const bitmap = request.pageSizes ?? 0x1111000n;
	const rootBits = ias - 20;
	return {
		format: "arm_v7s",
		unitShift: 12,
		pageSizes: SIZES.filter((size) => (bitmap / 4096n) & BigInt(size)),
		ias,
		oas,
		coherent: request.coherent ?? true,
		quirks,
		geometry: geometryOf({
			rootLevel: 1,
			leafLevel: 2,
			down: 1,
			shift: [0, 8, 0],
			bits: [0, rootBits, 8],
			rootBits,
			rootPages: Math.ceil((4 * 2 ** rootBits) / 4096),
			mode: 2,
		}),
		codec: v7sCodec(mtk),
		driver: V7S_DRIVER,
		policy: settlePolicy("arm_v7s", POLICY, KNOWN, overrides),
		quirkFlags: {
			ns: quirks.includes("ARM_NS"),
			noPerms: quirks.includes("NO_PERMS"),
			mtk,
		},
	};
}
