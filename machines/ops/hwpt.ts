/**
 * HWPT_ALLOC, its nested half, and what ends a nested hwpt (drivers/iommu/iommufd/hw_pagetable.c).
 * Facts: iommufd-semantics.md §2.9, §2.9.2. Paging hwpts are allocated and freed by the transactions (machines/), since attach
 * and replace need the same steps.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { UserData } from "./driver.ts";
import { driverOf } from "./entities.ts";
import type { Exec, Step } from "./exec.ts";
import {
	addUsers,
	domainOf,
	emit,
	freeId,
	lookUp,
	objOf,
	publish,
	putObj,
	refused,
	reserveId,
	runSteps,
} from "./exec.ts";
import { freeDomain, makeDomain } from "./domains.ts";
import { respStep, type Respond } from "./ioas.ts";
import { allocPaging } from "./transact.ts";
import type { Answer, Hwpt, Idev } from "./types.ts";

/** Flags of HWPT_ALLOC (include/uapi/linux/iommufd.h). */
export const HWPT_FLAG = {
	NEST_PARENT: 1,
	DIRTY_TRACKING: 2,
	FAULT_ID_VALID: 4,
} as const;

/** Arguments of HWPT_ALLOC. */
export interface HwptAllocArgs {
	readonly flags: number;
	readonly devId: number;
	readonly ptId: number;
	readonly reserved: number;
	readonly data: UserData;
	readonly faultId: number;
	readonly respond: Respond;
}

/** IOMMU_HWPT_ALLOC. */
export function hwptAlloc(x: Exec, args: HwptAllocArgs): Answer {
	if (args.reserved !== 0) return refused("EOPNOTSUPP", "reserved");
	if ((args.data.type === 0) !== (args.data.length === 0))
		return refused("EINVAL", "data");
	const idev = lookUp(x, args.devId, "idev");
	if (idev === undefined) return refused("ENOENT", "device");
	const ioas = lookUp(x, args.ptId, "ioas");
	if (ioas !== undefined) {
		const bad = pagingErrno(x, idev, args.flags, args.data);
		if (bad !== undefined) return refused(bad, "flags");
		return allocPaging(x, idev, ioas, args.flags, args.data, args.respond);
	}
	const parent = lookUp(x, args.ptId, "hwpt");
	if (parent?.kind !== "paging") return refused("EINVAL", "pt");
	const bad = nestedErrno(x, idev, parent, args);
	if (bad !== undefined) return refused(bad, "flags");
	const local: NestedLocal = { ...args, idev, parent, id: 0 };
	const failed = runSteps(x, local, NESTED);
	return failed ?? { out: { out_hwpt_id: local.id } };
}

/** What a paging allocation refuses before it starts (facts §2.9.1 step 1). A fault queue is not possible here in 6.12. */
export function pagingErrno(
	x: Exec,
	idev: Idev,
	flags: number,
	data: UserData,
): ErrnoName | undefined {
	const { ops, dev } = driverOf(x, idev.dev);
	if ((flags !== 0 || data.length > 0) && !ops.userDomains) return "EOPNOTSUPP";
	if ((flags & ~(HWPT_FLAG.NEST_PARENT | HWPT_FLAG.DIRTY_TRACKING)) !== 0)
		return "EOPNOTSUPP";
	return (flags & HWPT_FLAG.DIRTY_TRACKING) !== 0 && !ops.tracksDirty(dev)
		? "EOPNOTSUPP"
		: undefined;
}

function nestedErrno(
	x: Exec,
	idev: Idev,
	parent: Hwpt,
	args: HwptAllocArgs,
): ErrnoName | undefined {
	const { ops } = driverOf(x, idev.dev);
	if (
		(args.flags & ~HWPT_FLAG.FAULT_ID_VALID) !== 0 ||
		args.data.length === 0 ||
		!ops.userDomains
	)
		return "EOPNOTSUPP";
	const foreign = domainOf(x, parent.dom).driver !== ops.name;
	return parent.auto || !parent.nestParent || foreign ? "EINVAL" : undefined;
}

interface NestedLocal extends HwptAllocArgs {
	readonly idev: Idev;
	readonly parent: Hwpt;
	id: number;
}

const NESTED: readonly Step<NestedLocal>[] = [
	{
		name: "object.alloc",
		fails: "ENOMEM",
		run: (x, l) => {
			l.id = reserveId<Hwpt>(x, "hwpt", (base) => ({
				...base,
				type: "hwpt",
				kind: "nested",
				dom: l.parent.dom,
				parent: l.parent.id,
				auto: false,
				cc: l.parent.cc,
				nestParent: false,
				msiCookie: false,
			})).id;
			const { name } = objOf(x, l.id, "hwpt");
			emit(x, fact("hwpt.reserved", name, { hwpt: name }));
		},
		undo: (x, l) => freeId(x, l.id, true),
	},
	{
		name: "parent.get",
		run: (x, l) => addUsers(x, l.parent.id, 1, "nested"),
		undo: (x, l) => addUsers(x, l.parent.id, -1, "nested", true),
	},
	{
		name: "domain.alloc",
		fails: "ENOMEM",
		run: (x, l) => {
			const { ops, dev } = driverOf(x, l.idev.dev);
			const parent = domainOf(x, l.parent.dom);
			const spec = ops.allocNested(dev, 0, parent, l.data);
			if ("errno" in spec) return spec.errno;
			const dom = makeDomain(x, ops.name, spec);
			putObj(x, { ...objOf(x, l.id, "hwpt"), dom });
			return undefined;
		},
		undo: (x, l) => freeDomain(x, objOf(x, l.id, "hwpt").dom, true),
	},
	{
		name: "fault.get",
		run: (x, l) => {
			if ((l.flags & HWPT_FLAG.FAULT_ID_VALID) === 0) return undefined;
			const fq = lookUp(x, l.faultId, "fault");
			if (fq === undefined) return "ENOENT";
			putObj(x, { ...objOf(x, l.id, "hwpt"), fault: fq.id });
			addUsers(x, fq.id, 1, "hwpt");
			return undefined;
		},
		undo: (x, l) => {
			const { fault } = objOf(x, l.id, "hwpt");
			if (fault !== undefined) addUsers(x, fault, -1, "hwpt", true);
		},
	},
	respStep(),
	{
		name: "publish",
		run: (x, l) => {
			publish(x, l.id);
			const h = objOf(x, l.id, "hwpt");
			const fq =
				h.fault === undefined ? {} : { fault: objOf(x, h.fault, "fault").name };
			emit(
				x,
				fact("hwpt.live", h.name, {
					hwpt: h.name,
					kind: "nested",
					dom: h.dom,
					parent: l.parent.name,
					auto: false,
					cc: h.cc,
					...fq,
				}),
			);
		},
	},
];
