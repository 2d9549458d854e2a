/**
 * A struct iommu_domain (facts §1.8 DOMAIN): `content` says how full its page table is, `use` whether hardware translates through
 * it. The hazards W4 and W5 of seed mail 3 are the two bad combinations in this picture: Current while not yet Populated,
 * Current and already Drained.
 */
import type { DomainId } from "../src/vocabulary/ids.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import type { Answering, Step } from "./steps.ts";
import { no, refuseUnexpected, undoing, YES, yes } from "./steps.ts";

/** What a driver made: sizes in bytes, aperture inclusive, `pgsizes` a bitmap of page sizes. */
export interface DomainShape {
	readonly driver: string;
	readonly pgsizes: number;
	readonly apertureStart: number | bigint;
	readonly apertureLast: number | bigint;
	/** The driver can make it enforce cache coherency. */
	readonly coherent: boolean;
	/** It has dirty tracking operations. */
	readonly dirty?: boolean;
	/** It can be the parent of nested domains. */
	readonly nest?: boolean;
}
/** What a domain knows. `groups` counts the groups whose current domain it is. */
export interface DomainContext extends Answering {
	readonly dom: DomainId;
	readonly shape: DomainShape | null;
	readonly cookie: boolean;
	readonly groups: number;
}

type C = DomainContext;
const guards = {
	cannotEnforce: (c: C) => c.shape?.coherent !== true,
	hasCookie: (c: C) => c.cookie,
	otherGroupsLeft: (c: C) => c.groups > 1,
};
const actions = {
	create: (
		c: C,
		e: Step<"dom.create"> & { readonly shape: DomainShape | null },
	) => ({
		shape: e.shape,
		answer: yes([
			fact("dom.created", c.dom, {
				dom: c.dom,
				kind: e.kind,
				...(e.shape === null
					? {}
					: {
							driver: e.shape.driver,
							pgsizes: e.shape.pgsizes,
							apertureStart: e.shape.apertureStart,
							apertureLast: e.shape.apertureLast,
							...(e.shape.dirty === true ? { dirty: true } : {}),
							...(e.shape.nest === true ? { nest: true } : {}),
						}),
			}),
		]),
	}),
	refuseCc: () => ({ answer: no("EINVAL") }),
	enforceCc: (c: C) => ({
		answer: yes([fact("dom.cc.set", c.dom, { dom: c.dom })]),
	}),
	takeCookie: (c: C) => ({
		cookie: true,
		answer: yes([fact("dom.msi.cookie", c.dom, { dom: c.dom })]),
	}),
	agree: () => ({ answer: YES }),
	free: (c: C, e: Step<"dom.free">) => ({
		answer: yes([fact("dom.freed", c.dom, undoing(e.undo, { dom: c.dom }))]),
	}),
	countGroup: (c: C) => ({ groups: c.groups + 1, answer: YES }),
	uncountGroup: (c: C) => ({ groups: c.groups - 1, answer: YES }),
	refuse: refuseUnexpected,
};
const cookie = [
	{ guard: "hasCookie", actions: ["agree"] },
	{ actions: ["takeCookie"] },
];
const content = "#domain.content";

/** The domain statechart. */
export const domain: Definition<DomainContext, { readonly dom: DomainId }> = {
	id: "domain",
	about:
		"struct iommu_domain: a translation, its content and who uses it (drivers/iommu/iommu.c)",
	events: [
		"dom.create",
		"dom.cc",
		"dom.msi.cookie",
		"dom.populating",
		"dom.populated",
		"dom.drained",
		"dom.free",
		"dom.current",
		"dom.left",
	],
	start: ({ dom }) => ({
		dom,
		shape: null,
		cookie: false,
		groups: 0,
		answer: YES,
	}),
	guards,
	actions,
	config: {
		type: "parallel",
		on: { "*": { actions: ["refuse"] } },
		states: {
			content: {
				initial: "Absent",
				on: { "dom.msi.cookie": cookie },
				states: {
					Absent: {
						on: { "dom.create": { target: "Allocated", actions: ["create"] } },
					},
					Allocated: {
						on: {
							"dom.cc": [
								{ guard: "cannotEnforce", actions: ["refuseCc"] },
								{ target: "CcSet", actions: ["enforceCc"] },
							],
							"dom.populating": { target: "Populating", actions: ["agree"] },
							"dom.free": { target: "Freed", actions: ["free"] },
						},
					},
					CcSet: {
						description: "Every leaf written from now on snoops",
						on: {
							"dom.populating": { target: "Populating", actions: ["agree"] },
							"dom.free": { target: "Freed", actions: ["free"] },
						},
					},
					Populating: {
						on: {
							"dom.populated": { target: "Populated", actions: ["agree"] },
							"dom.drained": { target: "Drained", actions: ["agree"] },
						},
					},
					Populated: {
						on: { "dom.drained": { target: "Drained", actions: ["agree"] } },
					},
					Drained: {
						on: {
							"dom.populating": { target: "Populating", actions: ["agree"] },
							"dom.free": { target: `${content}.Freed`, actions: ["free"] },
						},
					},
					Freed: {},
				},
			},
			use: {
				initial: "Unused",
				states: {
					Unused: {
						on: {
							"dom.current": { target: "Current", actions: ["countGroup"] },
						},
					},
					Current: {
						description: "Current domain of `groups` groups",
						on: {
							"dom.current": { actions: ["countGroup"] },
							"dom.left": [
								{ guard: "otherGroupsLeft", actions: ["uncountGroup"] },
								{ target: "Unused", actions: ["uncountGroup"] },
							],
						},
					},
				},
			},
		},
	},
};
