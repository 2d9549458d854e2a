/**
 * Events that a trace ought to have and does not: one of their companions is there, which in the kernel never comes without them, and they
 * never are. Their probe was off, inlined, or filtered out. What they would have told is then unknown, not false.
 */
import { EVENTS } from "./events.ts";

/** Event → companions; one of them is enough, `a+b` needs both. Entry and return of a call are each other's companions besides. */
const COMPANIONS: { readonly [event: string]: string } = {
	map: "map_in map_ret map_sg_ret vtd_map_pages_in",
	unmap: "unmap_in unmap_ret unmap_fast_in unmap_fast_ret vtd_unmap_pages_in",
	attach_device_to_domain:
		"dev_set_domain_in dev_set_domain_ret vtd_attach_in vtd_blocking_attach",
	dev_set_domain_in: "group_set_domain_in group_set_domain_ret",
	group_set_domain_in:
		"dev_set_domain_in ifd_bind_ret hwpt_attach_ret attach_group_handle_in",
	group_set_domain_ret:
		"dev_set_domain_in ifd_bind_ret hwpt_attach_ret attach_group_handle_in",
	attach_group_handle_in: "hwpt_attach_ret",
	attach_group_handle_ret: "hwpt_attach_ret",
	detach_group_handle_in: "detach_group_handle_ret",
	claim_dev_owner_ret: "ifd_bind_ret",
	release_dev_owner_in: "ifd_unbind_in",
	unuse_default_domain_in: "use_default_domain_in use_default_domain_ret",
	ifd_bind_ret: "ifd_attach_in ifd_unbind_in",
	ifd_unbind_in: "release_dev_owner_in",
	ifd_attach_in: "hwpt_attach_in hwpt_attach_ret attach_group_handle_in",
	ifd_attach_ret: "hwpt_attach_in hwpt_attach_ret attach_group_handle_in",
	ifd_replace_in: "hwpt_replace_in hwpt_replace_ret replace_group_handle_in",
	ifd_replace_ret: "hwpt_replace_in hwpt_replace_ret replace_group_handle_in",
	ifd_detach_in: "hwpt_detach_in hwpt_detach_ret detach_group_handle_in",
	ifd_detach_ret: "hwpt_detach_in hwpt_detach_ret detach_group_handle_in",
	hwpt_attach_in: "ifd_attach_in ifd_attach_ret resv_enforce_in",
	hwpt_attach_ret: "ifd_attach_in ifd_attach_ret resv_enforce_in",
	hwpt_replace_in: "ifd_replace_in ifd_replace_ret replace_group_handle_in",
	hwpt_replace_ret: "ifd_replace_in ifd_replace_ret replace_group_handle_in",
	hwpt_detach_in: "ifd_detach_in ifd_detach_ret detach_group_handle_in",
	hwpt_detach_ret: "ifd_detach_in ifd_detach_ret detach_group_handle_in",
	hwpt_alloc_ret: "iopt_add_domain_ret",
	hwpt_destroy_in: "iopt_remove_domain",
	iopt_add_domain_ret: "hwpt_alloc_ret",
	iopt_remove_domain: "hwpt_destroy_in",
	iopt_map_ret: "iopt_unmap_ret",
	domain_alloc_user_ret: "hwpt_alloc_ret",
	domain_free: "hwpt_destroy_in vtd_domain_free",
	obj_remove_ret: "hwpt_destroy_in ioas_destroy_in ifd_unbind_in",
	resv_enforce_in: "hwpt_attach_ret",
	resv_enforce_ret: "hwpt_attach_ret",
	resv_remove: "hwpt_detach_in hwpt_detach_ret",
	qi_submit:
		"qi_ctx_flush qi_iotlb_flush cache_tag_flush_range cache_tag_flush_all cache_tag_flush_range_np vtd_ctx_clear",
	cache_tag_assign: "ct_assign ct_assign_domain",
	cache_tag_unassign: "ct_unassign ct_unassign_domain",
	vtd_attach_in: "vtd_attach_ret vtd_dom_attach_iommu",
	vtd_dom_attach_iommu: "vtd_attach_in+vtd_attach_ret",
	vtd_block_translation: "vtd_blocking_attach",
	vtd_ctx_map: "vtd_ctx_clear vtd_ctx_map_ret",
	vtd_ctx_clear: "vtd_ctx_map+vtd_block_translation vtd_ctx_map+ct_unassign",
};

interface Rule {
	readonly event: string;
	readonly index: number;
	/** Alternatives; each is a list of events that must all be there. */
	readonly any: readonly (readonly number[])[];
}

const INDEX = new Map(EVENTS.map(({ name, index }) => [name, index]));
const indexOf = (name: string): number => {
	const index = INDEX.get(name);
	if (index === undefined) throw new Error(`${name} is no event`);
	return index;
};

/**
 * `x_in` for `x_ret` and the other way round, when there is such an event. Not in the driver, whose calls are read with either end alone
 * (the probes of a boot have entries only).
 */
function partner(name: string): string[] {
	if (/^(?:vtd|ct|dma|fq|setup)_/.test(name)) return [];
	const other = name.endsWith("_in")
		? `${name.slice(0, -3)}_ret`
		: name.endsWith("_ret")
			? `${name.slice(0, -4)}_in`
			: "";
	return INDEX.has(other) ? [other] : [];
}

const RULES: readonly Rule[] = EVENTS.flatMap(({ name, index }) => {
	const told = (COMPANIONS[name] ?? "").split(" ").filter((one) => one !== "");
	const any = [...told, ...partner(name)].map((one) =>
		one.split("+").map(indexOf),
	);
	return any.length === 0 ? [] : [{ event: name, index, any }];
});

/** The events that are missing from a whole trace, by the counts of all. `rejoined`: a device joined a group while it was in one. */
export function missingEvents(
	counts: ArrayLike<number>,
	rejoined: boolean,
): string[] {
	const missing = RULES.filter(
		({ index, any }) =>
			counts[index] === 0 &&
			any.some((all) => all.every((other) => (counts[other] as number) > 0)),
	).map(({ event }) => event);
	const removal = "remove_device_from_group";
	return rejoined && counts[indexOf(removal)] === 0
		? [...missing, removal]
		: missing;
}
