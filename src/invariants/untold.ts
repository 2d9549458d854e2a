/**
 * What a check needs told: when a recording turns out to lack every event of a kind (src/traces/companions.ts), findings that rest on the
 * absence of such an event, or on what it would have changed, are not certain any more.
 */

/** Checks, or families of them (the part of the id before the dash), that an event feeds. Events that are not here feed none. */
const FEEDS: readonly (readonly [RegExp, string])[] = [
	// A kprobe that missed an IOVA's release or a flush of the queue makes a reuse look early.
	[/^missed in interrupts$/, "PT-33 PT-34"],
	// A witness whose lines cannot be placed between the commands of the trace.
	[/^witness$/, "PT-36"],
	[/^(?:map|unmap)$/, "PT IOP HWP LOG"],
	[/^(?:map|unmap)(?:_sg|_fast)?_(?:in|ret)$/, "PT IOP HWP LOG"],
	[/^attach_device_to_domain$|^dev_set_domain_/, "GRP LOG OWN HWP VFT PT"],
	[/^(?:group_set_domain|detach_group_handle)_/, "GRP LOG OWN HWP VFT"],
	[/^(?:attach|replace)_group_handle_|^(?:attach|detach)_group_/, "GRP LOG"],
	[/^(?:claim|release)_|^(?:un)?use_default|^ifd_(?:un)?bind/, "OWN REF LOG"],
	[
		/^ifd_(?:attach|replace|detach)|^hwpt_(?:attach|replace|detach)/,
		"GRP LOG OWN HWP REF RSV IOP VFT",
	],
	[/^hwpt_|^iopt_(?:add|remove)_domain/, "HWP IOP LOG REF"],
	[/^domain_/, "HWP IOP LOG REF PT"],
	[/^obj_remove_ret$|^ioas_destroy/, "OWN REF HWP LOG"],
	[/^iopt_(?:map|unmap)_ret$/, "IOP"],
	[/^resv_/, "RSV IOP"],
	[/^remove_device_from_group$|^add_device_to_group$/, "GRP HWP OWN"],
	[/^t1_/, "VFT IOP"],
	[/^qi_submit$|^cache_tag_|^ct_|^vtd_|^fq_|^free_iova$/, "PT"],
];

/** The families of checks that are uncertain without this event. */
export const fedBy = (event: string): readonly string[] =>
	FEEDS.find(([events]) => events.test(event))?.[1].split(" ") ?? [];

/** The family of an id: "PT" of "PT-32". */
export const familyOf = (id: string): string => id.slice(0, id.indexOf("-"));
