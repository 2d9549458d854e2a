/**
 * Hot add: the core probes a device into a group that exists (facts §4.7, R9). Three steps, one lock: a statechart would explain nothing.
 */
import { ask } from "../../machines/steps.ts";
import type { DeviceId } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { memberOf } from "./outside.ts";

/** Tells whether a device is in the machine: not absent, or added since. */
export function isPresent(x: Executor, dev: DeviceId): boolean {
	const known = x.parts.outside.devices.get(dev);
	if (known?.topology.absent !== true) return known !== undefined;
	const { members } = x.group(known.group.group);
	return members.some((member) => member.dev === dev);
}

/**
 * iommu.c:__iommu_probe_device: the device is in the list before it gets the group's current domain, whatever that is. iommufd is not asked
 * and not told: no reservation, no count, no place in its list. A refusal takes the device out of the group again.
 */
export function hotAdd(
	x: Executor,
	{ dev }: { readonly dev: DeviceId },
): Outcome {
	const done = { ok: true } as Outcome;
	if (isPresent(x, dev)) return done;
	const { group, topology } = x.parts.outside.device(dev);
	const to = group.group;
	const joins = ask({
		type: "grp.member.add",
		to,
		failable: "ENOMEM",
		...memberOf(topology),
	});
	const joined = x.perform(joins);
	if (!joined.ok) return joined;
	const { dom, blk } = x.group(to);
	const said = x.perform(
		ask({
			type: "hw.attach",
			to: dev,
			dom: dom!,
			blocking: dom === blk,
			undo: false,
		}),
	);
	if (said.ok) return done;
	x.tell(ask({ type: "grp.member.remove", to, dev }));
	return said;
}
