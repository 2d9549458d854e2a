/**
 * The switches in which drivers differ (facts §9). A driver personality is one setting of them; the defaults of a format are what
 * Linux 6.12 does there. Each driver file says which values it knows; `createTable` refuses the others by name.
 */

/** The switches. */
export interface Policy {
	/** Unmap of less than a block: replace the block by a table of the rest, refuse with a warning (6.13+ Arm), or take the whole block. */
	readonly partialUnmap: "split" | "refuse" | "larger";
	/** Map over a present leaf: -EEXIST, replace silently, replace and flush, or keep the old entry and report success. */
	readonly mapOverLeaf: "eexist" | "replace" | "replaceFlush" | "keepOld";
	/** Unmap of what is not mapped: stop there, count it as unmapped, or enlarge to the slot of the missing level. */
	readonly holeOnUnmap: "stop" | "count" | "enlarge";
	/** When unlinked tables go back: at once, on a list local to the call, on the caller's gather, or after a grace period as well (seed 2, not in 6.12). */
	readonly tableFree: "direct" | "localList" | "gather" | "rcu";
	/** Level of a map: the page size asked for, or derived from alignment and length. */
	readonly levelChoice: "asked" | "derived";
	/** v7s split: do the remaining pages keep the section's physical base? 6.12 loses it (arm_v7s_split_blk_unmap). */
	readonly v7sSplitBase: "kept" | "lost";
	/** The defect named in seed 5: iova_to_phys takes the offset modulo the granule, so a block reports its first page for all. */
	readonly iovaToPhysBlockDefect: boolean;
}

/** Policy values a caller may set; what is left out is the format's own. */
export type PolicyOverrides = Partial<Policy>;

/** Thrown by `createTable` for a request that no driver of this model can serve. */
export class PageTableConfigError extends Error {
	override readonly name = "PageTableConfigError";
}

/** Merges overrides into the format's defaults, refusing values the driver does not know. */
export function settlePolicy(
	format: string,
	defaults: Policy,
	known: {
		readonly [K in keyof Policy]?: readonly Policy[K][];
	},
	overrides: PolicyOverrides,
): Policy {
	for (const key of Object.keys(overrides) as (keyof Policy)[]) {
		const value = overrides[key];
		const values: readonly unknown[] = known[key] ?? [defaults[key]];
		if (!values.includes(value))
			throw new PageTableConfigError(
				`policy ${key}=${String(value)} is not modelled for ${format}; known: ${values.join(", ")}`,
			);
	}
	return { ...defaults, ...overrides };
}
