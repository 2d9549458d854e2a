/** One record sequence per invariant that breaks it: pins, accesses, dirty tracking, nesting, queues, containers, alignment and leaves. */
import {
	CTX,
	DEV1,
	GROUP,
	H1,
	IOAS,
	IOAS_B,
	move,
	MSI,
	type Builder,
} from "../world/build.ts";
import type { Break } from "./breaks-groups.ts";

const D3 = "domain:3" as const;
const D8 = "domain:8" as const;
const H8 = "ctx:1/hwpt:8@1" as const;
const H9 = "ctx:1/hwpt:9@1" as const;
/** An IOAS without domains. */
const LAZY = "ctx:1/ioas:5@1" as const;
const pages = "ctx:1/pages:1" as const;
const access = "ctx:1/access:6@1" as const;
const fq = "ctx:1/fault-queue:9@1" as const;
const BOX = "ctx:5" as const;
const iova = 0x1000;

/** A two-page area over pages 0 and 1, stored in domain 3. `skip` leaves steps out. */
function map(b: Builder, skip: readonly string[] = []): void {
	b.op("map", () => {
		b.add("area.claimed", { ioas: IOAS, iova, last: 0x2fff, prot: 3, pages });
		if (!skip.includes("pin"))
			b.add("pages.pinned", { pages, first: 0, n: 2, acct: "USER" });
		b.add("dom.map", { dom: D3, iova, pa: 0x9000, len: 0x2000 });
		if (!skip.includes("charge"))
			b.add("acct.charged", { ctx: CTX, mode: "USER", n: 2, pages });
		b.add("area.live", { ioas: IOAS, iova, sdom: D3 });
	});
}
/** An attached access; with `pin` it holds the first page. */
function user(b: Builder, pin: boolean, nacc = 1): void {
	b.op("access", () => {
		b.add("access.created", { access, pinning: true });
		b.ref(IOAS, 1, "access");
		b.add("access.attached", { access, ioas: IOAS });
	});
	if (pin) pinOne(b, nacc);
}
const pinOne = (b: Builder, nacc: number): void =>
	void b.op("pin", () =>
		b.add("access.pinned", { access, ioas: IOAS, iova, len: 0x1000, nacc }),
	);
function nested(
	b: Builder,
	hwpt: typeof H8 | typeof H9,
	parent: typeof H1 | typeof H8,
	more: object = {},
): void {
	b.op("hwptAlloc", () => {
		b.add("hwpt.reserved", { hwpt });
		b.ref(parent, 1);
		b.add("dom.created", { dom: D8, kind: "nested" });
		b.add("hwpt.live", {
			hwpt,
			kind: "nested",
			dom: D8,
			parent,
			auto: false,
			...more,
		});
	});
}
/** H1 becomes a nesting parent; domain 3 was made for dirty tracking when `dirty`. */
function parent(b: Builder): void {
	b.op("x", () =>
		b.add("hwpt.live", {
			hwpt: H1,
			kind: "paging",
			dom: D3,
			ioas: IOAS,
			auto: false,
			nestParent: true,
		}),
	);
}
function box(b: Builder, version: "v1" | "v2"): void {
	b.op("x", () => {
		b.add("ctx.opened", { ctx: BOX, kind: "type1" });
		b.add("type1.created", { ctx: BOX, version });
		for (const at of [0x1000, 0x4000])
			b.add("type1.entry.added", { ctx: BOX, iova: at, len: 0x2000, prot: 3 });
	});
}
const unmapBox = (
	b: Builder,
	at: number,
	len: number,
	gone: readonly number[],
): void =>
	void b.op("unmap", () => {
		for (const entry of gone)
			b.add("type1.entry.removed", { ctx: BOX, iova: entry, len: 0x2000 });
		b.add("type1.unmapped", {
			ctx: BOX,
			iova: at,
			len,
			bytes: gone.length * 0x2000,
		});
	});
