/**
 * The driver personalities by name, as topology files choose them: how each answers (DriverOps), which page-table format its domains have, and
 * which flush it does at which step (facts/pagetable-semantics.md §2, §4.1, §5).
 */
import type { DriverOps } from "../../machines/ops/driver.ts";
import { amdVi } from "./amd-vi.ts";
import { mock } from "./mock.ts";
import { smmuV3 } from "./smmu-v3.ts";
import { vtd } from "./vtd.ts";

/** How each driver answers. */
export const PERSONALITIES: { readonly [name: string]: DriverOps } = {
	mock,
	vtd,
	"smmu-v3": smmuV3,
	"amd-vi": amdVi,
};

/** When a driver flushes, step by step. */
export interface FlushManners {
	/** After a map: never, only with caching mode / NpCache, or when live entries were replaced. */
	readonly afterMap: "never" | "cachingMode" | "replacedEntries";
	/** In a strict unmap: entries cleared, then this, then the pages may be unpinned. */
	readonly unmap: "rangePerSync" | "rangeAndWalkOnTableFree";
	/** A table unlinked under a live domain is freed before or after its flush. */
	readonly tableFreedBeforeFlush: "never" | "superpageOverTable";
	/** What an attach does to caches of the device's entry. */
	readonly attach: readonly string[];
	/** What leaving a domain does. */
	readonly detach: readonly string[];
}
/** The part of a personality that page tables and caches need. */
export interface TranslationManners {
	/** Name of the format in src/pagetable/formats. */
	readonly format: "none" | "vtd-second-stage" | "arm-lpae-s2" | "amd-v1";
	/** What a request smaller than the leaf removes (facts §4.8): the whole leaf, or it is split first. */
	readonly partialUnmap: "wholeLeaf" | "split";
	readonly flush: FlushManners;
}

/** Page-table format and flushes by driver. */
export const TRANSLATION: { readonly [name: string]: TranslationManners } = {
	mock: {
		format: "none",
		partialUnmap: "wholeLeaf",
		flush: {
			afterMap: "never",
			unmap: "rangePerSync",
			tableFreedBeforeFlush: "never",
			attach: [],
			detach: [],
		},
	},
	vtd: {
		format: "vtd-second-stage",
		partialUnmap: "wholeLeaf",
		flush: {
			afterMap: "cachingMode",
			unmap: "rangePerSync",
			tableFreedBeforeFlush: "superpageOverTable",
			attach: ["ctx.entry.set", "tag.assigned"],
			detach: [
				"tag.unassigned",
				"ctx.entry.cleared",
				"inv.context",
				"inv.iotlb.domain",
			],
		},
	},
	"smmu-v3": {
		format: "arm-lpae-s2",
		partialUnmap: "split",
		flush: {
			afterMap: "never",
			unmap: "rangeAndWalkOnTableFree",
			tableFreedBeforeFlush: "never",
			attach: ["ctx.entry.set", "inv.context"],
			detach: ["ctx.entry.cleared", "inv.context", "inv.iotlb.domain"],
		},
	},
	"amd-vi": {
		format: "amd-v1",
		partialUnmap: "wholeLeaf",
		flush: {
			afterMap: "replacedEntries",
			unmap: "rangePerSync",
			tableFreedBeforeFlush: "never",
			attach: ["ctx.entry.set", "inv.context"],
			detach: ["ctx.entry.cleared", "inv.context", "inv.iotlb.domain"],
		},
	},
};

/** The personality of that name. Throws RangeError with the known names when there is none. */
export function driverNamed(name: string): DriverOps {
	const found = Object.hasOwn(PERSONALITIES, name)
		? PERSONALITIES[name]
		: undefined;
	if (found === undefined)
		throw new RangeError(
			`unknown driver personality ${JSON.stringify(name)}; known: ${Object.keys(PERSONALITIES).join(", ")}`,
		);
	return found;
}
