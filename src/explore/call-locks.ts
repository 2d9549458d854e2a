/**
 * The locks of concurrent calls, by number: those of the groups first, then the mutexes of the IOASes A and B. Order in the kernel: device set,
 * IOAS mutex, group (facts iommufd-semantics.md §1.7). A call that goes through an IOAS holds its mutex from before the scan of its hwpts
 * until an automatic one is published; a hwpt is unlinked under it. (The model drops the old hwpt of a replace inside that section, Linux
 * after it: an order that is not explored.)
 */
import type { Step } from "../../machines/steps.ts";
import { kernelNumber } from "../vocabulary/ids.ts";
import type { CallHost } from "./call-host.ts";
import { asked, type ThreadState } from "./call-state.ts";
import { ownsByGroup } from "../orchestrator/flows.ts";

/** The first number of an IOAS mutex. */
export const MUTEX = 4;
/** The bit, among those of locks that are held for longer, of IOAS A's mutex; B's follows. Device sets come before (call-scenario.ts). */
export const TAKES_MUTEX = 1 << 12;
/** … of the first group's lock, of the second, … */
export const TAKES_GROUP = 1 << 16;

const groupLock = (host: CallHost, group: string): number =>
	host.groups.findIndex((one) => one.group === group);
const mutex = (host: CallHost, ioas: string): number =>
	kernelNumber(ioas as never) === host.ids.A ? MUTEX : MUTEX + 1;

/** The lock that a step waits for, or -1. */
function lockOf(host: CallHost, step: Step): number {
	if (step.type === "ig.lock") return groupLock(host, step.to);
	if (step.type === "call.auto") return mutex(host, step.to);
	if (step.type === "hwpt.unlink") return mutex(host, step.to);
	if (!looksUnderLock(host, step) || !("dev" in step)) return -1;
	return groupLock(host, host.outside.groupOf(step.dev as never));
}

/** The lock that a thread's next step waits for, or -1. */
export function wantedLock(host: CallHost, thread: ThreadState): number {
	const step = asked(thread);
	return step === undefined ? -1 : lockOf(host, step);
}

/** Locks that a thread holds, a bit each. */
export function heldLocks(host: CallHost, thread: ThreadState): number {
	let held = 0;
	if (thread.holds)
		for (const { context } of thread.frames) {
			const { group } = context as { readonly group?: string };
			if (group !== undefined) held |= 1 << groupLock(host, group);
		}
	for (const { role, context } of thread.frames)
		if (role === "auto")
			held |= 1 << mutex(host, (context as { readonly ioas: string }).ioas);
	return held;
}

/**
 * Replace looks at what the group is attached to under its lock (iommufd/device.c:iommufd_device_do_replace reads igroup->hwpt after
 * mutex_lock), so its beginning, which brings that view, and the lock are one move. Detach reads it before (R1).
 */
export const looksUnderLock = (host: CallHost, step: Step): boolean =>
	step.type === "call.replace" && ownsByGroup(host.outside.switches.flow);
