/**
 * Destroy a paging hwpt, in the kernel's order (facts §1.4: hw_pagetable.c:iommufd_hwpt_paging_destroy): out of the IOAS' list, domain
 * out of the IOAS, domain freed, IOAS count dropped.
 */
import type { CtxId } from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { HwptView, Step } from "./steps.ts";
import { ask } from "./steps.ts";
import type { TxContext } from "./transaction.ts";
import {
	FRESH,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** What a destruction knows. */
export interface FreeContext extends TxContext {
	readonly ctx: CtxId;
	readonly of: HwptView;
	/** By the last put of an automatic hwpt, not by IOMMU_DESTROY. */
	readonly auto: boolean;
}
type C = FreeContext;

/** Destroy a hwpt. */
export const hwptFree: Definition<FreeContext, undefined> = {
	id: "hwpt-free",
	about:
		"Destroy a paging hwpt (iommufd/hw_pagetable.c:iommufd_hwpt_paging_destroy)",
	events: TX_EVENTS,
	start: () => ({ ctx: "ctx:0", of: NO_HWPT, auto: false, ...FRESH }),
	guards: {},
	actions: {
		...txActions,
		begin: (
			_: C,
			e: {
				readonly ctx: CtxId;
				readonly args: Step<"call.free">;
				readonly of: HwptView;
			},
		) => ({
			ctx: e.ctx,
			of: e.of,
			auto: e.args.auto,
			...FRESH,
		}),
		askDestroy: (c: C) => ({
			ask: ask({ type: "hwpt.destroy", to: c.of.hwpt, auto: c.auto }),
		}),
		askUnlink: (c: C) => ({
			ask: ask({
				type: "hwpt.unlink",
				to: c.of.ioas,
				hwpt: c.of.hwpt,
				undo: false,
			}),
		}),
		askRemove: (c: C) => ({
			ask: ask({
				type: "iopt.remove",
				to: c.of.ioas,
				dom: c.of.dom,
				hwpt: c.of.hwpt,
				undo: false,
			}),
		}),
		askFreeDomain: (c: C) => ({
			ask: ask({ type: "dom.free", to: c.of.dom, undo: false }),
		}),
		askPutIoas: (c: C) => ({
			ask: ask({ type: "obj.put", to: c.of.ioas, n: 1, why: "hwpt" }),
		}),
		askVanish: (c: C) => ({
			ask: ask({ type: "hwpt.gone", to: c.of.hwpt, undo: false }),
		}),
		askFreeId: (c: C) => ({
			ask: ask({ type: "id.free", to: c.ctx, obj: c.of.hwpt }),
		}),
		returnResult: () => ({
			ask: ask({ type: "return", to: "host", ok: true }),
		}),
	},
	config: txConfig([{ target: "Destroying", actions: ["begin"] }], {
		Destroying: step(
			"askDestroy",
			"Unlinking",
			"Failed",
			"Refused with EBUSY while anything holds it",
		),
		Unlinking: sure("askUnlink", "Removing"),
		Removing: sure("askRemove", "FreeingDomain"),
		FreeingDomain: sure("askFreeDomain", "PuttingIoas"),
		PuttingIoas: sure("askPutIoas", "Vanishing"),
		Vanishing: sure("askVanish", "FreeingId"),
		FreeingId: sure("askFreeId", "Committed"),
	}),
};
