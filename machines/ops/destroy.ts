/**
 * IOMMU_DESTROY for every kind of object, and closing a context (drivers/iommu/iommufd/main.c).
 * Facts: iommufd-semantics.md §1.4 (matrix), §1.6. IOASes and hwpts go through the transaction machines/destroy.ts.
 */
import type { DeviceId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { igOf } from "./entities.ts";
import type { Exec } from "./exec.ts";
import { ctxOf, EOK, emit, freeId, nameOf, objOf, refused } from "./exec.ts";
import { destroyFaultQueue } from "./fault.ts";
import { setVfioSlot } from "./ioas.ts";
import { destroyById, detachDevice, unbindDevice } from "./transact.ts";
import type { Answer, Obj } from "./types.ts";

/** IOMMU_DESTROY: ENOENT for what is not published, EBUSY while anything but the id table holds it. */
export function destroyObject(x: Exec, id: number): Answer {
	const obj = ctxOf(x).objs.get(id);
	if (obj?.published === true && obj.u === 1 && obj.type === "fault") {
		destroyFaultQueue(x, id);
		return EOK;
	}
	if (obj?.published === true && obj.type === "stdev") {
		if (obj.u > 1) return refuse(x, obj);
		destroyStdev(x, id);
		return EOK;
	}
	const answer = destroyById(x, id);
	if (answer.errno === undefined && ctxOf(x).vfioIoas === id)
		setVfioSlot(x, undefined);
	return answer;
}

function refuse(x: Exec, obj: Obj): Answer {
	const name = nameOf(obj);
	const data = { id: obj.id, errno: "EBUSY" as const };
	emit(
		x,
		fact(
			"obj.destroy.refused",
			x.ctx,
			name === undefined ? data : { ...data, obj: name },
		),
	);
	return refused("EBUSY", "obj.users");
}

/** Destroying the selftest's device detaches, unbinds and removes it (selftest.c:iommufd_selftest_destroy). */
export function destroyStdev(x: Exec, id: number): void {
	const { idev } = objOf(x, id, "stdev");
	const { dev, group } = objOf(x, idev, "idev");
	if (igOf(x, group)?.list.includes(dev) === true) detachDevice(x, dev);
	unbindDevice(x, dev);
	removeDevice(x, dev);
	freeId(x, id);
}

/** The device leaves the machine; its group with its last member. */
export function removeDevice(x: Exec, dev: DeviceId): void {
	const devs = new Map(x.host.devs);
	const group = devs.get(dev)?.group;
	devs.delete(dev);
	const groups = new Map(x.host.groups);
	const g = group === undefined ? undefined : groups.get(group);
	if (g !== undefined) {
		const members = g.members.filter((m) => m !== dev);
		if (members.length === 0) groups.delete(g.group);
		else groups.set(g.group, { ...g, members });
		emit(x, fact("grp.member.removed", g.group, { group: g.group, dev }));
	}
	x.host = { ...x.host, devs, groups };
}

/**
 * The last file reference of a context goes: sweep after sweep destroys what only the id table holds. What is left after a fruitless
 * sweep is a leak (facts §1.6). Returns the ids that leaked; none in a correct run.
 */
export function closeContext(x: Exec): readonly number[] {
	for (;;) {
		const ids = [...ctxOf(x).objs.values()].filter((o) => o.u === 1);
		let freed = 0;
		for (const { id } of ids.reverse())
			if (ctxOf(x).objs.get(id)?.u === 1) {
				if (destroyObject(x, id).errno === undefined) freed++;
			}
		if (freed === 0) break;
	}
	const leaked = [...ctxOf(x).objs.keys()];
	const ctxs = new Map(x.host.ctxs);
	ctxs.delete(x.ctx);
	x.host = { ...x.host, ctxs };
	emit(x, fact("ctx.closed", x.ctx, { ctx: x.ctx }));
	return leaked;
}
