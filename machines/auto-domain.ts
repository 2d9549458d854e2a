/**
 * Attach or replace through an IOAS (facts §2.11-2.12: device.c:iommufd_device_auto_get_domain): try every automatic hwpt of it in
 * list order; EINVAL means "this one does not suit, try the next", any other errno ends the call; none fits: make one.
 */
import type { DeviceId, HwptId, IoasId } from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { Step } from "./steps.ts";
import { ask } from "./steps.ts";
import type { Done, Failed, TxContext } from "./transaction.ts";
import { FRESH, step, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

/** What the search knows. */
export interface AutoContext extends TxContext {
	readonly dev: DeviceId;
	readonly ioas: IoasId;
	readonly how: "attach" | "replace";
	readonly candidates: readonly HwptId[];
	readonly i: number;
}
type C = AutoContext;

/** Attach or replace through an IOAS. */
export const autoDomain: Definition<AutoContext, undefined> = {
	id: "auto-domain",
	about:
		"Find or make an automatic hwpt of an IOAS (iommufd/device.c:iommufd_device_auto_get_domain)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		ioas: NO_HWPT.ioas,
		how: "attach",
		candidates: [],
		i: 0,
		...FRESH,
	}),
	guards: {
		noCandidate: (_: C, e: Done<readonly HwptId[]>) => e.value.length === 0,
		unsuitableMoreLeft: (c: C, e: Failed) =>
			e.errno === "EINVAL" && c.i + 1 < c.candidates.length,
		unsuitable: (_: C, e: Failed) => e.errno === "EINVAL",
	},
	actions: {
		...txActions,
		begin: (_: C, e: { readonly args: Step<"call.auto"> }) => ({
			dev: e.args.dev,
			ioas: e.args.ioas,
			how: e.args.how,
			candidates: [],
			i: 0,
			...FRESH,
		}),
		learnCandidates: (_: C, e: Done<readonly HwptId[]>) => ({
			candidates: e.value,
		}),
		nextCandidate: (c: C) => ({ i: c.i + 1 }),
		askCandidates: (c: C) => ({
			ask: ask({ type: "ioas.candidates", to: c.ioas }),
		}),
		askTry: (c: C) => ({
			ask: ask({
				type: c.how === "attach" ? "call.attach" : "call.replace",
				to: c.candidates[c.i]!,
				dev: c.dev,
				hwpt: c.candidates[c.i]!,
			}),
		}),
		askAllocate: (c: C) => ({
			ask: ask({
				type: "call.alloc",
				to: c.ioas,
				dev: c.dev,
				ioas: c.ioas,
				auto: c.how,
			}),
		}),
		learnResult: (_: C, e: Done<HwptId>) => ({ candidates: [e.value], i: 0 }),
		returnResult: (c: C) => ({
			ask: ask({
				type: "return",
				to: "host",
				ok: true,
				value: c.candidates[c.i],
			}),
		}),
	},
	config: txConfig([{ target: "Scanning", actions: ["begin"] }], {
		Scanning: step(
			"askCandidates",
			[
				{ guard: "noCandidate", target: "Allocating" },
				{ target: "Trying", actions: ["learnCandidates"] },
			],
			"Failed",
		),
		Trying: {
			entry: ["askTry"],
			on: {
				DONE: { target: "Committed" },
				FAILED: [
					{
						guard: "unsuitableMoreLeft",
						target: "Trying",
						reenter: true,
						actions: ["nextCandidate"],
					},
					{ guard: "unsuitable", target: "Allocating" },
					{ target: "Failed", actions: ["noteFailure"] },
				],
			},
		},
		Allocating: step(
			"askAllocate",
			[{ target: "Committed", actions: ["learnResult"] }],
			"Failed",
		),
	}),
};
