/**
 * Records of page tables, of invalidations and of what hardware was seen to do. Facts: pagetable-semantics.md §2, §4, §5, §9;
 * trace-formats.md §6. The spellings here are the ones that count (DESIGN §2): inv.*, table.*, slot.*.
 *
 * Order inside one strict unmap: dom.unmap (entries cleared) ≺ inv.issued ≺ inv.completed ≺ iotlb.synced ≺ pages.unpinned.
 */
import type { FieldTable } from "./fields.ts";

export const HARDWARE_RECORDS = {
	/** One core map call put [iova, iova+len) → pa into a domain (macro record). `prot`: 1 read, 2 write, further bits as IOMMU_*. */
	"dom.map": {
		dom: "domain",
		iova: "hex",
		pa: "hex",
		len: "hex",
		prot: "count?",
	},
	/** A core map call failed; the core has unrolled what it did. */
	"dom.map.failed": {
		dom: "domain",
		iova: "hex",
		pa: "hex",
		len: "hex",
		errno: "errno",
	},
	/** One core unmap call cleared entries; `unmapped` is what it reported. The device may still translate until the flush completes. */
	"dom.unmap": {
		dom: "domain",
		iova: "hex",
		len: "hex",
		unmapped: "hex",
		queued: "flag?",
		undo: "flag?",
	},
	/** The core considers the range flushed: an unmap (or a map over old tables) returns to its caller here. `queued`: left to the flush queue. */
	"iotlb.synced": { dom: "domain", iova: "hex", last: "hex", queued: "flag?" },

	/**
	 * Hardware starts its walks at this table from now on: the table was set up, or grew (amd/io_pgtable.c:increase_address_space). `format` as
	 * the golden vectors name it (src/pagetable), `levels` in use; `ias`, `oas`: input and output bits; `pgsizes`: sizes of leaves as a bitmap.
	 */
	"table.rooted": {
		dom: "domain",
		table: "count",
		levels: "count",
		format: "text?",
		pgsizes: "hex?",
		ias: "count?",
		oas: "count?",
	},
	/**
	 * A page of the page table came to life (private), was linked, unlinked, or given back. `table` counts per domain; `pa` is where it lies
	 * (default: page number = `table`, as in src/pagetable), `slots` its number of entries where that is not the format's own. What is reachable follows from the entries alone: linked and unlinked are claims.
	 */
	"table.allocated": {
		dom: "domain",
		table: "count",
		level: "count",
		pa: "hex?",
		slots: "count?",
	},
	"table.linked": {
		dom: "domain",
		table: "count",
		parent: "count",
		slot: "count",
	},
	"table.unlinked": {
		dom: "domain",
		table: "count",
		iova: "hex?",
		level: "count?",
	},
	"table.quarantined": { dom: "domain", table: "count" },
	"table.freed": { dom: "domain", table: "count", level: "count?" },
	/**
	 * Entries were written / cleared (micro records): `n` slots from `slot`, first entry word `word`, each `stride` more than the one before
	 * (0: replicas). `cas`: by compare-and-swap. `assumes`: what the driver takes for granted about the table that the slot led to, without
	 * looking (actor iommu:…: hardware set or cleared a bit of the entry): "empty" (io-pgtable-arm.c:arm_lpae_init_pte) or "full" (__arm_lpae_unmap).
	 */
	"slot.written": {
		dom: "domain",
		table: "count",
		slot: "count",
		word: "hex",
		n: "count?",
		stride: "hex?",
		cas: "flag?",
		assumes: "text?",
	},
	"slot.cleared": {
		dom: "domain",
		table: "count",
		slot: "count",
		n: "count?",
		assumes: "text?",
	},
	/** Software used memory that is no table of the domain as one: an entry of it was read or written, or it was given to the page allocator. `pa` when known. */
	"data.walked": { dom: "domain", pa: "hex?", slot: "count", write: "flag?" },
	"data.freed": { dom: "domain", pa: "hex?" },
	/**
	 * One call of the driver by the core's loops (iommu.c:__iommu_map, __iommu_unmap): pages of `pgsize` bytes, `count` of them; bytes done.
	 */
	"drv.mapped": {
		dom: "domain",
		iova: "hex",
		pa: "hex",
		pgsize: "hex",
		count: "count",
		mapped: "hex",
		errno: "errno?",
	},
	"drv.unmapped": {
		dom: "domain",
		iova: "hex",
		pgsize: "hex",
		count: "count",
		unmapped: "hex",
	},
	/** The driver was asked to flush what a gather holds (iommu_iotlb_sync); without `iova` the gather is empty. Its commands follow. */
	"gather.synced": { dom: "domain", iova: "hex?", last: "hex?" },
	/** A superpage is about to replace linked tables over [iova, last] (intel/iommu.c:switch_to_super_page). */
	"table.superseded": {
		dom: "domain",
		iova: "hex",
		last: "hex",
		level: "count?",
	},

	/** A domain id (VT-d DID, SMMU VMID/ASID, AMD domid) was given to a domain on an IOMMU unit / taken back. */
	"did.assigned": { iommu: "iommu", did: "count", dom: "domain" },
	"did.released": { iommu: "iommu", did: "count", dom: "domain" },
	/** VT-d cache tag of (device, domain id, PASID): flushes of the domain walk these (intel/cache.c). `ref` after the change. */
	"tag.assigned": {
		iommu: "iommu",
		did: "count",
		pasid: "count?",
		dom: "domain",
		dev: "device?",
		ref: "count?",
	},
	"tag.unassigned": {
		iommu: "iommu",
		did: "count",
		pasid: "count?",
		dom: "domain?",
		dev: "device?",
		ref: "count?",
	},
	/**
	 * A flush of a domain reached this tag (intel/cache.c: cache_tag_flush_range, cache_tag_flush_all): the driver was about to queue an
	 * invalidation of 2^mask pages at `addr`, or of all. A claim: only inv.* drop entries; judge and reader compare the two.
	 */
	"tag.flushed": {
		iommu: "iommu",
		did: "count",
		pasid: "count?",
		dom: "domain?",
		addr: "hex?",
		mask: "count?",
		all: "flag?",
	},
	/**
	 * A context entry (legacy mode), PASID entry (scalable mode), STE or CD of requester `sid` became live / is being made live / was cleared.
	 * `pasid` absent: that of requests without PASID (IOMMU_NO_PASID, 0).
	 */
	"ctx.entry.setting": {
		iommu: "iommu?",
		sid: "count",
		pasid: "count?",
		dom: "domain",
		did: "count?",
		dev: "device?",
	},
	"ctx.entry.set": {
		iommu: "iommu?",
		sid: "count",
		pasid: "count?",
		dom: "domain",
		did: "count?",
		dev: "device?",
	},
	"ctx.entry.cleared": {
		iommu: "iommu?",
		sid: "count",
		pasid: "count?",
		dom: "domain?",
		did: "count?",
		dev: "device?",
	},

	/**
	 * One invalidation command was queued. `kind`: iotlb, context, pasid, piotlb (first-stage entries of one PASID), devtlb, iec; walk
	 * (paging-structure caches alone: no hardware has it, explored protocols may). `gran`: global, domain, pasid, page, device; asid (one
	 * address space of a guest under a VMID). src/iotlb/commands.ts names each driver's commands. `addr`/`mask`: naturally aligned block of
	 * 2^mask pages. `ih`: leaf entries only. `ttl`: SMMU range commands, the one level whose leaf entries are sure to go (3 = page). `stage`: 1
	 * spares second-stage entries (SMMU TLBI NH_*), 2 combined ones (TLBI S2_IPA). `pasid`: absent in a piotlb or pasid command it is 0, in a
	 * devtlb command the request carries none. `inv` counts commands per IOMMU.
	 */
	"inv.issued": {
		iommu: "iommu",
		inv: "count",
		kind: "text",
		gran: "text",
		did: "count?",
		addr: "hex?",
		mask: "count?",
		ih: "flag?",
		sid: "count?",
		pasid: "count?",
		dev: "device?",
		ttl: "count?",
		stage: "count?",
	},
	/** All commands up to and including `inv` on this IOMMU have completed. */
	"inv.completed": { iommu: "iommu", inv: "count" },

	/** A freed IOVA range may be handed out again (free_iova). Lazy mode: only after a flush that started after the unmap. */
	"iova.freed": { dom: "domain", iova: "hex", len: "hex" },
	/** Flush queue: a range was queued / a flush of the whole domain was started / finished. */
	"fq.queued": { dom: "domain", iova: "hex", len: "hex", cpu: "count?" },
	"fq.flush.started": { dom: "domain" },
	"fq.flush.finished": { dom: "domain" },

	/**
	 * A device did DMA and told what happened. `outcome`: "done" (the access went through), "blocked" or "unknown". `what` is free text of the
	 * recorder for people (what the device saw); no verdict may use it. `pa` when the place reached is known. `from`: when the access started (ns).
	 */
	"dma.done": {
		dev: "device",
		iova: "hex",
		len: "hex",
		write: "flag",
		outcome: "text",
		pa: "hex?",
		what: "text?",
		from: "count?",
	},
	/**
	 * A device began to use a range and goes on until told (`keep`: its translation must stay as it is), or all its DMA was stopped / resumed.
	 */
	"dma.started": { dev: "device", iova: "hex", len: "hex", keep: "flag?" },
	"dma.stopped": { dev: "device" },
	"dma.resumed": { dev: "device" },
	/** Independent witness (the emulator's own log): a translation was cached / a cached one was used / a walk faulted. */
	"witness.filled": {
		iommu: "iommu",
		sid: "count",
		iova: "hex",
		pa: "hex",
		did: "count",
		pasid: "count?",
	},
	"witness.hit": {
		iommu: "iommu",
		sid: "count",
		iova: "hex",
		pa: "hex",
		did: "count",
		pasid: "count?",
	},
	"witness.fault": {
		iommu: "iommu",
		sid: "count",
		iova: "hex",
		write: "flag?",
	},
	/** The IOMMU reported a fault. */
	"dma.fault": { iommu: "iommu", sid: "count?", iova: "hex?", why: "text?" },

	/**
	 * Model only: hardware put an entry into a cache after a walk. `kind`: leaf, directory (`table` is the table it points to), device.
	 * `level`: of the entry it read. `pa` absent for a directory entry and for what a freed page said.
	 */
	"hw.filled": {
		iommu: "iommu",
		did: "count",
		pasid: "count?",
		kind: "text",
		iova: "hex",
		level: "count",
		table: "count?",
		pa: "hex?",
	},
	/** Software read an entry of a table page. `reader` when it did so inside a reader section. */
	"table.read": {
		dom: "domain",
		table: "count",
		slot: "count",
		reader: "count?",
	},
	/**
	 * What the writer of the log itself holds now: tables that the root leads to, entries in them that are not empty, and a sum over both
	 * (src/pagetable/word-sum.ts). Replay must have come to the same (PT-49).
	 */
	"table.summed": {
		dom: "domain",
		tables: "count",
		entries: "count",
		sum: "hex",
	},
	/** The dirty bitmap gathered so far was reported; its pages are copied now (pagetable-semantics.md §7). */
	"dirty.reported": { dom: "domain" },
	/** A grace period elapsed: every reader section open when it began has been left (seed mail 1). */
	"reader.grace": { dom: "domain" },

	/** A software reader of page tables (dirty sweep, dump) enters and leaves; a grace period elapses (seed mail 1). */
	"reader.entered": { dom: "domain", reader: "count" },
	"reader.exited": { dom: "domain", reader: "count" },
} as const satisfies Record<string, FieldTable>;
