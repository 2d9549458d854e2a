/** Merges what lies beside the trace into it: calls and the emulator's log, in order of the times they are due. */
import type { State } from "./state.ts";

/** The next time something beside the trace is due. */
export const nextDue = (state: State): number =>
	Math.min(
		state.calls.next,
		state.calls.witness?.next ?? Number.POSITIVE_INFINITY,
	);

/** Lets everything happen that is due up to `t`. The order depends on times alone, not on which trace lines lie between. */
export function advanceTo(state: State, t: number): void {
	const { calls } = state;
	for (;;) {
		const call = calls.next;
		const seen = calls.witness?.next ?? Number.POSITIVE_INFINITY;
		if (call > t && seen > t) return;
		if (call === Number.POSITIVE_INFINITY && seen === call) return;
		if (call <= seen) calls.step(state);
		else calls.witness?.step();
	}
}
