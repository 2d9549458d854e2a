/**
 * An I/O address space object: who holds it (`u`: the id table's 1, one a paging hwpt, one an access; facts §3.9), which hwpts hang on
 * it, and its contents, which iopt.ts decides about. User memory belongs to the world outside: a step that may pin or unpin
 * brings it (`mem`, `env`) and takes the new state back in its answer's value.
 */
import type { HwptId, IoasId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import type { DomainShape } from "./domain.ts";
import { addDomain, removeDomain } from "./iopt-domains.ts";
import { mapArea, type Slice } from "./iopt-map.ts";
import type { IoptEnv, Mem } from "./iopt-pages.ts";
import { type NotifyAccesses, unmapRange } from "./iopt-unmap.ts";
import type { Iopt, IoptDomain, Range } from "./iopt.ts";
import {
	dropReservations,
	emptyIopt,
	IOVA_LAST,
	reserveRegions,
} from "./iopt.ts";
import type { Answering, Step, Tell } from "./steps.ts";
import { no, refuseUnexpected, undoing, YES, yes } from "./steps.ts";

/** A hwpt of this IOAS; only automatic ones are candidates of an attach that names the IOAS (facts §2.11). */
export interface LinkedHwpt {
	readonly hwpt: HwptId;
	readonly auto: boolean;
}
/** What an IOAS knows. */
export interface IoasContext extends Answering {
	readonly ioas: IoasId;
	readonly u: number;
	readonly hwpts: readonly LinkedHwpt[];
	readonly iopt: Iopt;
}
/** What the outside lends to a step. */
export interface Outside {
	readonly mem: Mem;
	readonly env: IoptEnv;
}
/** Map `slices` at `iova`, or where there is room. */
export interface AreaMap extends Outside {
	readonly type: "area.map";
	readonly slices: readonly Slice[];
	readonly prot: number;
	readonly iova?: bigint;
}
/** Unmap whole areas inside [start, last]. */
export interface AreaUnmap extends Outside {
	readonly type: "area.unmap";
	readonly start: bigint;
	readonly last: bigint;
}

type C = IoasContext;
/** No access in this machine yet, so nobody to ask. */
const nobody: NotifyAccesses = (iopt, mem) => ({ iopt, mem, facts: [] });
const ref = (c: C, delta: number, e: Step<"obj.get" | "obj.put">): Fact =>
	fact(
		"obj.ref",
		c.ioas,
		undoing(e.undo, {
			obj: c.ioas,
			delta,
			u: c.u + delta,
			why: e.why,
		}),
	);
const ioptDomain = (
	dom: IoptDomain["dom"],
	shape: DomainShape,
): IoptDomain => ({
	dom,
	driver: shape.driver,
	pgsizes: BigInt(shape.pgsizes),
	apertureStart: BigInt(shape.apertureStart),
	apertureLast: BigInt(shape.apertureLast),
});

const asUndo = (one: Fact): Fact =>
	({ ...one, data: { ...one.data, undo: true } }) as Fact;

const guards = {
	isLinked: (c: C, e: Step<"hwpt.unlink">) =>
		c.hwpts.some((h) => h.hwpt === e.hwpt),
	lastHolder: (c: C, e: Step<"obj.put">) => c.u - e.n === 1,
	holdsDomain: (c: C, e: Step<"iopt.remove">) =>
		c.iopt.doms.some((d) => d.dom === e.dom),
};

const actions = {
	create: (c: C) => ({
		u: 1,
		iopt: emptyIopt(),
		answer: yes([fact("ioas.created", c.ioas, { ioas: c.ioas })]),
	}),
	get: (c: C, e: Step<"obj.get">) => ({
		u: c.u + e.n,
		answer: yes([ref(c, e.n, e)]),
	}),
	put: (c: C, e: Step<"obj.put">) => ({
		u: c.u - e.n,
		answer: yes([ref(c, -e.n, e)]),
	}),
	reserve: (
		c: C,
		e: Step<"resv.add"> & {
			readonly regions: readonly Range[];
			readonly swMsi?: bigint;
			readonly conflict: boolean;
			readonly env: IoptEnv;
		},
	) => {
		const done = reserveRegions(c.iopt, c.ioas, e.dev, e.regions, e.env);
		if (!done.ok)
			return { iopt: done.iopt, answer: no(done.errno, done.facts, done.step) };
		const facts = e.undo === true ? done.facts.map(asUndo) : done.facts;
		return {
			iopt: done.iopt,
			answer: yes(facts, {
				swMsi: e.swMsi,
				conflict: e.attaching && e.conflict,
			}),
		};
	},
	unreserve: (c: C, e: Step<"resv.drop">) => {
		const done = dropReservations(c.iopt, c.ioas, e.owner, { undo: e.undo });
		return { iopt: done.iopt, answer: yes(done.facts) };
	},
	addDomain: (
		c: C,
		e: Step<"iopt.add"> & Outside & { readonly shape: DomainShape },
	) => {
		const dom = ioptDomain(e.dom, e.shape);
		const done = addDomain(c.iopt, c.ioas, e.mem, dom, e.env);
		const begun: Tell = { to: e.dom, type: "dom.populating" };
		if (!done.ok) {
			const undone = [begun, { to: e.dom, type: "dom.drained" }];
			const refusal = no(done.errno, done.facts, done.step, undone);
			return {
				iopt: done.iopt,
				answer: { ...refusal, value: { mem: done.mem } },
			};
		}
		const tells = [
			begun,
			{ to: e.dom, type: "dom.populated" },
			{ to: e.hwpt, type: "hwpt.filled" },
		];
		return {
			iopt: done.iopt,
			answer: yes(done.facts, { mem: done.mem }, tells),
		};
	},
	removeDomain: (c: C, e: Step<"iopt.remove"> & Outside) => {
		const done = removeDomain(c.iopt, c.ioas, e.mem, e.dom, { undo: e.undo });
		const tells = [
			{ to: e.dom, type: "dom.drained" },
			{ to: e.hwpt, type: "hwpt.emptied" },
		];
		return {
			iopt: done.iopt,
			answer: yes(done.facts, { mem: done.mem }, tells),
		};
	},
	agree: () => ({ answer: YES }),
	link: (c: C, e: Step<"hwpt.link">) => ({
		hwpts: [...c.hwpts, { hwpt: e.hwpt, auto: e.auto }],
		answer: YES,
	}),
	markAutomatic: (c: C, e: { readonly hwpt: HwptId }) => ({
		hwpts: c.hwpts.map((h) => (h.hwpt === e.hwpt ? { ...h, auto: true } : h)),
		answer: YES,
	}),
	unlink: (c: C, e: Step<"hwpt.unlink">) => ({
		hwpts: c.hwpts.filter((h) => h.hwpt !== e.hwpt),
		answer: yes([
			fact("hwpt.unlinked", e.hwpt, undoing(e.undo, { hwpt: e.hwpt })),
		]),
	}),
	tellCandidates: (c: C) => ({
		answer: yes(
			[],
			c.hwpts.filter((h) => h.auto).map((h) => h.hwpt),
		),
	}),
	map: (c: C, e: AreaMap) => {
		const done = mapArea(
			c.iopt,
			c.ioas,
			e.mem,
			e.slices,
			e.prot,
			e.iova,
			e.env,
		);
		if (done.ok)
			return {
				iopt: done.iopt,
				answer: yes(done.facts, { mem: done.mem, iova: done.iova }),
			};
		const refusal = no(done.errno, done.facts, done.step);
		return {
			iopt: done.iopt,
			answer: { ...refusal, value: { mem: done.mem } },
		};
	},
	unmap: (c: C, e: AreaUnmap) => {
		const done = unmapRange(c.iopt, c.ioas, e.mem, e.start, e.last, nobody);
		const value = { mem: done.mem, bytes: done.bytes };
		if (done.ok) return { iopt: done.iopt, answer: yes(done.facts, value) };
		const refusal = no(done.errno, done.facts, done.step);
		return { iopt: done.iopt, answer: { ...refusal, value } };
	},
	/** An operation of machines/ops decided about the contents: allowed ranges, options, copies, accesses. */
	takeContents: (_: C, e: { readonly iopt: Iopt }) => ({
		iopt: e.iopt,
		answer: YES,
	}),
	unmapAll: (c: C, e: Outside) => {
		const done = unmapRange(c.iopt, c.ioas, e.mem, 0n, IOVA_LAST, nobody);
		return {
			iopt: done.iopt,
			answer: yes(done.facts, { mem: done.mem, bytes: done.bytes }),
		};
	},
	refuseHeld: () => ({ answer: no("EBUSY") }),
	vanish: (c: C, e: Step<"ioas.gone">) => ({
		u: 0,
		answer: yes([fact("obj.gone", c.ioas, undoing(e.undo, { obj: c.ioas }))]),
	}),
	refuse: refuseUnexpected,
};

/** The IOAS statechart. */
export const ioas: Definition<IoasContext, { readonly ioas: IoasId }> = {
	id: "ioas",
	about:
		"struct iommufd_ioas and its io_pagetable (iommufd/ioas.c, io_pagetable.c)",
	events: [
		"ioas.create",
		"obj.get",
		"obj.put",
		"resv.add",
		"resv.drop",
		"iopt.add",
		"iopt.remove",
		"hwpt.link",
		"hwpt.automatic",
		"hwpt.unlink",
		"ioas.candidates",
		"area.map",
		"area.unmap",
		"iopt.changed",
		"ioas.destroy",
		"ioas.gone",
	],
	start: (input) => ({
		ioas: input.ioas,
		u: 0,
		hwpts: [],
		iopt: emptyIopt(),
		answer: YES,
	}),
	guards,
	actions,
	config: {
		initial: "Absent",
		on: { "*": { actions: ["refuse"] } },
		states: {
			Absent: {
				on: { "ioas.create": { target: "Live", actions: ["create"] } },
			},
			Live: {
				initial: "Unused",
				on: {
					"resv.add": { actions: ["reserve"] },
					"resv.drop": { actions: ["unreserve"] },
					"iopt.add": { actions: ["addDomain"] },
					"iopt.remove": [
						{ guard: "holdsDomain", actions: ["removeDomain"] },
						{ actions: ["agree"] },
					],
					"hwpt.link": { actions: ["link"] },
					"hwpt.automatic": { actions: ["markAutomatic"] },
					"hwpt.unlink": [
						{ guard: "isLinked", actions: ["unlink"] },
						{ actions: ["agree"] },
					],
					"ioas.candidates": { actions: ["tellCandidates"] },
					"area.map": { actions: ["map"] },
					"area.unmap": { actions: ["unmap"] },
					"iopt.changed": { actions: ["takeContents"] },
				},
				states: {
					Unused: {
						description: "Only the id table holds it",
						on: {
							"obj.get": { target: "Held", actions: ["get"] },
							"ioas.destroy": {
								target: "#ioas.Draining",
								actions: ["unmapAll"],
							},
							"ioas.gone": { target: "#ioas.Gone", actions: ["vanish"] },
						},
					},
					Held: {
						description: "Held by hwpts",
						on: {
							"obj.get": { actions: ["get"] },
							"obj.put": [
								{ guard: "lastHolder", target: "Unused", actions: ["put"] },
								{ actions: ["put"] },
							],
							"ioas.destroy": { actions: ["refuseHeld"] },
						},
					},
				},
			},
			Draining: {
				on: { "ioas.gone": { target: "Gone", actions: ["vanish"] } },
			},
			Gone: {},
		},
	},
};
