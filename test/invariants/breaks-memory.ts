/** One record sequence per invariant that breaks it: reservations, IOVA space, page tables and caches, pins, faults, containers. */
import {
	attach,
	CTX,
	DEV1,
	DEV2,
	GROUP,
	H1,
	IOAS,
	IOAS_B,
	map,
	move,
	MSI,
	UNIT,
	type Builder,
} from "../world/build.ts";
import type { Break } from "./breaks-groups.ts";

const D3 = "domain:3" as const;
const unit = { iommu: UNIT, did: 5, dom: D3 } as const;
/** Domain 3 reachable through the entry of requester 0x100, with a cache tag. */
function reachable(b: Builder): void {
	b.op("attach", () => {
		b.add("tag.assigned", { ...unit, ref: 1 });
		b.add("ctx.entry.set", { ...unit, sid: 0x100, dev: DEV1 });
	});
}
const unmap = (b: Builder, iova: number, queued?: true): void => {
	b.add("dom.unmap", {
		dom: D3,
		iova,
		len: 0x1000,
		unmapped: 0x1000,
		...(queued ? { queued } : {}),
	});
};
const synced = (b: Builder, iova: number): number =>
	b.add("iotlb.synced", { dom: D3, iova, last: iova + 0xfff });
const mapped = (b: Builder): void => {
	reachable(b);
	b.op("map", () =>
		b.add("dom.map", { dom: D3, iova: 0x1000, pa: 0x9000, len: 0x1000 }),
	);
};
const flush = (b: Builder, inv: number, more: object): void => {
	b.add("inv.issued", {
		iommu: UNIT,
		inv,
		kind: "iotlb",
		gran: "page",
		did: 5,
		addr: 0x1000,
		mask: 0,
		...more,
	});
	b.add("inv.completed", { iommu: UNIT, inv });
};
const pages = "ctx:1/pages:1" as const;
const access = "ctx:1/access:6@1" as const;
const fq = "ctx:1/fault-queue:9@1" as const;

