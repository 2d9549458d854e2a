/**
 * What the 2023 flows share (seed mail 3): each device owns its attachment (idev->hwpt), a hwpt has the list of its devices, and its domain
 * is in the IOAS only while that list is not empty. The questions "does this hwpt have the group" and "is its list empty" decide
 * everything, and they are asked of one hwpt, not of the group: the root of hazards W1-W3 (facts §3.6).
 *
 * Not modelled for these flows: MSI cookies and fault queues, which came to iommufd's attach in other series.
 */
import type { DeviceId, GroupId } from "../src/vocabulary/ids.ts";
import { type AttachBegin, NO_HWPT, type ReservedValue } from "./attach.ts";
import type { DeviceListView } from "./hwpt.ts";
import type { ReplaceBegin } from "./replace.ts";
import type { HwptView, Pasid } from "./steps.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import { failWith, FRESH } from "./transaction.ts";

/** What such a transaction knows. `newEmpty`, `oldEmpty`: the hwpt's list, when it was last looked at. */
export interface OwnedContext extends TxContext {
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly pasid: Pasid;
	readonly to: HwptView;
	readonly from: HwptView;
	readonly attached: boolean;
	readonly newEmpty: boolean;
	readonly oldEmpty: boolean;
	/** The call switched the group: the first device to come, the last one to go. */
	readonly switches: boolean;
	/** The old hwpt is automatic and nothing but the id table holds it any more. */
	readonly oldUnused: boolean;
	/** device-forced: every device of the group on the old hwpt; `i` walks it. */
	readonly movers: readonly DeviceId[];
	readonly i: number;
}
type C = OwnedContext;
type List = Done<DeviceListView>;

/** Before the first BEGIN. */
export const ownedStart = (): OwnedContext => ({
	dev: "device:none",
	group: "group:0",
	pasid: "none",
	to: NO_HWPT,
	from: NO_HWPT,
	attached: false,
	newEmpty: false,
	oldEmpty: false,
	switches: false,
	oldUnused: false,
	movers: [],
	i: 0,
	...FRESH,
});

const ioasChanges = (c: C): boolean => c.from.ioas !== c.to.ioas;
const mover = (c: C): DeviceId => c.movers[c.i] ?? c.dev;

/** Guards to choose from. */
export const ownedGuards = {
	notAttached: (c: C) => !c.attached,
	isAttached: (_: C, e: ReplaceBegin) => e.from !== null,
	targetIsCurrent: (c: C) => c.attached && c.from.hwpt === c.to.hwpt,
	ioasChanges,
	conflictingMsi: (_: C, e: Done<ReservedValue>) => e.value.conflict,
	newHasGroup: (_: C, e: List) => e.value.ofGroup.length > 0,
	newWasEmpty: (c: C) => c.newEmpty,
	oldIsEmpty: (_: C, e: List) => e.value.empty,
	oldBecameEmpty: (c: C) => c.oldEmpty,
	oldStillHasGroup: (_: C, e: List) => e.value.ofGroup.length > 0,
	oldIsUnused: (c: C) => c.oldUnused,
	moreMovers: (c: C) => c.i + 1 < c.movers.length,
};

