/**
 * Records of the log itself, of operations and of the iommu core (drivers/iommu/iommu.c). Facts:
 * iommufd-semantics.md §0.4, §2.1–2.2, §2.17, §4. Past-tense facts; each says who (`actor`) and belongs to an operation (`op`).
 *
 * `undo` marks a step that takes back an earlier step of the same operation.
 */
import type { FieldTable } from "./fields.ts";

export const CORE_RECORDS = {
	/**
	 * An operation starts; `op` of this and of all its records is this record's `seq`. `task` tells who called, when known. `saga`: the
	 * seq of the saga.begun whose step this is; `undo`: a step of its way back.
	 */
	"op.begin": {
		op: "text",
		args: "json",
		task: "text?",
		saga: "count?",
		undo: "flag?",
	},
	/** The operation succeeded. `told`: the result holds what only the hardware knows (dirty pages, page requests), as the backend told it. */
	"op.commit": { result: "json?", told: "flag?" },
	/** The operation failed at `step` with `errno`; `result` is what was given back all the same (bytes done). */
	"op.fail": { errno: "errno", step: "text", result: "json?" },
	/**
	 * The operation ended and nobody knows how: the backend was lost while it ran, or answered otherwise than the model (a divergence
	 * stands before it). What it did is not recorded.
	 */
	"op.unknown": { code: "text", why: "text" },
	/** The backend answered `call` otherwise than the model decided. Both answers: ret, errno, out. */
	divergence: { call: "text", expected: "json", actual: "json" },

	/** A saga starts: operations of user space that belong together. `plan` lists its steps and how each is taken back. */
	"saga.begun": { saga: "text", args: "json", plan: "json" },
	/** A step of the saga `saga` (the seq of its saga.begun) failed: from here on the steps done are taken back. */
	"saga.turned": { saga: "count", step: "count", errno: "errno" },
	/** The saga ended: "done", "rolled-back", or "stuck" (a step of the way back failed). */
	"saga.ended": { saga: "count", outcome: "text" },

	/** A device became a member of a group, at boot or by hot plug (iommu_group_alloc_device). */
	"grp.member.added": { group: "group", dev: "device" },
	/** A device left its group. */
	"grp.member.removed": { group: "group", dev: "device" },
	/** The group's default domain was chosen (iommu_setup_default_domain). */
	"grp.default.set": { group: "group", dom: "domain" },
	/** The group's blocking domain was made or chosen, once (__iommu_group_alloc_blocking_domain). */
	"grp.blocking.set": { group: "group", dom: "domain" },
	/** Ownership for user space was claimed; `ocnt` is the count after (iommu_device_claim_dma_owner). `owner` is a context. */
	"grp.owner.claimed": { group: "group", owner: "actor", ocnt: "count" },
	/** One claim was given back; the owner is cleared when `ocnt` comes to 0. */
	"grp.owner.released": { group: "group", ocnt: "count" },
	/** A kernel driver of a member started to use the DMA API (iommu_device_use_default_domain). */
	"grp.driver.bound": { group: "group", dev: "device", ocnt: "count" },
	/** … and stopped (iommu_device_unuse_default_domain). */
	"grp.driver.unbound": { group: "group", dev: "device", ocnt: "count" },
	/** The core's idea of the group's current domain changed: the end of a switch (__iommu_group_set_domain_internal). */
	"grp.domain.set": { group: "group", dom: "domain", undo: "flag?" },
	/** The attach handle of (group, pasid) was stored; `dev` is the device that performed the switch. pasid "none" = plain. */
	"grp.handle.set": {
		group: "group",
		pasid: "text",
		dev: "device",
		dom: "domain",
	},
	/** The attach handle was erased. */
	"grp.handle.cleared": { group: "group", pasid: "text" },

	/** Hardware fact: this device now translates through this domain (one successful driver attach, __iommu_attach_device). */
	"hw.attach": { dev: "device", dom: "domain", undo: "flag?" },
	/** The driver refused. What the hardware uses then is the driver's: VT-d has torn the old translation down (`blocked`). */
	"hw.attach.failed": {
		dev: "device",
		dom: "domain",
		errno: "errno",
		blocked: "flag?",
		undo: "flag?",
	},

	/**
	 * The recorder lost `n` events (0 = unknown number): absence of events before this point proves nothing. `from`: records from this
	 * seq on may already lack events; 0: so does everything that came before the log. `open`: events go on missing, or being out of order, until a record with open = false.
	 * `event`: the whole trace has no line of this event, although it has what never comes without it.
	 */
	"trace.lost": {
		n: "count",
		cpu: "int?",
		why: "text?",
		from: "count?",
		open: "flag?",
		event: "text?",
	},
	/** The importer could not explain a line; `line` counts from 1. */
	"trace.unexplained": { line: "count", event: "text", why: "text" },
} as const satisfies Record<string, FieldTable>;
