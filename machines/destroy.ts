/**
 * IOMMU_DESTROY (facts §1.4: iommufd/main.c:iommufd_destroy): only what nothing but the id table holds. Devices are always refused:
 * their driver holds them. An IOAS with areas is emptied first.
 */
import type { CtxId, HwptId, IoasId, ObjectId } from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
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

/** What it knows. */
export interface DestroyContext extends TxContext {
	readonly ctx: CtxId;
	readonly id: number;
	readonly obj: ObjectId | null;
}
type C = DestroyContext;

/** IOMMU_DESTROY. */
export const destroy: Definition<DestroyContext, undefined> = {
	id: "destroy",
	about: "IOMMU_DESTROY (iommufd/main.c:iommufd_destroy)",
	events: TX_EVENTS,
	start: () => ({ ctx: "ctx:0", id: 0, obj: null, ...FRESH }),
	guards: {
		isIoas: (_: C, e: Done<ObjectId>) => e.value.includes("/ioas:"),
		isHwpt: (_: C, e: Done<ObjectId>) => e.value.includes("/hwpt:"),
	},
	actions: {
		...txActions,
		begin: (_: C, e: { readonly ctx: CtxId; readonly id: number }) => ({
			ctx: e.ctx,
			id: e.id,
			obj: null,
			...FRESH,
		}),
		learnObject: (_: C, e: Done<ObjectId>) => ({ obj: e.value }),
		failHeld: failWith("EBUSY", "obj.users"),
		askLook: (c: C) => ({ ask: ask({ type: "id.look", to: c.ctx, id: c.id }) }),
		askFreeHwpt: (c: C) => ({
			ask: ask({
				type: "call.free",
				to: c.obj!,
				hwpt: c.obj as HwptId,
				auto: false,
			}),
		}),
		askEmpty: (c: C) => ({ ask: ask({ type: "ioas.destroy", to: c.obj! }) }),
		askVanish: (c: C) => ({
			ask: ask({ type: "ioas.gone", to: c.obj!, undo: false }),
		}),
		askFreeId: (c: C) => ({
			ask: ask({
				type: "id.free",
				to: c.ctx,
				obj: (c.obj ?? NO_HWPT.hwpt) as IoasId,
			}),
		}),
		askRefuse: (c: C) => ({
			ask: ask({
				type: "destroy.refused",
				to: c.ctx,
				id: c.id,
				errno: c.failure!.errno,
				...(c.obj === null ? {} : { obj: c.obj }),
			}),
		}),
		returnResult: () => ({
			ask: ask({ type: "return", to: "host", ok: true }),
		}),
	},
	config: txConfig([{ target: "LookingUp", actions: ["begin"] }], {
		LookingUp: step(
			"askLook",
			[
				{ guard: "isIoas", target: "EmptyingIoas", actions: ["learnObject"] },
				{ guard: "isHwpt", target: "FreeingHwpt", actions: ["learnObject"] },
				{ target: "Refusing", actions: ["learnObject", "failHeld"] },
			],
			"Refusing",
		),
		FreeingHwpt: step("askFreeHwpt", "Committed", "Refusing"),
		EmptyingIoas: step("askEmpty", "Vanishing", "Refusing"),
		Vanishing: sure("askVanish", "FreeingId"),
		FreeingId: sure("askFreeId", "Committed"),
		Refusing: sure("askRefuse", "#destroy.Failed"),
	}),
};
