/**
 * What the orchestrator must know of an IOMMU driver (struct iommu_ops): the domains it makes and its manners at a refusal. Page-table
 * formats and flushes are src/pagetable's and src/iotlb's.
 */
import type { DomainShape } from "../../machines/domain.ts";

const K4 = 0x1000;
const M2 = 0x20_0000;
const G1 = 0x4000_0000;

/** A driver as the orchestrator sees it. */
export interface Personality {
	readonly shape: DomainShape;
	/** One static object serves as default and as blocking domain: claim and release then attach nothing (facts §4.1). */
	readonly staticBlocking: boolean;
	/** Its devices can enforce cache coherency unless the topology says otherwise. */
	readonly coherent: boolean;
	/** A refused attach leaves the device without translation until the revert (A13, intel/iommu.c:intel_iommu_attach_device). */
	readonly refusalTearsDown: boolean;
}

function personality(
	shape: DomainShape,
	rest: Partial<Omit<Personality, "shape">> = {},
): Personality {
	return {
		shape,
		staticBlocking: false,
		coherent: shape.coherent,
		refusalTearsDown: false,
		...rest,
	};
}

/** The personalities by the name that stands in the topology. */
export const PERSONALITIES: { readonly [driver: string]: Personality } = {
	/** Second stage, 4 levels; aperture and sizes as recorded with aw 48 (trace-formats.md E18). */
	vtd: personality(
		{
			driver: "vtd",
			pgsizes: K4 + M2 + G1,
			apertureStart: 0,
			apertureLast: 2 ** 48 - 1,
			coherent: true,
		},
		{ refusalTearsDown: true },
	),
	"smmu-v3": personality({
		driver: "smmu-v3",
		pgsizes: K4 + M2 + G1,
		apertureStart: 0,
		apertureLast: 2 ** 48 - 1,
		coherent: true,
	}),
	"amd-vi": personality({
		driver: "amd-vi",
		pgsizes: K4 + M2 + G1,
		apertureStart: 0,
		apertureLast: 0xffff_ffff_ffff_ffffn,
		coherent: true,
	}),
	/** The selftest's mock: half pages, a small aperture, one static domain for default and blocking (iommufd/selftest.c). */
	mock: personality(
		{
			driver: "mock",
			pgsizes: 0x800,
			apertureStart: 0x100_0000,
			apertureLast: 0x7fff_ffff,
			coherent: false,
		},
		{ staticBlocking: true },
	),
};

/** The personality of that name. Throws RangeError with the known names when there is none. */
export function personalityOf(driver: string): Personality {
	const found = PERSONALITIES[driver];
	if (found === undefined)
		throw new RangeError(
			`unknown driver personality ${JSON.stringify(driver)}; known: ${Object.keys(PERSONALITIES).join(", ")}`,
		);
	return found;
}
