/**
 * An open iommufd file and its id table (facts §1.1): an id is reserved with an empty slot and seen by look-ups once published;
 * the lowest free number is handed out again at once (iommufd/main.c:_iommufd_object_alloc), so a generation tells users apart.
 */
import type { CtxId, ObjectId } from "../src/vocabulary/ids.ts";
import { kernelNumber, objectId } from "../src/vocabulary/ids.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import {
	idFree,
	idGet,
	idSet,
	type IdTable,
	idValues,
	lowestFree,
} from "./id-table.ts";
import type { Answering, Step } from "./steps.ts";
import { no, refuseUnexpected, YES, yes } from "./steps.ts";

/** What a context knows: published objects by id (null = reserved), and how often each id was used. */
export interface CtxContext extends Answering {
	readonly ctx: CtxId;
	readonly ids: IdTable<ObjectId | null>;
	readonly generations: IdTable<number>;
}

type C = CtxContext;

const guards = {
	/** Unknown, or reserved but not published (facts §1.1). */
	notPublished: (c: C, e: Step<"id.look">) =>
		(idGet(c.ids, e.id) ?? null) === null,
	/** A bind failed after it took the id: no object's own machine can tell. */
	abortsDevice: (c: C, e: Step<"id.free">) =>
		e.obj.includes("/idev:") && idGet(c.ids, kernelNumber(e.obj)) === null,
	objectsLeft: (c: C) => c.ids.length > 0,
};
const actions = {
	open: (c: C) => ({
		answer: yes([fact("ctx.opened", c.ctx, { ctx: c.ctx, kind: "iommufd" })]),
	}),
	reserve: (c: C, e: Step<"id.reserve">) => {
		const id = lowestFree(c.ids);
		const generation = (idGet(c.generations, id) ?? 0) + 1;
		return {
			ids: idSet(c.ids, id, null),
			generations: idSet(c.generations, id, generation),
			answer: yes([], objectId(e.kind, c.ctx, id, generation)),
		};
	},
	publish: (c: C, e: Step<"id.publish">) => ({
		ids: idSet(c.ids, kernelNumber(e.obj), e.obj),
		answer: YES,
	}),
	free: (c: C, e: Step<"id.free">) => ({
		ids: idFree(c.ids, kernelNumber(e.obj)),
		answer: YES,
	}),
	sayAborted: (_: C, e: Step<"id.free">) => ({
		answer: yes([fact("obj.gone", e.obj, { obj: e.obj, undo: true })]),
	}),
	tellAll: (c: C) => ({
		answer: yes(
			[],
			idValues(c.ids).filter((obj) => obj !== null),
		),
	}),
	tellFound: (c: C, e: Step<"id.look">) => ({
		answer: yes([], idGet(c.ids, e.id)),
	}),
	refuseUnknown: () => ({ answer: no("ENOENT") }),
	recordRefusal: (c: C, e: Step<"destroy.refused">) => ({
		answer: yes([
			fact("obj.destroy.refused", c.ctx, {
				id: e.id,
				errno: e.errno,
				...(e.obj === undefined ? {} : { obj: e.obj }),
			}),
		]),
	}),
	refuseLeftovers: () => ({ answer: no("EBUSY", [], "objects") }),
	close: (c: C) => ({
		answer: yes([fact("ctx.closed", c.ctx, { ctx: c.ctx })]),
	}),
	refuse: refuseUnexpected,
};

/** The context statechart. */
export const iommufdCtx: Definition<CtxContext, { readonly ctx: CtxId }> = {
	id: "iommufd-ctx",
	about:
		"struct iommufd_ctx: an open /dev/iommu and its id table (iommufd/main.c)",
	events: [
		"ctx.open",
		"ctx.close",
		"id.reserve",
		"id.publish",
		"id.free",
		"id.look",
		"id.list",
		"destroy.refused",
	],
	start: ({ ctx }) => ({ ctx, ids: [], generations: [], answer: YES }),
	guards,
	actions,
	config: {
		initial: "Unopened",
		on: { "*": { actions: ["refuse"] } },
		states: {
			Unopened: { on: { "ctx.open": { target: "Open", actions: ["open"] } } },
			Open: {
				on: {
					"id.reserve": { actions: ["reserve"] },
					"id.publish": { actions: ["publish"] },
					"id.free": [
						{ guard: "abortsDevice", actions: ["free", "sayAborted"] },
						{ actions: ["free"] },
					],
					"id.look": [
						{ guard: "notPublished", actions: ["refuseUnknown"] },
						{ actions: ["tellFound"] },
					],
					"id.list": { actions: ["tellAll"] },
					"destroy.refused": { actions: ["recordRefusal"] },
					"ctx.close": [
						{ guard: "objectsLeft", actions: ["refuseLeftovers"] },
						{ target: "Closed", actions: ["close"] },
					],
				},
			},
			Closed: {},
		},
	},
};
