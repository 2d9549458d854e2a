/** Arm LPAE: what io-pgtable-arm's allocators settle (arm_lpae_restrict_pgsizes, arm_lpae_alloc_pgtable and the per-format ones; facts §1.1). */
import {
	geometryOf,
	type FormatConfig,
	type RegisterFields,
	type TableRequest,
} from "../config.ts";
import { dialectOf, lpaeCodec, type LpaeDialect } from "../formats/arm-lpae.ts";
import {
	PageTableConfigError,
	settlePolicy,
	type Policy,
	type PolicyOverrides,
} from "../policy.ts";
import { LPAE_DRIVER } from "./lpae.ts";

/** An LPAE table's settings. */
export interface LpaeConfig extends FormatConfig {
	readonly dialect: LpaeDialect;
	/** Frames of the granule: 1, 4 or 16. */
	readonly granule: number;
	/** log2 of the entries of a table below the root. */
	readonly bitsPerLevel: number;
	readonly startLevel: number;
	/** Of the last level: log2 of the frames of an entry, and the entries of a table minus one. */
	readonly lastShift: number;
	readonly lastMask: number;
	/** Last-level tables per frame: one divided by the frames that such a table covers. */
	readonly tablesPerFrame: number;
	/** Frames within IAS and within OAS. */
	readonly iovaLimit: number;
	readonly paLimit: number;
	readonly quirkFlags: {
		readonly ns: boolean;
		readonly hd: boolean;
		readonly ttbr1: boolean;
	};
	/** Stage 1 of the 64-bit format only: can the dirty state be read (arm_lpae_read_and_clear_dirty)? */
	readonly tracksDirty: boolean;
}

const POLICY: Policy = {
	partialUnmap: "split",
	mapOverLeaf: "eexist",
	holeOnUnmap: "stop",
	tableFree: "direct",
	levelChoice: "asked",
	v7sSplitBase: "kept",
	iovaToPhysBlockDefect: false,
};
const KNOWN = {
	partialUnmap: ["split", "refuse", "larger"],
	tableFree: ["direct", "gather", "rcu"],
	iovaToPhysBlockDefect: [false, true],
} as const;

const KIB = 1024n;
const SIZES: Readonly<Record<string, bigint>> = {
	"4096": (4n * KIB) | (2n * KIB * KIB) | (KIB * KIB * KIB),
	"16384": (16n * KIB) | (32n * KIB * KIB),
	"65536": (64n * KIB) | (512n * KIB * KIB),
};
const SIZE_4T = 1n << 42n;
const PHYSICAL_SIZE_CODES: Readonly<Record<number, number>> = {
	32: 0,
	36: 1,
	40: 2,
	42: 3,
	44: 4,
	48: 5,
	52: 6,
};
/** MAIR of stage 1 as the struct holds it (the inner-NC attribute's top bit is sign-extended). */
const MAIR = "0xfffffffff404ff44";
const S2_MAX_CONCAT_TABLES = 16;
const MAX_LEVELS = 4;

/** The granule the kernel picks: CPU page size, else the largest smaller one, else the smallest larger one. The CPU has 4 KiB pages. */
function chooseGranule(bitmap: bigint): bigint {
	const page = 4096n;
	if (bitmap & page) return page;
	const below = bitmap & (page - 1n);
	if (below !== 0n) return 1n << BigInt(below.toString(2).length - 1);
	const above = bitmap & ~(page - 1n);
	return above & -above;
}

const refuse = (format: string, why: string): never => {
	throw new PageTableConfigError(`${format}: ${why}`);
};

/** Granule, sizes and limits that remain of what was asked (arm_lpae_restrict_pgsizes). */
function restrictSizes(request: TableRequest): {
	readonly granuleShift: number;
	readonly pageSizes: readonly number[];
	readonly ias: number;
	readonly oas: number;
} {
	const { format } = request;
	const is64 = format === "arm64_s1" || format === "arm64_s2";
	const asked = request.pageSizes ?? 0x40201000n;
	const wanted = is64 ? asked : asked & (SIZES["4096"] as bigint);
	const granule = chooseGranule(wanted);
	const oasAsked = request.oas ?? 48;
	const limit = granule === 65536n ? 52 : 48;
	let allowed = SIZES[granule.toString()] ?? 0n;
	if (granule === 65536n && oasAsked > 48) allowed |= SIZE_4T;
	const bitmap = wanted & allowed;
	if ((bitmap & 0x15000n) === 0n)
		refuse(format, "no granule of 4K, 16K or 64K among the page sizes");
	const pageSizes: number[] = [];
	for (let bit = 12; bit < 52; bit++)
		if ((bitmap >> BigInt(bit)) & 1n) pageSizes.push(2 ** (bit - 12));
	return {
		granuleShift: granule.toString(2).length - 1,
		pageSizes,
		ias: Math.min(request.ias ?? 48, limit),
		oas: Math.min(oasAsked, limit),
	};
}

/**
 * Where the walk starts and how large the root is (arm_lpae_alloc_pgtable, and its callers for stage 2 and Mali). With no more input bits
 * than a page has, the walk starts at level 4, where nothing can be mapped; the kernel does not refuse that.
 */
function walkShape(
	dialect: LpaeDialect,
	ias: number,
	granuleShift: number,
): { readonly startLevel: number; readonly rootBits: number } {
	const bitsPerLevel = granuleShift - 3;
	const vaBits = ias - granuleShift;
	const levels = Math.max(0, Math.ceil(vaBits / bitsPerLevel));
	const startLevel = MAX_LEVELS - levels;
	const rootBits = vaBits - bitsPerLevel * (levels - 1);
	// Concatenated start tables: one level less to walk.
	if (
		dialect === "s2" &&
		startLevel === 0 &&
		2 ** rootBits <= S2_MAX_CONCAT_TABLES
	)
		return { startLevel: 1, rootBits: rootBits + bitsPerLevel };
	// Mali wants four levels whatever the IAS; the root then has one entry.
	if (dialect === "mali" && startLevel > 0)
		return { startLevel: 0, rootBits: 0 };
	return { startLevel, rootBits };
}

