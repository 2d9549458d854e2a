/**
 * An IOAS asks its accesses to let go of a range (drivers/iommu/iommufd/device.c:iommufd_access_notify_unmap). The access here is the
 * cooperative one of the selftest (selftest.c:iommufd_test_access_unmap): it drops every pin that meets the range.
 */
import { u64 } from "../../src/vocabulary/fields.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { Fact } from "../../src/vocabulary/records.ts";
import type { NotifyAccesses } from "../iopt-unmap.ts";
import { naccAt } from "../iopt.ts";
import { unpinRange } from "../iopt-access.ts";
import type { Exec } from "./exec.ts";
import { ctxOf, putObj } from "./exec.ts";
import type { Access } from "./types.ts";

/** What tells the accesses of IOAS `ioasId` to unpin; in id order. */
export function notifyAccesses(x: Exec, ioasId: number): NotifyAccesses {
	return (iopt, mem, iova, length) => {
		const facts: Fact[] = [];
		const last = iova + length - 1n;
		let now = { iopt, mem };
		for (const obj of ctxOf(x).objs.values()) {
			if (obj.type !== "access" || obj.ioasUnpin !== ioasId) continue;
			const access: Access = obj;
			const name = access.name;
			facts.push(
				fact("access.notified", name, {
					access: name,
					iova: u64(iova),
					len: u64(length),
				}),
			);
			const items = access.items.filter(
				(item) => item.iova > last || item.last < iova,
			);
			for (const item of access.items) {
				if (items.includes(item)) continue;
				const done = unpinRange(now.iopt, now.mem, item.iova, item.last);
				now = { iopt: done.iopt, mem: done.mem };
				facts.push(
					fact("access.unpinned", name, {
						access: name,
						ioas: ioasNameOf(x, ioasId),
						iova: u64(item.iova),
						len: u64(item.last - item.iova + 1n),
						nacc: naccAt(done.iopt, item.iova),
					}),
					...done.facts,
				);
			}
			if (items.length < access.items.length) putObj(x, { ...access, items });
		}
		return { ...now, facts };
	};
}

function ioasNameOf(x: Exec, id: number) {
	const obj = ctxOf(x).objs.get(id);
	if (obj?.type !== "ioas") throw new Error(`id ${id} is not an IOAS`);
	return obj.name;
}
