/** Make an IOAS (facts §2.3: iommufd/ioas.c:iommufd_ioas_alloc_ioctl): id, object, answer copied, published. */
import type { CtxId, IoasId } from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import {
	FRESH,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** What it knows. */
export interface IoasAllocContext extends TxContext {
	readonly ctx: CtxId;
	readonly ioas: IoasId;
}
type C = IoasAllocContext;

/** IOMMU_IOAS_ALLOC. */
export const ioasAlloc: Definition<IoasAllocContext, undefined> = {
	id: "ioas-alloc",
	about: "IOMMU_IOAS_ALLOC (iommufd/ioas.c:iommufd_ioas_alloc_ioctl)",
	events: TX_EVENTS,
	start: () => ({ ctx: "ctx:0", ioas: NO_HWPT.ioas, ...FRESH }),
	guards: {},
	actions: {
		...txActions,
		begin: (_: C, e: { readonly ctx: CtxId }) => ({ ctx: e.ctx, ...FRESH }),
		learnId: (_: C, e: Done<IoasId>) => ({ ioas: e.value }),
		askId: (c: C) => ({
			ask: ask({
				type: "id.reserve",
				to: c.ctx,
				failable: "ENOMEM",
				kind: "ioas",
			}),
		}),
		askCreate: (c: C) => ({ ask: ask({ type: "ioas.create", to: c.ioas }) }),
		askRespond: () => ({
			ask: ask({ type: "resp", to: "host", failable: "EFAULT" }),
		}),
		askPublishId: (c: C) => ({
			ask: ask({ type: "id.publish", to: c.ctx, obj: c.ioas }),
		}),
		askVanish: (c: C) => ({
			ask: ask({ type: "ioas.gone", to: c.ioas, undo: true }),
		}),
		askFreeId: (c: C) => ({
			ask: ask({ type: "id.free", to: c.ctx, obj: c.ioas }),
		}),
		returnResult: (c: C) => ({
			ask: ask({ type: "return", to: "host", ok: true, value: c.ioas }),
		}),
	},
	config: txConfig(
		[{ target: "ReservingId", actions: ["begin"] }],
		{
			ReservingId: step(
				"askId",
				[{ target: "Creating", actions: ["learnId"] }],
				"Failed",
			),
			Creating: sure("askCreate", "Responding"),
			Responding: step("askRespond", "PublishingId", "unwinding.Vanishing"),
			PublishingId: sure("askPublishId", "Committed"),
		},
		{
			Vanishing: sure("askVanish", "FreeingId"),
			FreeingId: sure("askFreeId", "#ioas-alloc.Failed"),
		},
	),
};