/** Settles a request, or throws PageTableConfigError where the allocator returns NULL. */
export function lpaeConfig(
	request: TableRequest,
	overrides: PolicyOverrides,
): LpaeConfig {
	const { format } = request;
	const dialect = dialectOf(format);
	const quirks = request.quirks ?? [];
	checkLimits(format, dialect, request, quirks);
	const { granuleShift, pageSizes, ias, oas } = restrictSizes(request);
	const { startLevel, rootBits } = walkShape(dialect, ias, granuleShift);
	if (rootBits < 0)
		refuse(
			format,
			`${ias} input bits are too few: a negative shift in the kernel`,
		);
	const bitsPerLevel = granuleShift - 3;
	const coherent = request.coherent ?? true;
	const physicalSize = PHYSICAL_SIZE_CODES[oas] ?? -1;
	if (dialect !== "mali" && physicalSize < 0)
		refuse(format, `no register code for an output size of ${oas} bits`);
	const granule = 2 ** (granuleShift - 12);
	const shift = [0, 1, 2, 3].map(
		(level) => (3 - level) * bitsPerLevel + granuleShift - 12,
	);
	const rootBytes = 2 ** rootBits * 8;
	const shape = { ias, coherent, granuleShift, startLevel, physicalSize };
	const ttbr1 = quirks.includes("ARM_TTBR1");
	return {
		format,
		unitShift: 12,
		pageSizes,
		ias,
		oas,
		coherent,
		quirks,
		geometry: geometryOf({
			rootLevel: startLevel,
			leafLevel: 3,
			down: 1,
			shift,
			bits: shift.map(() => bitsPerLevel),
			rootBits,
			rootPages: Math.ceil(rootBytes / 4096),
			mode: MAX_LEVELS - startLevel,
			iovaBase: ttbr1 ? 2 ** 52 - 2 ** (ias - 12) : 0,
		}),
		codec: lpaeCodec(dialect, granule, shift),
		driver: LPAE_DRIVER,
		policy: settlePolicy(format, POLICY, KNOWN, overrides),
		registers: {
			geo: { startLevel, bitsPerLevel, pgdBits: rootBits, pgdBytes: rootBytes },
			...registersOf(dialect, quirks, shape),
		},
		dialect,
		granule,
		bitsPerLevel,
		startLevel,
		lastShift: granuleShift - 12,
		lastMask: 2 ** (startLevel === 3 ? rootBits : bitsPerLevel) - 1,
		tablesPerFrame: 1 / (granule * 2 ** bitsPerLevel),
		iovaLimit: 2 ** (ias - 12),
		paLimit: 2 ** (oas - 12),
		quirkFlags: {
			ns: quirks.includes("ARM_NS"),
			hd: quirks.includes("ARM_HD"),
			ttbr1,
		},
		tracksDirty: format === "arm64_s1",
	};
}

function checkLimits(
	format: string,
	dialect: LpaeDialect,
	request: TableRequest,
	quirks: readonly string[],
): void {
	const ias = request.ias ?? 48;
	const oas = request.oas ?? 48;
	const [iasLimit, oasLimit] =
		format === "arm32_s1"
			? [32, 40]
			: format === "arm32_s2"
				? [40, 40]
				: format === "arm_mali"
					? [48, 40]
					: [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
	if (ias > iasLimit || oas > oasLimit)
		refuse(
			format,
			`input ${ias} or output ${oas} bits beyond ${iasLimit}/${oasLimit}`,
		);
	const known =
		dialect === "s1" ? ["ARM_NS", "ARM_TTBR1", "ARM_OUTER_WBWA", "ARM_HD"] : [];
	const unknown = quirks.find((quirk) => !known.includes(quirk));
	if (unknown !== undefined)
		refuse(format, `quirk ${unknown} is not supported`);
	if (quirks.includes("ARM_OUTER_WBWA") && (request.coherent ?? true))
		refuse(format, "quirk ARM_OUTER_WBWA needs a walker that does not snoop");
}

function registersOf(
	dialect: LpaeDialect,
	quirks: readonly string[],
	shape: {
		readonly ias: number;
		readonly coherent: boolean;
		readonly granuleShift: number;
		readonly startLevel: number;
		readonly physicalSize: number;
	},
): Record<string, RegisterFields> {
	if (dialect === "mali") return {};
	const { ias, coherent, granuleShift, startLevel, physicalSize } = shape;
	const index = (granuleShift - 12) / 2;
	const ttbr0Granule = [0, 2, 1][index] ?? 0;
	const outerWbwa = quirks.includes("ARM_OUTER_WBWA");
	const walker = {
		sh: coherent ? 3 : 2,
		orgn: coherent || outerWbwa ? 1 : 0,
		irgn: coherent ? 1 : 0,
	};
	const tsz = 64 - ias;
	if (dialect === "s1") {
		const ttbr1Granule = [2, 1, 3][index] ?? 0;
		const tg = quirks.includes("ARM_TTBR1") ? ttbr1Granule : ttbr0Granule;
		return { tcr: { ips: physicalSize, tg, ...walker, tsz }, mair: MAIR };
	}
	// The start-level code counts differently for the 4 KiB granule.
	const sl = granuleShift === 12 ? startLevel + 1 : startLevel;
	return {
		vtcr: { ps: physicalSize, tg: ttbr0Granule, ...walker, sl: ~sl & 3, tsz },
	};
}
