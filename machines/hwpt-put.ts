/**
 * Drop one count of a hwpt; an automatic one that only the id table still holds is destroyed in the same call, after every lock is
 * gone (facts §1.5; iommufd_private.h:iommufd_object_put_and_try_destroy, whose result nobody looks at).
 */
import type { HwptId } from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { Step } from "./steps.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import { FRESH, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

/** What a put knows. */
export interface PutContext extends TxContext {
	readonly hwpt: HwptId;
}
type C = PutContext;
const { countRefusal } = txActions;

/** Put a hwpt. */
export const hwptPut: Definition<PutContext, undefined> = {
	id: "hwpt-put",
	about:
		"Drop a count of a hwpt, and with the last one an automatic hwpt itself",
	events: TX_EVENTS,
	start: () => ({ hwpt: NO_HWPT.hwpt, ...FRESH }),
	guards: {
		lastOfAutomatic: (_: C, e: Done<{ readonly unused: boolean }>) =>
			e.value.unused,
	},
	actions: {
		countRefusal,
		begin: (_: C, e: { readonly args: Step<"call.put"> }) => ({
			hwpt: e.args.hwpt,
			...FRESH,
		}),
		askPut: (c: C) => ({
			ask: ask({ type: "obj.put", to: c.hwpt, n: 1, why: "attach" }),
		}),
		askFree: (c: C) => ({
			ask: ask({ type: "call.free", to: c.hwpt, hwpt: c.hwpt, auto: true }),
		}),
		returnResult: () => ({
			ask: ask({ type: "return", to: "host", ok: true }),
		}),
	},
	config: txConfig([{ target: "Putting", actions: ["begin"] }], {
		Putting: sure("askPut", [
			{ guard: "lastOfAutomatic", target: "Freeing" },
			{ target: "Committed" },
		]),
		Freeing: sure("askFree", "Committed"),
	}),
};
