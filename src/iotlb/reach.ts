/**
 * How far an invalidation command reaches into what one tag may hold (facts pagetable-semantics.md §5.2): whether it names the tag (domain
 * id, PASID, requester), and which kinds of its entries it is sure to drop. The one place where families of hardware differ in that.
 *
 * Nested tags hold combined entries: of a guest's first stage, over the parent's second. They are told by second-stage addresses here, so
 * a command that names first-stage addresses is sure of none of them unless it takes the whole tag.
 */
import type { Hardware } from "./hardware.ts";
import {
	ANY_DEVICE,
	type ContextEntry,
	type Invalidation,
	type Space,
	type Unit,
} from "./state.ts";

/** Of one kind of entries: all of the tag, those that the range meets, or none. */
export type Part = "all" | "range" | "none";
/** What a command is sure to drop of one tag. */
export interface Reach {
	/** Leaf and negative entries; of a nested tag, the combined ones. */
	readonly leaf: Part;
	/** Pointers to tables of the (second) stage. */
	readonly walk: Part;
	/** What devices keep in TLBs of their own. */
	readonly device: Part;
}

const reach = (leaf: Part, walk: Part, device: Part = "none"): Reach => ({
	leaf,
	walk,
	device,
});
/** A command that says nothing to a tag. */
export const NOTHING: Reach = reach("none", "none");
const EVERYTHING = reach("all", "all");
const RANGE = reach("range", "range");
const LEAVES = { all: reach("all", "none"), range: reach("range", "none") };
const WALKS = { all: reach("none", "all"), range: reach("none", "range") };
const DEVICES = {
	all: reach("none", "none", "all"),
	range: reach("none", "none", "range"),
};

/** What `command` is sure to drop of `space`. */
export function reachInto(
	hardware: Hardware,
	unit: Unit,
	command: Invalidation,
	space: Space,
): Reach {
	switch (command.kind) {
		case "iotlb":
		case "piotlb":
			if (!namesTag(unit, command, space)) return NOTHING;
			return space.stage2 === undefined
				? ofPlain(command, space)
				: ofNested(hardware, command);
		case "walk":
			return namesTag(unit, command, space)
				? WALKS[command.gran === "page" ? "range" : "all"]
				: NOTHING;
		case "devtlb":
			return command.did === undefined || namesTag(unit, command, space)
				? ofDevice(command, space)
				: NOTHING;
		default:
			return NOTHING;
	}
}

/** Domain id and PASID. A tag whose id the log never told (below 0) may be meant by any command with an id that nobody else has. */
function namesTag(unit: Unit, command: Invalidation, space: Space): boolean {
	const { did, gran, kind } = command;
	if (gran === "global") return true;
	if (did !== space.did) {
		const isUnknown = did === undefined || !unit.spaces.has(did);
		if (space.did >= 0 || !isUnknown || kind === "walk") return false;
	}
	return kind !== "piotlb" || (command.pasid ?? 0) === space.pasid;
}

/** A command for first-stage (and combined) entries only: VT-d's PASID-based ones, AMD's with GN=1, SMMUv3's TLBI NH_*. */
const isFirstStage = ({ kind, stage }: Invalidation): boolean =>
	kind === "piotlb" || stage === 1;

/** One ASID of several under a VMID, or a range of addresses, or the whole tag. */
const widthOf = ({ gran }: Invalidation): Part =>
	gran === "page" ? "range" : gran === "asid" ? "none" : "all";

function ofPlain(command: Invalidation, space: Space): Reach {
	const width = widthOf(command);
	if (width === "none" || (space.isParent && isFirstStage(command)))
		return NOTHING;
	if (command.leafOnly) return LEAVES[width];
	return width === "all" ? EVERYTHING : RANGE;
}

/**
 * VT-d finds combined entries by the domain id and the second stage's address (intel/cache.c: CACHE_TAG_NESTING_IOTLB is flushed as other
 * tags are); AMD-Vi, which has no nested domains in 6.12, is taken to be like it. An SMMUv3 does not: its TLBI S2_IPA takes second-stage
 * entries, and the combined ones go with the VMID (since 6.13, its first with nesting, arm-smmu-v3.c sends TLBI NH_ALL besides when a
 * nesting parent changes).
 */
function ofNested(hardware: Hardware, command: Invalidation): Reach {
	const width = widthOf(command);
	if (isFirstStage(command)) return width === "all" ? LEAVES.all : NOTHING;
	if (width === "none") return NOTHING;
	const isSpared =
		command.stage === 2 || (width === "range" && hardware.family === "smmu-v3");
	if (command.leafOnly) return isSpared ? NOTHING : LEAVES[width];
	if (isSpared) return WALKS[width];
	return width === "all" ? EVERYTHING : RANGE;
}

/** Frames of the whole address space. */
const ALL_FRAMES = 2 ** 52;

/**
 * A request without PASID takes entries of all PASIDs with it (arm-smmu-v3.c:arm_smmu_atc_inv_to_cmd; intel/cache.c:cache_tag_flush_all
 * relies on it). What a device keeps of a nested tag is told by first-stage addresses, so that only a flush of all of it is sure to take
 * what a change of the second stage left (intel/cache.c:cache_tag_flush_range, CACHE_TAG_NESTING_DEVTLB).
 */
function ofDevice(command: Invalidation, space: Space): Reach {
	if (command.pasid !== undefined && command.pasid !== space.pasid)
		return NOTHING;
	if (space.stage2 === undefined) return DEVICES.range;
	return command.start === 0 && command.n >= ALL_FRAMES ? DEVICES.all : NOTHING;
}

/** Does a device-TLB command go to this requester? */
export const goesTo = (command: Invalidation, sid: number): boolean =>
	command.sid === undefined || sid === ANY_DEVICE || command.sid === sid;

/** Does a command drop a cached context entry, PASID entry, STE, CD or DTE (facts §5.2)? */
export function dropsEntry(
	hardware: Hardware,
	command: Invalidation,
	entry: ContextEntry,
): boolean {
	const { did, gran, kind, pasid, sid } = command;
	if (kind === "context") {
		// Neither a VT-d context entry nor an AMD device table entry takes PASID entries with it; an STE does take its CDs.
		if (hardware.scalable) return false;
		if (entry.pasid !== 0 && hardware.family !== "smmu-v3") return false;
		if (gran === "global") return true;
		return gran === "domain"
			? did === undefined || did === entry.space.did
			: sid === undefined || sid === entry.sid;
	}
	// The IOMMU is told of a changed entry of the GCR3 table by nothing but the command that drops all of that PASID (amd/iommu.c:update_gcr3,
	// dev_flush_pasid_all).
	const isOfAmd =
		kind === "piotlb" && hardware.family === "amd-vi" && gran !== "page";
	if (kind !== "pasid" && !isOfAmd) return false;
	if (gran === "global") return true;
	return (
		(did === undefined || did === entry.space.did) &&
		(sid === undefined || sid === entry.sid) &&
		(gran === "domain" || pasid === undefined || pasid === entry.pasid)
	);
}