/** A container of which domain 8 is a domain that maps the first entry. */
function mappedBox(b: Builder): void {
	b.op("x", () => {
		b.add("dom.created", { dom: D8, kind: "unmanaged" });
		b.add("dom.map", { dom: D8, iova: 0x1000, pa: 0x9000, len: 0x2000 });
	});
	box(b, "v2");
	b.op("x", () => {
		b.add("type1.domain.added", { ctx: BOX, dom: D8 });
		b.add("type1.entry.mapped", { ctx: BOX, iova: 0x1000 });
	});
}
const small = (b: Builder): void =>
	void b.op("option", () =>
		b.add("ioas.hugepages.set", { ioas: IOAS, on: false, align: 4096 }),
	);
const tracked = (b: Builder): void =>
	void b.op("x", () =>
		b.add("dom.created", { dom: D8, kind: "unmanaged", dirty: true }),
	);

export const USER_BREAKS: { readonly [id: string]: Break } = {
	"PIN-1": { bad: (b) => map(b, ["pin", "charge"]) },
	"PIN-3": {
		before: map,
		bad: (b) =>
			b.op("x", () => b.add("pages.unpinned", { pages, first: 0, n: 1 })),
	},
	"PIN-5": { bad: (b) => map(b, ["charge"]) },
	"PIN-7": {
		bad: (b) =>
			b.op("map", () => {
				b.add("ioas.created", { ioas: LAZY });
				b.add("area.claimed", {
					ioas: LAZY,
					iova,
					last: 0x1fff,
					prot: 3,
					pages,
				});
				b.add("pages.pinned", { pages, first: 0, n: 1 });
				b.add("area.live", { ioas: LAZY, iova });
			}),
	},
	"ACC-1": {
		bad: (b) =>
			b.op("access", () => {
				b.add("access.created", { access, pinning: true });
				// Counted, but not as an access.
				b.ref(IOAS, 1);
				b.add("access.attached", { access, ioas: IOAS });
			}),
	},
	"ACC-2": {
		before: (b) => {
			map(b);
			user(b, true);
		},
		bad: (b) => pinOne(b, 1),
	},
	"ACC-3": {
		before: (b) => {
			map(b);
			user(b, true);
		},
		bad: (b) =>
			b.op("unmap", () => b.add("area.draining", { ioas: IOAS, iova })),
	},
	"DRT-2": {
		before: (b) =>
			b.op("x", () => {
				b.add("dev.bound", {
					dev: DEV1,
					ctx: CTX,
					idev: "ctx:1/idev:10@1",
					cc: true,
					dirty: false,
				});
				b.add("dom.created", { dom: D8, kind: "unmanaged", dirty: true });
				b.add("hwpt.reserved", { hwpt: H8 });
				b.ref(IOAS, 1);
				b.add("iopt.dom.added", { ioas: IOAS, dom: D8, align: 4096 });
				b.add("hwpt.live", {
					hwpt: H8,
					kind: "paging",
					dom: D8,
					ioas: IOAS,
					auto: false,
				});
			}),
		bad: (b) =>
			b.op("attach", () => {
				b.add("resv.added", { ioas: IOAS, owner: DEV1, ranges: [MSI] });
				move(b, D8);
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H8 });
				b.ref(H8, 1);
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H8 });
				b.ref("ctx:1/idev:10@1", 1);
				b.add("dev.attached", { dev: DEV1, hwpt: H8, first: true });
			}),
	},
	"DRT-3": {
		before: (b) => {
			map(b);
			b.op("x", () => b.add("dirty.set", { dom: D3, on: false }));
		},
		bad: (b) =>
			b.op("dirtyGet", () =>
				b.add("dirty.read", {
					dom: D3,
					iova,
					len: 0x4000,
					cleared: false,
					bits: 1,
					ranges: [[0x3000, 0x3fff]],
				}),
			),
	},
	"DRT-4": {
		before: tracked,
		bad: (b) =>
			b.op("dirtySet", () => b.add("dirty.set", { dom: D8, on: true })),
	},
	"NST-2": {
		before: (b) => {
			parent(b);
			nested(b, H8, H1);
		},
		bad: (b) =>
			b.op("destroy", () => {
				b.add("hwpt.unlinked", { hwpt: H1 });
				b.add("iopt.dom.removed", { ioas: IOAS, dom: D3 });
				b.add("dom.freed", { dom: D3 });
				b.add("obj.gone", { obj: H1 });
			}),
	},
	"NST-3": {
		before: (b) => {
			parent(b);
			nested(b, H8, H1);
		},
		bad: (b) => nested(b, H9, H8),
	},
	"NST-4": {
		before: (b) => {
			parent(b);
			nested(b, H8, H1);
		},
		bad: (b) =>
			b.op("attach", () => {
				b.add("resv.added", { ioas: IOAS_B, owner: DEV1, ranges: [MSI] });
				move(b, D8);
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H8 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H8 });
				b.add("dev.attached", { dev: DEV1, hwpt: H8, first: true });
			}),
	},
	"FLT-4": {
		before: (b) => {
			b.op("x", () => b.add("fault.queue.created", { fq }));
			parent(b);
			nested(b, H8, H1, { fault: fq });
		},
		bad: (b) => {
			b.op("x", () => {
				b.add("grp.handle.set", {
					group: GROUP,
					pasid: "none",
					dev: DEV1,
					dom: D8,
				});
				b.add("fault.queued", { fq, dev: DEV1, grpid: 3 });
				b.add("grp.handle.cleared", { group: GROUP, pasid: "none" });
			});
		},
	},
	"FLT-5": {
		before: (b) => b.op("x", () => b.add("fault.queue.created", { fq })),
		bad: (b) =>
			b.op("destroy", () => {
				b.add("fault.queued", { fq, dev: DEV1, grpid: 3 });
				b.add("obj.gone", { obj: fq });
			}),
	},
	"VFT-2": {
		before: (b) => box(b, "v2"),
		bad: (b) => unmapBox(b, 0x1000, 0x1000, [0x1000]),
	},
	"VFT-3": {
		before: (b) => {
			box(b, "v1");
			// The start-of-mapping rule: inside an entry, nothing goes.
			unmapBox(b, 0x2000, 0x1000, []);
		},
		bad: (b) => unmapBox(b, 0x1000, 0x4000, [0x1000]),
	},
	"VFT-5": {
		before: (b) => mappedBox(b),
		bad: (b) =>
			b.op("map", () =>
				b.add("type1.entry.mapped", { ctx: BOX, iova: 0x4000 }),
			),
	},
	"VFT-6": {
		before: (b) => mappedBox(b),
		bad: (b) => {
			const unmapped = { dom: D8, len: 0x1000, unmapped: 0x1000 };
			const begin = b.add("op.begin", { op: "unmap", args: {} }, BOX);
			b.inside(begin, () => b.add("dom.unmap", { ...unmapped, iova: 0x2000 }));
		},
	},
	"HWP-7": {
		bad: (b) => {
			const begin = b.add("op.begin", { op: "attach", args: { pt: 1 } }, CTX);
			b.inside(begin, () => {
				b.add("resv.added", { ioas: IOAS, owner: DEV1, ranges: [MSI] });
				move(b, D3);
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H1 });
				b.add("dev.attached", { dev: DEV1, hwpt: H1, first: true });
			});
		},
	},
	"IOP-6": {
		before: (b) => b.op("x", () => b.add("ioas.created", { ioas: LAZY })),
		bad: (b) =>
			b.op("x", () => b.add("ioas.align.set", { ioas: LAZY, align: 4096 })),
	},
	"IOP-12": {
		before: map,
		bad: (b) =>
			b.op("unmap", () =>
				b.add("area.split", { ioas: IOAS, iova, at: 0x2000 }),
			),
	},
	"IOP-13": { before: small, bad: map },
	"IOP-15": {
		before: map,
		bad: (b) => {
			const first = b.add("op.begin", { op: "unmap", args: {} });
			b.inside(first, () => b.add("area.draining", { ioas: IOAS, iova }));
			const second = b.add("op.begin", { op: "map", args: {} });
			b.inside(second, () =>
				b.add("dom.unmap", {
					dom: D3,
					iova,
					len: 0x1000,
					unmapped: 0x1000,
				}),
			);
		},
	},
	"IOP-17": {
		before: map,
		bad: (b) =>
			b.op("map", () =>
				b.add("table.superseded", { dom: D3, iova: 0, last: 0x1f_ffff }),
			),
	},
};