/** Actions to choose from. */
export const ownedActions = {
	/** Of an attach (nothing to come from) or a replace. */
	begin: (_: C, e: AttachBegin & Partial<ReplaceBegin>) => ({
		...ownedStart(),
		dev: e.dev,
		group: e.group,
		pasid: e.pasid,
		to: e.to,
		from: e.from ?? NO_HWPT,
		attached: (e.from ?? null) !== null,
		movers: [e.dev],
	}),
	beginDetach: (_: C, e: AttachBegin) => ({
		...ownedStart(),
		dev: e.dev,
		group: e.group,
		pasid: e.pasid,
		from: e.to,
		attached: true,
	}),
	failUnattached: failWith("EINVAL", "idev.hwpt"),
	failConflict: failWith("EINVAL", "resv.msi"),
	learnNew: (_: C, e: List) => ({ newEmpty: e.value.empty, switches: true }),
	learnOld: (_: C, e: List) => ({ oldEmpty: e.value.empty }),
	learnMovers: (_: C, e: List) => ({ movers: e.value.ofGroup }),
	noteSwitch: () => ({ switches: true }),
	learnUse: (_: C, e: Done<{ readonly unused: boolean }>) => ({
		oldUnused: e.value.unused,
	}),
	nextMover: (c: C) => ({ i: c.i + 1 }),
	firstMover: () => ({ i: 0 }),

	askLock: (c: C) => ({ ask: ask({ type: "ig.lock", to: c.group }) }),
	askUnlock: (c: C) => ({ ask: ask({ type: "ig.unlock", to: c.group }) }),
	askNoop: (c: C) => ({
		ask: ask({ type: "dev.replace.noop", to: c.dev, hwpt: c.to.hwpt }),
	}),
	askReserveNew: (c: C) => ({
		ask: ask({
			type: "resv.add",
			to: c.to.ioas,
			dev: mover(c),
			attaching: !c.attached,
		}),
	}),
	askUnreserveNew: (c: C) => ({
		ask: ask({ type: "resv.drop", to: c.to.ioas, owner: mover(c), undo: true }),
	}),
	askReserveOldAgain: (c: C) => ({
		ask: ask({
			type: "resv.add",
			to: c.from.ioas,
			dev: c.dev,
			attaching: false,
			undo: true,
		}),
	}),
	askUnreserveOld: (c: C) => ({
		ask: ask({
			type: "resv.drop",
			to: c.from.ioas,
			owner: mover(c),
			undo: false,
		}),
	}),
	askLookNew: (c: C) => ({
		ask: ask({ type: "hwpt.devices.look", to: c.to.hwpt, group: c.group }),
	}),
	askLookOld: (c: C) => ({
		ask: ask({ type: "hwpt.devices.look", to: c.from.hwpt, group: c.group }),
	}),
	askSwitch: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: c.attached ? "replace" : "attach",
			dev: c.dev,
			pasid: c.pasid,
			dom: c.to.dom,
			undo: false,
		}),
	}),
	askSwitchBack: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "replace",
			dev: c.dev,
			pasid: c.pasid,
			dom: c.from.dom,
			undo: true,
		}),
	}),
	askDetachGroup: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "detach",
			dev: c.dev,
			pasid: c.pasid,
			undo: false,
		}),
	}),
	askFillNew: (c: C) => ({
		ask: ask({
			type: "iopt.add",
			to: c.to.ioas,
			dom: c.to.dom,
			hwpt: c.to.hwpt,
		}),
	}),
	askLinkNew: (c: C) => ({
		ask: ask({
			type: "hwpt.link",
			to: c.to.ioas,
			hwpt: c.to.hwpt,
			auto: c.to.auto,
		}),
	}),
	askDrainOld: (c: C) => ({
		ask: ask({
			type: "iopt.remove",
			to: c.from.ioas,
			dom: c.from.dom,
			hwpt: c.from.hwpt,
			undo: false,
		}),
	}),
	askUnlinkOld: (c: C) => ({
		ask: ask({
			type: "hwpt.unlink",
			to: c.from.ioas,
			hwpt: c.from.hwpt,
			undo: false,
		}),
	}),
	askRefillOld: (c: C) => ({
		ask: ask({
			type: "iopt.add",
			to: c.from.ioas,
			dom: c.from.dom,
			hwpt: c.from.hwpt,
			undo: true,
		}),
	}),
	askRelinkOld: (c: C) => ({
		ask: ask({
			type: "hwpt.link",
			to: c.from.ioas,
			hwpt: c.from.hwpt,
			auto: c.from.auto,
		}),
	}),
	askAddToNew: (c: C) => ({
		ask: ask({
			type: "hwpt.devices.add",
			to: c.to.hwpt,
			group: c.group,
			dev: mover(c),
			undo: false,
		}),
	}),
	askRemoveFromOld: (c: C) => ({
		ask: ask({
			type: "hwpt.devices.remove",
			to: c.from.hwpt,
			group: c.group,
			dev: mover(c),
			undo: false,
		}),
	}),
	askAddBack: (c: C) => ({
		ask: ask({
			type: "hwpt.devices.add",
			to: c.from.hwpt,
			group: c.group,
			dev: c.dev,
			undo: true,
		}),
	}),
	askCountOld: (c: C) => ({
		ask: ask({ type: "obj.put", to: c.from.hwpt, n: 1, why: "attach" }),
	}),
	askCountBack: (c: C) => ({
		ask: ask({
			type: "obj.get",
			to: c.from.hwpt,
			n: 1,
			why: "attach",
			undo: true,
		}),
	}),
	askCountNew: (c: C) => ({
		ask: ask({ type: "obj.get", to: c.to.hwpt, n: 1, why: "attach" }),
	}),
	askPoint: (c: C) => ({
		ask: ask({
			type: "idev.hwpt.set",
			to: mover(c),
			hwpt: c.to.hwpt,
			undo: false,
		}),
	}),
	askUnpoint: (c: C) => ({
		ask: ask({ type: "idev.hwpt.set", to: c.dev, hwpt: null, undo: false }),
	}),
	askFreeOld: (c: C) => ({
		ask: ask({
			type: "call.free",
			to: c.from.hwpt,
			hwpt: c.from.hwpt,
			auto: true,
		}),
	}),
	askPutOld: (c: C) => ({
		ask: ask({ type: "call.put", to: c.from.hwpt, hwpt: c.from.hwpt }),
	}),
	askDetach: (c: C) => ({
		ask: ask({ type: "call.detach", to: c.dev, dev: c.dev }),
	}),
	askAttach: (c: C) => ({
		ask: ask({
			type: "call.attach",
			to: c.to.hwpt,
			dev: c.dev,
			hwpt: c.to.hwpt,
		}),
	}),
	askAttachDevice: (c: C) => ({
		ask: ask({
			type: "dev.attach",
			to: c.dev,
			hwpt: c.to.hwpt,
			first: c.switches,
		}),
	}),
	askDetachDevice: (c: C) => ({
		ask: ask({
			type: "dev.detach",
			to: c.dev,
			hwpt: c.from.hwpt,
			last: c.switches,
		}),
	}),
	askReport: (c: C) => ({
		ask: ask({
			type: "dev.replaced",
			to: c.dev,
			from: c.from.hwpt,
			hwpt: c.to.hwpt,
		}),
	}),
	returnResult: (c: C) => ({
		ask: ask({ type: "return", to: "host", ok: true, value: c.to.hwpt }),
	}),
	returnNothing: () => ({ ask: ask({ type: "return", to: "host", ok: true }) }),
};

/** The named part of a table: a machine declares exactly what it uses. */
export function pick<T extends object, K extends keyof T>(
	table: T,
	...names: readonly K[]
): Pick<T, K> {
	return Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<
		T,
		K
	>;
}
