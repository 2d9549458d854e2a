/**
 * The last file reference goes (facts §1.6: iommufd/main.c:iommufd_fops_release). Bound devices hold the file, so none is left by then;
 * hwpts go before the IOASes they hold.
 */
import type { CtxId, ObjectId } from "../src/vocabulary/ids.ts";
import { kernelNumber } from "../src/vocabulary/ids.ts";
import type { Definition } from "./define.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import {
	failWith,
	FRESH,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** What it knows: `ids` still to be destroyed, in order. */
export interface CloseContext extends TxContext {
	readonly ctx: CtxId;
	readonly ids: readonly number[];
	readonly i: number;
}
type C = CloseContext;
const isKind = (kind: string) => (obj: ObjectId) => obj.includes(`/${kind}:`);

/** Close a context. */
export const close: Definition<CloseContext, undefined> = {
	id: "close",
	about: "Last close of an iommufd file (iommufd/main.c:iommufd_fops_release)",
	events: TX_EVENTS,
	start: () => ({ ctx: "ctx:0", ids: [], i: 0, ...FRESH }),
	guards: {
		devicesBound: (_: C, e: Done<readonly ObjectId[]>) =>
			e.value.some(isKind("idev")),
		nothingLeft: (_: C, e: Done<readonly ObjectId[]>) => e.value.length === 0,
		moreLeft: (c: C) => c.i + 1 < c.ids.length,
	},
	actions: {
		...txActions,
		begin: (_: C, e: { readonly ctx: CtxId }) => ({
			ctx: e.ctx,
			ids: [],
			i: 0,
			...FRESH,
		}),
		failBound: failWith("EBUSY", "ctx.file"),
		learnObjects: (_: C, e: Done<readonly ObjectId[]>) => ({
			ids: [
				...e.value.filter(isKind("hwpt")),
				...e.value.filter(isKind("ioas")),
			].map(kernelNumber),
		}),
		next: (c: C) => ({ i: c.i + 1 }),
		askList: (c: C) => ({ ask: ask({ type: "id.list", to: c.ctx }) }),
		askDestroy: (c: C) => ({
			ask: ask({ type: "call.destroy", to: c.ctx, id: c.ids[c.i]! }),
		}),
		askClose: (c: C) => ({ ask: ask({ type: "ctx.close", to: c.ctx }) }),
		returnResult: () => ({
			ask: ask({ type: "return", to: "host", ok: true }),
		}),
	},
	config: txConfig([{ target: "Listing", actions: ["begin"] }], {
		Listing: step(
			"askList",
			[
				{ guard: "devicesBound", target: "Failed", actions: ["failBound"] },
				{ guard: "nothingLeft", target: "Closing" },
				{ target: "Destroying", actions: ["learnObjects"] },
			],
			"Failed",
		),
		Destroying: sure("askDestroy", [
			{
				guard: "moreLeft",
				target: "Destroying",
				reenter: true,
				actions: ["next"],
			},
			{ target: "Closing" },
		]),
		Closing: step("askClose", "Committed", "Failed"),
	}),
};
