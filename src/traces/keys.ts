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
	..."container dma irq nents phys sid handle iommufd fd fail_nth".split(" "),
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

/** Slot constants of every field, by name: `K.dom`. */
export const K = {
	dom: slotOf("dom"),
	dmar: slotOf("dmar"),
	new: slotOf("new"),
	old: slotOf("old"),
	default: slotOf("default"),
	blocking: slotOf("blocking"),
	owner: slotOf("owner"),
	ownerCnt: slotOf("owner_cnt"),
	flags: slotOf("flags"),
	grp: slotOf("grp"),
	gid: slotOf("gid"),
	dev: slotOf("dev"),
	devId: slotOf("dev_id"),
	device: slotOf("device"),
	groupID: slotOf("groupID"),
	iova: slotOf("iova"),
	size: slotOf("size"),
	pa: slotOf("pa"),
	paddr: slotOf("paddr"),
	prot: slotOf("prot"),
	ret: slotOf("ret"),
	unmappedSize: slotOf("unmapped_size"),
	length: slotOf("length"),
	start: slotOf("start"),
	end: slotOf("end"),
	queued: slotOf("queued"),
	iopt: slotOf("iopt"),
	ioas: slotOf("ioas"),
	ictx: slotOf("ictx"),
	idev: slotOf("idev"),
	hwpt: slotOf("hwpt"),
	hwptId: slotOf("hwpt_id"),
	igroupHwpt: slotOf("igroup_hwpt"),
	users: slotOf("users"),
	newHwpt: slotOf("new_hwpt"),
	newId: slotOf("new_id"),
	newDom: slotOf("new_dom"),
	oldHwpt: slotOf("old_hwpt"),
	id: slotOf("id"),
	obj: slotOf("obj"),
	ioasId: slotOf("ioas_id"),
	type: slotOf("type"),
	did: slotOf("did"),
	iommu: slotOf("iommu"),
	bus: slotOf("bus"),
	devfn: slotOf("devfn"),
	level: slotOf("level"),
	retainLevel: slotOf("retain_level"),
	startPfn: slotOf("start_pfn"),
	lastPfn: slotOf("last_pfn"),
	pfn: slotOf("pfn"),
	pages: slotOf("pages"),
	cookie: slotOf("cookie"),
	iovad: slotOf("iovad"),
	attached: slotOf("attached"),
	ptId: slotOf("pt_id"),
	call: slotOf("call"),
	errno: slotOf("errno"),
	len: slotOf("len"),
	path: slotOf("path"),
	val: slotOf("val"),
	dma: slotOf("dma"),
	newtype: slotOf("newtype"),
	iommufd: slotOf("iommufd"),
	fd: slotOf("fd"),
	failNth: slotOf("fail_nth"),
} as const;
