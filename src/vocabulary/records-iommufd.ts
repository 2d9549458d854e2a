/**
 * Records of iommufd objects (drivers/iommu/iommufd). Catalogue per operation: iommufd-semantics.md §2.17. IOVAs here are
 * byte-granular 64-bit values; `last` is inclusive.
 */
import type { FieldTable } from "./fields.ts";

export const IOMMUFD_RECORDS = {
	/** A context was opened / its last file reference went. */
	"ctx.opened": { ctx: "ctx", kind: "text?" },
	"ctx.closed": { ctx: "ctx" },
	/** Accounting mode of pinned memory: NONE, USER or MM (IOMMU_OPTION RLIMIT_MODE). */
	"ctx.acct.set": { ctx: "ctx", mode: "text" },
	/** The object in the VFIO compatibility slot; absent = cleared. */
	"ctx.vfio.ioas.set": { ctx: "ctx", ioas: "ioas?" },

	/** iommufd's own object for a group in a context; `ref` counts bound devices (iommufd_get_group). */
	"ig.created": { ctx: "ctx", group: "group" },
	"ig.ref": { ctx: "ctx", group: "group", ref: "count" },
	"ig.freed": { ctx: "ctx", group: "group" },
	/** The group's current hwpt changed: first attach, or a replace for the whole group. Group-owned flow only. */
	"ig.hwpt.set": { ctx: "ctx", group: "group", hwpt: "hwpt", from: "hwpt?" },
	"ig.hwpt.cleared": { ctx: "ctx", group: "group" },
	/** The group's software MSI window was learned, at the first attach that shows one (igroup->sw_msi_start). */
	"ig.msi.set": { ctx: "ctx", group: "group", start: "hex" },
	/** A device entered / left the list of attached devices; `hwpt` is what it is attached to. */
	"ig.list.add": {
		ctx: "ctx",
		group: "group",
		dev: "device",
		hwpt: "hwpt",
		undo: "flag?",
	},
	"ig.list.remove": {
		ctx: "ctx",
		group: "group",
		dev: "device",
		undo: "flag?",
	},
	/** 2023 flows only: the per-device pointer idev->hwpt changed (seed mail 3); absent = cleared. */
	"idev.hwpt.set": { dev: "device", hwpt: "hwpt?", undo: "flag?" },

	/** A device was bound to a context / unbound from it. `cc`: it can enforce cache coherency; `dirty`: its IOMMU can track dirty pages. */
	"dev.bound": {
		dev: "device",
		ctx: "ctx",
		idev: "idev",
		cc: "flag",
		dirty: "flag?",
	},
	"dev.unbound": { dev: "device", idev: "idev" },
	/** Outcome of an attach / replace / detach for the caller. `first`/`last`: this call switched the group. */
	"dev.attached": { dev: "device", hwpt: "hwpt", first: "flag" },
	"dev.replaced": { dev: "device", from: "hwpt", hwpt: "hwpt" },
	"dev.replace.noop": { dev: "device", hwpt: "hwpt" },
	"dev.detached": { dev: "device", hwpt: "hwpt?", last: "flag" },

	/** A long-term count changed by `delta` to `u` (users; the id table's own count included). */
	"obj.ref": {
		obj: "object",
		delta: "int",
		u: "count",
		why: "text?",
		undo: "flag?",
	},
	/** IOMMU_DESTROY was refused. `id` is the number that was asked for. */
	"obj.destroy.refused": { id: "count", errno: "errno", obj: "object?" },
	/** The object is freed and its id free again. */
	"obj.gone": { obj: "object", undo: "flag?" },

	"ioas.created": { ioas: "ioas" },
	/** The allow list was replaced. */
	"ioas.allowed.set": { ioas: "ioas", ranges: "ranges" },
	/** IOVA_RANGES was answered: the usable ranges, and the alignment in bytes. */
	"ioas.ranges.read": { ioas: "ioas", ranges: "ranges", align: "count?" },
	"ioas.hugepages.set": { ioas: "ioas", on: "flag", align: "count" },
	/** The alignment (bytes) that areas must keep changed. */
	"ioas.align.set": { ioas: "ioas", align: "count" },
	/** COPY collected its slices from the source. */
	"ioas.copied.from": {
		ioas: "ioas",
		iova: "hex",
		len: "hex",
		slices: "count",
	},

	/** Ranges reserved in an IOAS for an owner: a device's regions, what is outside a domain's aperture, or "test". */
	"resv.added": {
		ioas: "ioas",
		owner: "actor",
		ranges: "ranges",
		undo: "flag?",
	},
	/** All ranges of this owner were dropped (iopt_remove_reserved_iova). */
	"resv.dropped": { ioas: "ioas", owner: "actor", undo: "flag?" },

	/** An area took its IOVA range; its pages are not set yet (half built). `prot`: 1 read, 2 write. `off`: bytes into the pages object. */
	"area.claimed": {
		ioas: "ioas",
		iova: "hex",
		last: "hex",
		prot: "count",
		pages: "pages?",
		off: "hex?",
	},
	/** The area is complete; `sdom` is the domain that stores its PFNs. */
	"area.live": { ioas: "ioas", iova: "hex", sdom: "domain?" },
	"area.prevented": { ioas: "ioas", iova: "hex" },
	"area.draining": { ioas: "ioas", iova: "hex" },
	"area.gone": { ioas: "ioas", iova: "hex", undo: "flag?" },
	/** One area was cut in two at `at`, the first byte of the upper half (iopt_area_split). */
	"area.split": { ioas: "ioas", iova: "hex", at: "hex" },
	/** The storage domain of an area changed (iopt_unfill_domain). */
	"area.sdom.set": { ioas: "ioas", iova: "hex", sdom: "domain?" },

	/** Pages [first, first+n) of a pages object were pinned / unpinned (counted in PAGE_SIZE). `acct`: who is charged for them, when somebody is. */
	"pages.pinned": { pages: "pages", first: "count", n: "count", acct: "text?" },
	"pages.unpinned": {
		pages: "pages",
		first: "count",
		n: "count",
		undo: "flag?",
	},
	"pages.freed": { pages: "pages" },
	"acct.charged": { ctx: "ctx", mode: "text", n: "count", pages: "pages?" },
	"acct.uncharged": {
		ctx: "ctx",
		mode: "text",
		n: "count",
		undo: "flag?",
		pages: "pages?",
	},

	/**
	 * A domain was allocated. `kind`: unmanaged, nested, dma, dma-fq, identity, blocked. Sizes in bytes; aperture inclusive. `nest`: others may be
	 * nested on it. `parent`: of a nested one, the domain of its second stage; where an hwpt stands for it, hwpt.live tells that.
	 */
	"dom.created": {
		dom: "domain",
		kind: "text",
		driver: "text?",
		pgsizes: "hex?",
		apertureStart: "hex?",
		apertureLast: "hex?",
		dirty: "flag?",
		nest: "flag?",
		parent: "domain?",
	},
	"dom.cc.set": { dom: "domain" },
	"dom.msi.cookie": { dom: "domain" },
	/** The interrupt doorbell's page was mapped in the software MSI window (dma-iommu.c:iommu_dma_get_msi_page). */
	"dom.msi.mapped": { dom: "domain", iova: "hex" },
	/** A device's interrupts were set up to write to `doorbell` (VFIO_DEVICE_SET_IRQS). */
	"irq.requested": { dev: "device", doorbell: "hex" },
	"dom.freed": { dom: "domain", undo: "flag?" },
	/** The domain joined / left an IOAS; `order` is the list after a removal (swap with the tail). */
	"iopt.dom.added": { ioas: "ioas", dom: "domain", align: "count?" },
	"iopt.dom.removed": {
		ioas: "ioas",
		dom: "domain",
		order: "actors?",
		undo: "flag?",
	},

	/** An id was reserved / the object was published. */
	"hwpt.reserved": { hwpt: "hwpt" },
	"hwpt.live": {
		hwpt: "hwpt",
		kind: "text",
		dom: "domain",
		ioas: "ioas?",
		parent: "hwpt?",
		auto: "flag",
		cc: "flag?",
		nestParent: "flag?",
		fault: "faultQueue?",
	},
	/** 2023 flows: the hwpt was taken out of its IOAS' list, or (6.12) unlinked at destruction. */
	"hwpt.unlinked": { hwpt: "hwpt", undo: "flag?" },
	"hwpt.autodestroyed": { hwpt: "hwpt" },
	"hwpt.invalidated": {
		hwpt: "hwpt",
		asked: "count",
		done: "count",
		errno: "errno?",
	},

	"access.created": { access: "access", pinning: "flag" },
	"access.attached": { access: "access", ioas: "ioas" },
	"access.switching": { access: "access", from: "ioas?", to: "ioas?" },
	"access.notified": { access: "access", iova: "hex", len: "hex" },
	/** `nacc`: pins that the area at `iova` counts afterwards (iopt_area.num_accesses). */
	"access.pinned": {
		access: "access",
		ioas: "ioas",
		iova: "hex",
		len: "hex",
		nacc: "count?",
	},
	"access.unpinned": {
		access: "access",
		ioas: "ioas",
		iova: "hex",
		len: "hex",
		nacc: "count?",
	},
	"access.rw": {
		access: "access",
		iova: "hex",
		len: "hex",
		write: "flag",
		copied: "hex",
	},
	"access.gone": { access: "access" },

	"dirty.set": { dom: "domain", on: "flag" },
	"dirty.cleared": { dom: "domain" },
	"dirty.marked": { dom: "domain", iova: "hex", len: "hex" },
	"dirty.read": {
		dom: "domain",
		iova: "hex",
		len: "hex",
		cleared: "flag",
		bits: "count",
		walkErr: "errno?",
		/** What was reported dirty, inside the range asked for; absent when it is in too many pieces. */
		ranges: "ranges?",
	},

	"fault.queue.created": { fq: "faultQueue" },
	"fault.iopf.on": { dev: "device" },
	"fault.iopf.off": { dev: "device" },
	"fault.reported": { dev: "device", pasid: "text", grpid: "count" },
	"fault.queued": { fq: "faultQueue", dev: "device", grpid: "count" },
	"fault.read": {
		fq: "faultQueue",
		cookie: "count",
		dev: "device",
		grpid: "count",
	},
	"fault.answered": {
		fq: "faultQueue",
		code: "text",
		by: "text",
		cookie: "count?",
		grpid: "count?",
		dev: "device?",
	},

	/** Legacy VFIO type1 containers (facts §5): their DMA entries. */
	"type1.created": { ctx: "ctx", version: "text", limit: "count?" },
	"type1.entry.added": { ctx: "ctx", iova: "hex", len: "hex", prot: "count" },
	"type1.entry.mapped": { ctx: "ctx", iova: "hex" },
	"type1.entry.removed": {
		ctx: "ctx",
		iova: "hex",
		undo: "flag?",
		len: "hex?",
	},
	"type1.unmapped": { ctx: "ctx", iova: "hex", len: "hex", bytes: "hex" },
	"type1.domain.added": { ctx: "ctx", dom: "domain", fgsp: "flag?" },
	"type1.domain.removed": { ctx: "ctx", dom: "domain" },
	"type1.ranges.set": { ctx: "ctx", ranges: "ranges" },
} as const satisfies Record<string, FieldTable>;
