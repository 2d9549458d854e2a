/**
 * The `key=value` names that trace events and probe lines carry, each with a fixed slot, and a hash table from the bytes
 * of a name to its slot: the tokenizer (trace-line.ts) never makes a string of a key.
 */

/** Every field name the importer reads; others are skipped by the tokenizer. Names as in the probe lines (capture.ts). */
export const KEY_NAMES = [
	..."dom dmar new old default blocking owner owner_cnt flags grp gid dev dev_id device groupID".split(
		" ",
	),
	..."iova size pa paddr prot ret unmapped_size length start end queued ih iopt ioas ictx idev".split(
		" ",
	),
	..."hwpt hwpt_id igroup_hwpt users new_hwpt new_id new_dom old_hwpt id obj ioas_id type".split(
		" ",
	),
	..."newtype target_type did pasid iommu bus devfn level retain_level start_pfn last_pfn pfn".split(
		" ",
	),
	..."pages cookie iovad addr attached pt_id call errno seq len src dst path val group".split(
		" ",
	),
	..."container dma irq nents phys sid handle iommufd fd".split(" "),
] as const;

const TABLE_SIZE = 1024;
const hashes = new Int32Array(TABLE_SIZE);
const slots = new Int16Array(TABLE_SIZE).fill(-1);

/** One step of the name hash. Start with 0. */
export const hashStep = (hash: number, byte: number): number =>
	(Math.imul(hash, 31) + byte) | 0;

/** The hash of a whole ASCII name. */
export function hashName(name: string): number {
	let hash = 0;
	for (let i = 0; i < name.length; i++)
		hash = hashStep(hash, name.charCodeAt(i));
	return hash;
}

for (const [slot, name] of KEY_NAMES.entries()) {
	const hash = hashName(name);
	let at = hash & (TABLE_SIZE - 1);
	while (slots[at] !== -1) at = (at + 1) & (TABLE_SIZE - 1);
	hashes[at] = hash;
	slots[at] = slot;
}

/** The slot of the name with this hash, or -1. */
export function slotOfHash(hash: number): number {
	let at = hash & (TABLE_SIZE - 1);
	for (;;) {
		const slot = slots[at] as number;
		if (slot === -1 || hashes[at] === hash) return slot;
		at = (at + 1) & (TABLE_SIZE - 1);
	}
}

/** The slot of a known name. Throws RangeError for a name that is not in KEY_NAMES. */
export function slotOf(name: string): number {
	const slot = KEY_NAMES.indexOf(name);
	if (slot < 0) throw new RangeError(`not a field name: ${name}`);
	return slot;
}

/** How many slots there are. */
export const SLOTS = KEY_NAMES.length;
