/** One record sequence per invariant that breaks it: ownership, groups, references, hwpts, log shape. Each starts from `bound()`. */
import type { LogHeader } from "../../src/vocabulary/header.ts";
import {
	attach,
	CTX,
	DEV1,
	DEV2,
	DEV3,
	GROUP,
	H1,
	H2,
	idevOf,
	IOAS,
	IOAS_B,
	map,
	move,
	MSI,
	replace,
	type Builder,
} from "../world/build.ts";

/** What breaks an invariant, after a prefix that must hold. */
export interface Break {
	readonly before?: (b: Builder) => void;
	readonly bad: (b: Builder) => void;
	/** Header fields that differ. */
	readonly header?: Partial<LogHeader>;
	/** Starts from nothing instead of from `bound()`. */
	readonly fresh?: true;
}
const attached = (b: Builder): void => {
	attach(b, DEV1, true);
	attach(b, DEV2, false);
};
const listed = [DEV1, DEV2] as const;

export const GROUP_BREAKS: { readonly [id: string]: Break } = {
	"OWN-1": {
		bad: (b) =>
			b.op("claim", () =>
				b.add("grp.owner.claimed", { group: GROUP, owner: CTX, ocnt: 0 }),
			),
	},
	"OWN-2": {
		bad: (b) =>
			b.op("unbind", () =>
				b.add("dev.unbound", { dev: DEV3, idev: "ctx:1/idev:12@1" }),
			),
	},
	"OWN-3": {
		bad: (b) =>
			b.op("bind", () =>
				b.add("dev.bound", {
					dev: DEV3,
					ctx: "ctx:2",
					idev: "ctx:2/idev:1@1",
					cc: true,
				}),
			),
	},
	"OWN-4": {
		bad: (b) =>
			b.op("probe", () =>
				b.add("grp.driver.bound", { group: GROUP, dev: DEV3, ocnt: 3 }),
			),
	},
	"OWN-5": {
		bad: (b) =>
			b.op("release", () => {
				for (const [i, dev] of [DEV1, DEV2, DEV3].entries())
					b.add("dev.unbound", { dev, idev: `ctx:1/idev:${10 + i}@1` });
				b.add("ig.freed", { ctx: CTX, group: GROUP });
				b.add("grp.owner.released", { group: GROUP, ocnt: 0 });
			}),
	},
	"OWN-6": { bad: (b) => b.op("x", () => move(b, "domain:1")) },
	"OWN-7": {
		before: (b) =>
			b.op("x", () =>
				b.add("grp.handle.set", {
					group: GROUP,
					pasid: "5",
					dev: DEV1,
					dom: "domain:2",
				}),
			),
		bad: (b) =>
			b.op("release", () =>
				b.add("grp.owner.released", { group: GROUP, ocnt: 0 }),
			),
	},
	"OWN-8": {
		bad: (b) =>
			b.op("bind", () => {
				b.add("dom.created", { dom: "domain:9", kind: "blocked" });
				b.add("grp.blocking.set", { group: GROUP, dom: "domain:9" });
			}),
	},
	"GRP-1": {
		before: attached,
		bad: (b) =>
			b.op("hotplug", () => b.add("hw.attach", { dev: DEV2, dom: "domain:2" })),
	},
	"GRP-2": {
		before: attached,
		bad: (b) =>
			b.op("replace", () => {
				b.add("hw.attach", { dev: DEV1, dom: "domain:4" });
				b.add("hw.attach", { dev: DEV2, dom: "domain:1" });
			}),
	},
	"GRP-3": {
		bad: (b) =>
			b.op("x", () =>
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 }),
			),
	},
	"GRP-4": {
		before: attached,
		bad: (b) => b.op("x", () => move(b, "domain:4")),
	},
	"GRP-5": {
		before: attached,
		bad: (b) =>
			b.op("attach", () =>
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV2, hwpt: H1 }),
			),
	},
	"GRP-6": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) => attach(b, DEV2, true),
	},
	"GRP-7": {
		before: attached,
		bad: (b) =>
			b.op("replace", () => {
				for (const owner of listed)
					b.add("resv.added", { ioas: IOAS_B, owner, ranges: [MSI] });
				b.add("hw.attach", { dev: DEV1, dom: "domain:4" });
				b.add("hw.attach", { dev: DEV2, dom: "domain:4" });
				b.add("grp.domain.set", { group: GROUP, dom: "domain:4" });
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H2, from: H1 });
				b.add("dev.replaced", { dev: DEV1, from: H1, hwpt: H2 });
			}),
	},
	"GRP-8": {
		before: attached,
		bad: (b) =>
			b.op("detach", () => {
				b.add("ig.list.remove", { ctx: CTX, group: GROUP, dev: DEV2 });
				move(b, "domain:2");
				b.add("resv.dropped", { ioas: IOAS, owner: DEV2 });
				b.add("dev.detached", { dev: DEV2, hwpt: H1, last: false });
			}),
	},
	"GRP-9": {
		header: { switches: { flow: "posted-v2" } },
		before: attached,
		bad: (b) =>
			b.op("attach", () => {
				b.add("resv.added", { ioas: IOAS_B, owner: DEV3, ranges: [MSI] });
				b.add("idev.hwpt.set", { dev: DEV3, hwpt: H2 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV3, hwpt: H2 });
			}),
	},
	"GRP-10": {
		before: (b) =>
			b.op("x", () =>
				b.add("grp.handle.cleared", { group: GROUP, pasid: "none" }),
			),
		bad: attached,
	},
	"GRP-11": {
		before: (b) => {
			b.op("hwptAlloc", () => {
				b.add("hwpt.reserved", { hwpt: "ctx:1/hwpt:8@1" });
				b.add("dom.created", { dom: "domain:8", kind: "nested" });
				b.add("fault.queue.created", { fq: "ctx:1/fault-queue:9@1" });
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "nested",
					dom: "domain:8",
					auto: false,
					fault: "ctx:1/fault-queue:9@1",
				});
			});
			b.op("attach", () => {
				move(b, "domain:8");
				b.add("grp.handle.set", {
					group: GROUP,
					pasid: "none",
					dev: DEV1,
					dom: "domain:8",
				});
				b.add("ig.hwpt.set", {
					ctx: CTX,
					group: GROUP,
					hwpt: "ctx:1/hwpt:8@1",
				});
				b.ref("ctx:1/hwpt:8@1", 2);
				for (const dev of listed) b.ref(idevOf(dev), 1);
				for (const dev of listed)
					b.add("ig.list.add", {
						ctx: CTX,
						group: GROUP,
						dev,
						hwpt: "ctx:1/hwpt:8@1",
					});
			});
		},
		bad: (b) =>
			b.op("detach", () => {
				b.add("ig.list.remove", { ctx: CTX, group: GROUP, dev: DEV1 });
				b.ref("ctx:1/hwpt:8@1", -1);
				b.ref(idevOf(DEV1), -1);
			}),
	},
	"GRP-12": {
		bad: (b) => void b.add("grp.member.added", { group: "group:9", dev: DEV3 }),
	},
	"VFT-7": {
		before: attached,
		bad: (b) =>
			b.op(
				"replace",
				() => {
					for (const owner of listed)
						b.add("resv.added", { ioas: IOAS_B, owner, ranges: [MSI] });
					move(b, "domain:4");
					for (const owner of listed)
						b.add("resv.dropped", { ioas: IOAS, owner });
					b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H2, from: H1 });
					b.add("dev.replaced", { dev: DEV1, from: H1, hwpt: H2 });
					b.add("ig.list.remove", { ctx: CTX, group: GROUP, dev: DEV1 });
					b.add("resv.dropped", { ioas: IOAS_B, owner: DEV1 });
					b.add("dev.detached", { dev: DEV1, hwpt: H2, last: false });
				},
				"EFAULT",
				"resp",
			),
	},
	"LOG-1": {
		before: attached,
		bad: (b) =>
			b.op("attach", () =>
				b.add("dev.attached", { dev: DEV2, hwpt: H1, first: false }),
			),
	},
	"LOG-2": {
		before: (b) => {
			b.op("unbind", () => {
				b.add("ig.ref", { ctx: CTX, group: GROUP, ref: 2 });
				b.add("grp.owner.released", { group: GROUP, ocnt: 2 });
				b.add("dev.unbound", { dev: DEV3, idev: "ctx:1/idev:12@1" });
			});
			attach(b, DEV1, true);
		},
		bad: (b) =>
			b.op("attach", () =>
				b.add("dev.attached", { dev: DEV3, hwpt: H1, first: false }),
			),
	},
	"LOG-3": {
		bad: (b) =>
			b.op(
				"map",
				() =>
					b.add("area.claimed", { ioas: IOAS, iova: 0, last: 0xfff, prot: 3 }),
				"ENOMEM",
			),
	},
	"LOG-4": {
		bad: (b) =>
			b.op(
				"hwptAlloc",
				() => b.add("dom.freed", { dom: "domain:9", undo: true }),
				"ENOMEM",
			),
	},
	"LOG-5": {
		fresh: true,
		header: { origin: "import" },
		bad: (b) =>
			b.op("attach", () => {
				b.add("hwpt.live", {
					hwpt: H1,
					kind: "paging",
					dom: "domain:3",
					ioas: IOAS,
					auto: false,
				});
				b.add("resv.added", { ioas: IOAS, owner: DEV1, ranges: [MSI] });
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H1 });
				b.add("hw.attach", { dev: DEV1, dom: "domain:4" });
			}),
	},
	"LOG-6": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) =>
			b.op("x", () =>
				b.add("dom.map", {
					dom: "domain:3",
					iova: 0x1000,
					pa: 0x5000,
					len: 0x1000,
				}),
			),
	},
	"REF-1": { bad: (b) => b.op("x", () => b.ref(H1, 1)) },
	"REF-2": { bad: (b) => b.op("x", () => b.ref(IOAS, 1)) },
	"REF-3": { bad: (b) => b.op("x", () => b.ref("ctx:1/idev:10@1", 1)) },
	"REF-4": {
		before: (b) =>
			b.op("x", () => {
				b.add("fault.queue.created", { fq: "ctx:1/fault-queue:9@1" });
				b.add("obj.ref", { obj: "ctx:1/fault-queue:9@1", delta: 1, u: 2 });
			}),
		bad: (b) =>
			b.op("x", () =>
				b.add("obj.ref", { obj: "ctx:1/fault-queue:9@1", delta: 1, u: 3 }),
			),
	},
	"REF-5": {
		bad: (b) =>
			b.op("x", () => b.add("ig.ref", { ctx: CTX, group: GROUP, ref: 5 })),
	},
	"REF-6": {
		before: (b) =>
			b.op("destroy", () => {
				b.add("hwpt.unlinked", { hwpt: H2 });
				b.add("ioas.align.set", { ioas: IOAS_B, align: 1 });
				b.add("iopt.dom.removed", { ioas: IOAS_B, dom: "domain:4" });
				b.add("dom.freed", { dom: "domain:4" });
				b.ref(IOAS_B, -1);
				b.add("obj.gone", { obj: H2 });
			}),
		bad: (b) => b.op("x", () => b.add("obj.ref", { obj: H2, delta: 1, u: 2 })),
	},
	"REF-7": {
		before: attached,
		bad: (b) => b.op("destroy", () => b.add("obj.gone", { obj: H1 })),
	},
	"REF-8": {
		bad: (b) => b.op("close", () => b.add("ctx.closed", { ctx: CTX })),
	},
	"HWP-1": {
		bad: (b) =>
			b.op("attach", () => {
				b.add("hwpt.reserved", { hwpt: "ctx:1/hwpt:8@1" });
				b.add("dom.created", { dom: "domain:8", kind: "unmanaged" });
				b.add("iopt.dom.added", { ioas: IOAS, dom: "domain:8" });
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "paging",
					dom: "domain:8",
					ioas: IOAS,
					auto: true,
				});
			}),
	},
	"HWP-2": {
		before: attached,
		bad: (b) => b.op("destroy", () => b.add("dom.freed", { dom: "domain:3" })),
	},
	"HWP-3": {
		bad: (b) =>
			b.op("hwptAlloc", () => {
				b.add("hwpt.reserved", { hwpt: "ctx:1/hwpt:8@1" });
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "paging",
					dom: "domain:4",
					ioas: IOAS_B,
					auto: false,
				});
				b.add("obj.ref", { obj: H2, delta: 0, u: 1 });
			}),
	},
	"HWP-4": {
		bad: (b) =>
			b.op("x", () =>
				b.add("iopt.dom.removed", { ioas: IOAS, dom: "domain:3" }),
			),
	},
	"HWP-5": {
		bad: (b) =>
			b.op("x", () => {
				b.add("dom.created", { dom: "domain:8", kind: "unmanaged" });
				b.add("iopt.dom.added", { ioas: IOAS, dom: "domain:8" });
			}),
	},
	"HWP-6": {
		bad: (b) =>
			b.op("attach", () => {
				b.add("dom.created", {
					dom: "domain:8",
					kind: "unmanaged",
					dirty: true,
				});
				b.add("iopt.dom.added", { ioas: IOAS, dom: "domain:8" });
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "paging",
					dom: "domain:8",
					ioas: IOAS,
					auto: true,
				});
			}),
	},
	"HWP-8": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) => b.op("x", () => b.add("dom.cc.set", { dom: "domain:3" })),
	},
	"HWP-9": {
		before: (b) =>
			b.op("hwptAlloc", () => {
				b.add("hwpt.live", {
					hwpt: H1,
					kind: "paging",
					dom: "domain:3",
					ioas: IOAS,
					auto: false,
					cc: true,
				});
				b.add("dev.bound", {
					dev: DEV1,
					ctx: CTX,
					idev: "ctx:1/idev:10@1",
					cc: false,
				});
			}),
		bad: (b) => attach(b, DEV1, true),
	},
	"HWP-10": {
		before: (b) => {
			attached(b);
			b.op("hwptAlloc", () =>
				b.add("dom.created", { dom: "domain:8", kind: "unmanaged" }),
			);
		},
		bad: (b) =>
			b.op("replace", () => b.add("hw.attach", { dev: DEV1, dom: "domain:8" })),
	},
	"HWP-11": {
		before: attached,
		bad: (b) =>
			b.op("replace", () => {
				b.add("iopt.dom.removed", { ioas: IOAS, dom: "domain:3" });
				b.add("hw.attach", { dev: DEV1, dom: "domain:4" });
			}),
	},
};
/** A whole, right life: nothing of the catalogue may object. */
export function wholeLife(b: Builder): void {
	attached(b);
	map(b, 0x100000, 0x900000, 0x4000);
	replace(b, DEV1, listed);
}