export const MEMORY_BREAKS: { readonly [id: string]: Break } = {
	"RSV-1": {
		bad: (b) =>
			b.op("x", () =>
				b.add("resv.added", {
					ioas: IOAS,
					owner: "domain:4",
					ranges: [[0, 0xfff]],
				}),
			),
	},
	"RSV-2": {
		bad: (b) =>
			b.op("attach", () => {
				move(b, D3);
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H1 });
				b.add("dev.attached", { dev: DEV1, hwpt: H1, first: true });
			}),
	},
	"RSV-3": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op("detach", () => {
				b.add("ig.list.remove", { ctx: CTX, group: GROUP, dev: DEV1 });
				move(b, "domain:2");
				b.add("ig.hwpt.cleared", { ctx: CTX, group: GROUP });
				b.add("dev.detached", { dev: DEV1, hwpt: H1, last: true });
			}),
	},
	"RSV-4": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op("x", () =>
				b.add("resv.added", { ioas: IOAS_B, owner: DEV1, ranges: [MSI] }),
			),
	},
	"RSV-5": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op(
				"replace",
				() => b.add("resv.dropped", { ioas: IOAS, owner: DEV1, undo: true }),
				"ENOMEM",
			),
	},
	"RSV-6": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) => {
			b.op("x", () => b.add("resv.dropped", { ioas: IOAS_B, owner: DEV2 }));
			b.op("map", () => {
				// A sibling's region that the attached device does not share.
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0xd000_0000,
					last: 0xd000_0fff,
					prot: 3,
				});
				b.add("dom.map", {
					dom: D3,
					iova: 0xd000_0000,
					pa: 0x9000,
					len: 0x1000,
				});
				b.add("area.live", { ioas: IOAS, iova: 0xd000_0000, sdom: D3 });
			});
		},
	},
	"MSI-1": {
		bad: (b) =>
			b.op("attach", () => {
				b.add("resv.added", {
					ioas: IOAS,
					owner: DEV1,
					ranges: [[0x800_0000, 0x80f_ffff]],
				});
				move(b, D3);
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H1 });
				b.add("dev.attached", { dev: DEV1, hwpt: H1, first: true });
			}),
	},
	"IOP-1": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) =>
			b.op("map", () =>
				b.add("area.claimed", { ioas: IOAS, iova: 0, last: 0x1fff, prot: 3 }),
			),
	},
	"IOP-2": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op("map", () =>
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0xfee0_0000,
					last: 0xfee0_0fff,
					prot: 3,
				}),
			),
	},
	"IOP-3": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op("allow", () =>
				b.add("ioas.allowed.set", {
					ioas: IOAS,
					ranges: [[0xfee0_0000, 0xfee0_ffff]],
				}),
			),
	},
	"IOP-4": {
		bad: (b) =>
			b.op("allow", () =>
				b.add("ioas.allowed.set", {
					ioas: IOAS,
					ranges: [
						[0, 0x1fff],
						[0x1000, 0x2fff],
					],
				}),
			),
	},
	"IOP-5": {
		bad: (b) =>
			b.op("map", () => {
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0x800,
					last: 0xfff,
					prot: 3,
				});
				b.add("area.live", { ioas: IOAS, iova: 0x800 });
			}),
	},
	"IOP-7": {
		bad: (b) =>
			b.op("map", () => {
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0x1000,
					last: 0x2fff,
					prot: 3,
				});
				b.add("dom.map", { dom: D3, iova: 0x1000, pa: 0x9000, len: 0x1000 });
				b.add("area.live", { ioas: IOAS, iova: 0x1000, sdom: D3 });
			}),
	},
	"IOP-8": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) =>
			b.op("x", () =>
				b.add("dom.map", { dom: D3, iova: 0x5000, pa: 0x9000, len: 0x1000 }),
			),
	},
	"IOP-9": {
		before: (b) =>
			b.op("x", () => b.add("pages.pinned", { pages, first: 0, n: 1 })),
		bad: (b) =>
			b.op("map", () => {
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0x1000,
					last: 0x1fff,
					prot: 3,
				});
				b.add("dom.map", { dom: D3, iova: 0x1000, pa: 0x9000, len: 0x1000 });
				b.add("area.live", { ioas: IOAS, iova: 0x1000, sdom: "domain:4" });
			}),
	},
	"IOP-10": {
		before: (b) =>
			b.op("hwptAlloc", () => {
				b.add("dom.created", {
					dom: "domain:8",
					kind: "unmanaged",
					apertureStart: 0,
					apertureLast: 0xffff,
				});
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "paging",
					dom: "domain:8",
					ioas: IOAS_B,
					auto: false,
				});
				b.ref(IOAS_B, 1);
				b.add("iopt.dom.added", { ioas: IOAS_B, dom: "domain:8" });
			}),
		bad: (b) =>
			b.op("map", () => {
				b.add("area.claimed", {
					ioas: IOAS_B,
					iova: 0x10000,
					last: 0x10fff,
					prot: 3,
				});
				b.add("dom.map", {
					dom: "domain:4",
					iova: 0x10000,
					pa: 0x9000,
					len: 0x1000,
				});
				b.add("dom.map", {
					dom: "domain:8",
					iova: 0x10000,
					pa: 0x9000,
					len: 0x1000,
				});
				b.add("area.live", { ioas: IOAS_B, iova: 0x10000, sdom: "domain:4" });
			}),
	},
	"IOP-11": {
		bad: (b) =>
			b.op("map", () =>
				b.add("area.claimed", {
					ioas: IOAS,
					iova: 0x1000,
					last: 0x1fff,
					prot: 3,
				}),
			),
	},
	"IOP-14": {
		before: (b) => map(b, 0x1000, 0x9000, 0x2000),
		bad: (b) =>
			b.op("unmap", () =>
				b.add("dom.unmap", {
					dom: D3,
					iova: 0x1000,
					len: 0x2000,
					unmapped: 0x1000,
				}),
			),
	},
	"IOP-16": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) =>
			b.op("unmap", () =>
				b.add("dom.unmap", {
					dom: D3,
					iova: 0x1000,
					len: 0x2000,
					unmapped: 0x2000,
				}),
			),
	},
	"PIN-2": {
		before: (b) =>
			b.op("x", () => b.add("pages.pinned", { pages, first: 0, n: 1 })),
		bad: (b) =>
			b.op("x", () => b.add("pages.unpinned", { pages, first: 0, n: 2 })),
	},
	"PIN-4": {
		before: (b) => {
			b.op("x", () => b.add("pages.pinned", { pages, first: 0, n: 1 }));
			map(b, 0x1000, 0x9000, 0x2000);
		},
		bad: (b) =>
			b.op("unmap", () => {
				unmap(b, 0x1000);
				synced(b, 0x1000);
				unmap(b, 0x2000);
				b.add("pages.unpinned", { pages, first: 0, n: 1 });
			}),
	},
	"PIN-6": {
		before: (b) =>
			b.op("x", () => b.add("pages.pinned", { pages, first: 0, n: 1 })),
		bad: (b) => b.op("x", () => b.add("pages.freed", { pages })),
	},
	"ACC-4": {
		before: (b) =>
			b.op("x", () => b.add("access.created", { access, pinning: true })),
		bad: (b) =>
			b.op("x", () =>
				b.add("access.unpinned", { access, ioas: IOAS, iova: 0, len: 0x1000 }),
			),
	},
	"ACC-5": {
		before: (b) =>
			b.op("x", () => {
				b.add("access.created", { access, pinning: true });
				b.add("access.attached", { access, ioas: IOAS });
				b.ref(IOAS, 1, "access");
				b.add("access.pinned", { access, ioas: IOAS, iova: 0, len: 0x1000 });
			}),
		bad: (b) =>
			b.op("detach", () => {
				b.ref(IOAS, -1, "access");
				b.ref(IOAS_B, 1, "access");
				b.add("access.attached", { access, ioas: IOAS_B });
			}),
	},
	"ACC-6": {
		before: (b) =>
			b.op("x", () => b.add("access.created", { access, pinning: true })),
		bad: (b) =>
			b.op("x", () => b.add("access.switching", { access, to: IOAS })),
	},
	"MSI-2": {
		before: (b) => {
			attach(b, DEV1, true);
			b.op("irqRequest", () => {
				b.add("dom.msi.mapped", { dom: D3, iova: 0x800_0000 });
				b.add("irq.requested", { dev: DEV1, doorbell: 0x800_0000 });
			});
		},
		bad: (b) =>
			b.op(
				"replace",
				() => void b.add("hw.attach", { dev: DEV1, dom: "domain:4" }),
			),
	},
	"GRP-15": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) => {
			const op = b.add("op.begin", { op: "replace", args: { dev: DEV2 } });
			b.inside(op, () => {
				b.add("ig.hwpt.set", {
					ctx: CTX,
					group: GROUP,
					hwpt: "ctx:1/hwpt:4@1",
					from: H1,
				});
				b.add("op.commit", {});
			});
		},
	},
	"GRP-16": {
		before: (b) => attach(b, DEV1, true),
		bad: (b) =>
			b.op("hotAdd", () => {
				b.add("grp.member.added", { group: GROUP, dev: "device:new" });
				b.add("hw.attach", { dev: "device:new", dom: D3 });
			}),
	},
	"ACC-7": {
		before: (b) =>
			b.op("x", () => b.add("access.created", { access, pinning: false })),
		bad: (b) =>
			b.op("unmap", () =>
				b.add("access.notified", { access, iova: 0, len: 0x1000 }),
			),
	},
	"ACC-8": {
		bad: (b) => b.op("accessPin", () => {}, "EFAULT", "area.prevented"),
	},
	"LOG-7": {
		before: (b) => map(b, 0x1000, 0x9000),
		bad: (b) =>
			b.op(
				"unmap",
				() => {
					b.add("area.draining", { ioas: IOAS, iova: 0x1000 });
					b.add("area.gone", { ioas: IOAS, iova: 0x1000 });
				},
				"EFAULT",
				"area.partial",
			),
	},
	"GRP-13": {
		bad: (b) =>
			b.op("attach", () => {
				b.add("dom.created", {
					dom: "domain:8",
					kind: "unmanaged",
					driver: "smmu-v3",
				});
				b.add("hw.attach", { dev: DEV1, dom: "domain:8" });
			}),
	},
	"GRP-14": {
		bad: (b) =>
			b.op(
				"attach",
				() =>
					void b.add("hw.attach.failed", {
						dev: DEV1,
						dom: D3,
						errno: "EINVAL",
						blocked: true,
					}),
				"EFAULT",
			),
	},
	"DRT-1": {
		bad: (b) => b.op("x", () => b.add("dirty.set", { dom: D3, on: true })),
	},
	"DRT-5": {
		before: (b) =>
			b.op("x", () => {
				b.add("dom.created", {
					dom: "domain:8",
					kind: "unmanaged",
					dirty: true,
				});
				b.add("dirty.set", { dom: "domain:8", on: true });
			}),
		bad: (b) =>
			b.op("x", () => b.add("dirty.set", { dom: "domain:8", on: true })),
	},
	"DRT-6": {
		bad: (b) =>
			b.op("x", () =>
				b.add("dirty.read", {
					dom: D3,
					iova: 0,
					len: 0x1000,
					cleared: false,
					bits: 0,
				}),
			),
	},
	"NST-1": {
		bad: (b) =>
			b.op("x", () => {
				b.add("dom.created", { dom: "domain:8", kind: "nested" });
				b.add("hwpt.live", {
					hwpt: "ctx:1/hwpt:8@1",
					kind: "nested",
					dom: "domain:8",
					parent: H1,
					auto: false,
				});
			}),
	},
	"NST-5": {
		bad: (b) =>
			b.op("x", () =>
				b.add("hwpt.invalidated", { hwpt: H1, asked: 2, done: 1 }),
			),
	},
	"FLT-1": {
		bad: (b) =>
			b.op("x", () => {
				b.add("fault.queue.created", { fq });
				b.add("hwpt.live", {
					hwpt: H1,
					kind: "paging",
					dom: D3,
					ioas: IOAS,
					auto: false,
					fault: fq,
				});
			}),
	},
	"FLT-2": {
		bad: (b) => b.op("x", () => b.add("fault.iopf.on", { dev: DEV1 })),
	},
	"FLT-3": {
		before: (b) => b.op("x", () => b.add("fault.queue.created", { fq })),
		bad: (b) =>
			b.op("x", () =>
				b.add("fault.answered", { fq, code: "SUCCESS", by: "user", grpid: 1 }),
			),
	},
	"VFT-1": {
		before: (b) =>
			b.op("x", () => {
				b.add("type1.created", { ctx: "ctx:5", version: "v2" });
				b.add("type1.entry.added", {
					ctx: "ctx:5",
					iova: 0,
					len: 0x2000,
					prot: 3,
				});
			}),
		bad: (b) =>
			b.op("x", () =>
				b.add("type1.entry.added", {
					ctx: "ctx:5",
					iova: 0x1000,
					len: 0x2000,
					prot: 3,
				}),
			),
	},
	"VFT-4": {
		before: (b) =>
			b.op("x", () =>
				b.add("type1.created", { ctx: "ctx:5", version: "v2", limit: 0 }),
			),
		bad: (b) =>
			b.op("x", () =>
				b.add("type1.entry.added", {
					ctx: "ctx:5",
					iova: 0x1000,
					len: 0x2000,
					prot: 3,
				}),
			),
	},
	"PT-16": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				b.add("dom.map", {
					dom: "domain:1",
					iova: 0x1000,
					pa: 0x9000,
					len: 0x2000,
				});
				b.add("dom.unmap", {
					dom: "domain:1",
					iova: 0x1000,
					len: 0x1000,
					unmapped: 0x2000,
				});
			}),
	},
	"PT-25": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				b.add("table.unlinked", { dom: D3, table: 7, iova: 0, level: 1 });
				b.add("table.freed", { dom: D3, table: 7 });
			}),
	},
	"PT-31": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				unmap(b, 0x1000);
				b.add("table.unlinked", { dom: D3, table: 7, iova: 0, level: 1 });
				flush(b, 1, { ih: true });
				synced(b, 0x1000);
			}),
	},
	"PT-32": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				unmap(b, 0x1000);
				synced(b, 0x1000);
			}),
	},
	"PT-33": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				unmap(b, 0x1000, true);
				b.add("dom.map", { dom: D3, iova: 0x1000, pa: 0x7000, len: 0x1000 });
			}),
	},
	"PT-34": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				// Issued before the unmap: it does not count, whenever it completes.
				b.add("inv.issued", {
					iommu: UNIT,
					inv: 1,
					kind: "iotlb",
					gran: "domain",
					did: 5,
				});
				unmap(b, 0x1000, true);
				b.add("inv.completed", { iommu: UNIT, inv: 1 });
				b.add("iova.freed", { dom: D3, iova: 0x1000, len: 0x1000 });
			}),
	},
	"PT-35": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				for (let i = 0; i < 256; i++)
					b.add("fq.queued", {
						dom: D3,
						iova: 0x10_0000 + i * 0x1000,
						len: 0x1000,
						cpu: 0,
					});
			}),
	},
	"PT-36": {
		before: mapped,
		bad: (b) =>
			b.add("witness.hit", {
				iommu: UNIT,
				sid: 0x100,
				iova: 0x1000,
				pa: 0x5000,
				did: 5,
			}),
	},
	"PT-37": {
		before: mapped,
		bad: (b) =>
			b.op("map", () => {
				b.add("table.superseded", {
					dom: D3,
					iova: 0x20_0000,
					last: 0x3f_ffff,
				});
				// A flush that has not completed.
				b.add("inv.issued", {
					iommu: UNIT,
					inv: 9,
					kind: "iotlb",
					gran: "domain",
					did: 5,
				});
				b.add("dom.map", {
					dom: D3,
					iova: 0x20_0000,
					pa: 0x60_0000,
					len: 0x20_0000,
				});
			}),
	},
	"PT-41": {
		before: mapped,
		bad: (b) =>
			b.op("unmap", () => {
				unmap(b, 0x1000);
				b.add("inv.issued", {
					iommu: UNIT,
					inv: 1,
					kind: "devtlb",
					gran: "page",
					did: 5,
					addr: 0x1000,
					mask: 0,
				});
				flush(b, 2, {});
			}),
	},
	"PT-43": {
		before: reachable,
		bad: (b) =>
			b.op("destroy", () => {
				b.add("iopt.dom.removed", { ioas: IOAS, dom: D3 });
				b.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
				b.add("dom.freed", { dom: D3 });
			}),
	},
	"PT-53": {
		before: (b) => {
			reachable(b);
			b.op("detach", () => {
				b.add("ctx.entry.cleared", { iommu: UNIT, sid: 0x100 });
				b.add("tag.unassigned", { ...unit, ref: 0 });
				b.add("did.released", { iommu: UNIT, did: 5, dom: D3 });
			});
		},
		bad: (b) =>
			b.op("attach", () =>
				b.add("did.assigned", { iommu: UNIT, did: 5, dom: "domain:4" }),
			),
	},
	"PT-54": {
		before: mapped,
		bad: (b) =>
			b.op("detach", () => b.add("tag.unassigned", { ...unit, ref: 0 })),
	},
};
