/**
 * In-kernel accesses (drivers/iommu/iommufd/device.c:iommufd_access_*). Facts: iommufd-semantics.md §2.14.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { IOVA_LAST, naccAt } from "../iopt.ts";
import type { CopyPages } from "../iopt-access.ts";
import {
	addAccess,
	pinRange,
	removeAccess,
	rwRange,
	unpinRange,
} from "../iopt-access.ts";
import { PAGE_SIZE } from "../iopt-pages.ts";
import type { Exec } from "./exec.ts";
import {
	addUsers,
	EOK,
	emit,
	freeId,
	lookUp,
	objOf,
	publish,
	putObj,
	refused,
	reserveId,
	settleIopt,
} from "./exec.ts";
import type { Access, Answer, Ioas } from "./types.ts";

/** Makes an access (iommufd_access_create): its creator holds it, so IOMMU_DESTROY answers EBUSY. Undefined: no memory. */
export function createAccess(x: Exec, pinning: boolean): Access | undefined {
	if (x.env.fail?.("object.alloc") !== undefined) return undefined;
	const made = reserveId<Access>(x, "access", (base) => ({
		...base,
		type: "access",
		pinning,
		items: [],
		nextItem: 0,
	}));
	putObj(x, { ...made, u: 2 });
	publish(x, made.id);
	emit(x, fact("access.created", made.name, { access: made.name, pinning }));
	return objOf(x, made.id, "access");
}

/** Attaches an access to an IOAS by id (iommufd_access_attach). */
export function attachAccess(
	x: Exec,
	access: Access,
	ioasId: number,
): ErrnoName | undefined {
	if (access.ioas !== undefined) return "EINVAL";
	const ioas = lookUp(x, ioasId, "ioas");
	return ioas === undefined ? "ENOENT" : changeIoas(x, access.id, ioas);
}

/** Moves an access to another IOAS by id (iommufd_access_replace). */
export function replaceAccess(
	x: Exec,
	access: Access,
	ioasId: number,
): ErrnoName | undefined {
	if (access.ioas === undefined) return "ENOENT";
	const ioas = lookUp(x, ioasId, "ioas");
	return ioas === undefined ? "ENOENT" : changeIoas(x, access.id, ioas);
}

/** Attach, move or (without `to`) detach (iommufd_access_change_ioas). */
export function changeIoas(
	x: Exec,
	id: number,
	to: Ioas | undefined,
): ErrnoName | undefined {
	const access = objOf(x, id, "access");
	if (access.ioas !== access.ioasUnpin) return "EBUSY";
	const from = access.ioas;
	if (from === to?.id) return undefined;
	const { ioas: _, ...blocked } = access;
	putObj(x, blocked);
	const name = access.name;
	const fromName =
		from === undefined ? {} : { from: objOf(x, from, "ioas").name };
	const toName = to === undefined ? {} : { to: to.name };
	if (to !== undefined) {
		const align = access.pinning ? PAGE_SIZE : 1n;
		const added = addAccess(to.iopt, to.name, { access: name, align }, x.env);
		const errno = settleIopt(x, to, added);
		if (errno !== undefined) {
			putObj(x, access);
			return errno;
		}
		addUsers(x, to.id, 1, "access");
	}
	// Recorded once the new IOAS took it: a refusal leaves the access where it was.
	emit(
		x,
		fact("access.switching", name, { access: name, ...fromName, ...toName }),
	);
	if (from !== undefined) leaveIoas(x, id, from);
	const { ioas: __, ioasUnpin: ___, ...rest } = objOf(x, id, "access");
	putObj(
		x,
		to === undefined ? rest : { ...rest, ioas: to.id, ioasUnpin: to.id },
	);
	if (to !== undefined)
		emit(x, fact("access.attached", name, { access: name, ioas: to.name }));
	return undefined;
}

/** The user lets go of everything, then the access leaves the IOAS' list. */
function leaveIoas(x: Exec, id: number, from: number): void {
	unpinWhere(x, id, () => true);
	const ioas = objOf(x, from, "ioas");
	settleIopt(
		x,
		ioas,
		removeAccess(ioas.iopt, ioas.name, objOf(x, id, "access").name),
	);
	addUsers(x, from, -1, "access");
}

/** Drops the items of an access that `which` selects. */
function unpinWhere(
	x: Exec,
	id: number,
	which: (item: Access["items"][number]) => boolean,
): void {
	const access = objOf(x, id, "access");
	for (const item of access.items.filter(which)) {
		const ioas = objOf(x, access.ioasUnpin as number, "ioas");
		const done = unpinRange(ioas.iopt, x.host.mem, item.iova, item.last);
		emit(
			x,
			fact("access.unpinned", access.name, {
				access: access.name,
				ioas: ioas.name,
				iova: u64(item.iova),
				len: u64(item.last - item.iova + 1n),
				nacc: naccAt(done.iopt, item.iova),
			}),
		);
		settleIopt(x, ioas, { ok: true, ...done });
	}
	const now = objOf(x, id, "access");
	putObj(x, { ...now, items: now.items.filter((item) => !which(item)) });
}

/** Ends an access (iommufd_access_destroy; selftest.c releases its pins first). */
export function destroyAccess(x: Exec, id: number): void {
	const access = objOf(x, id, "access");
	unpinWhere(x, id, () => true);
	if (access.ioas !== undefined) changeIoas(x, id, undefined);
	emit(x, fact("access.gone", access.name, { access: access.name }));
	freeId(x, id);
}

function rangeErrno(iova: bigint, length: bigint): ErrnoName | undefined {
	if (length === 0n) return "EINVAL";
	return iova + length - 1n > IOVA_LAST ? "EOVERFLOW" : undefined;
}

/** Pins a range for an access; the new item's number (iommufd_access_pin_pages). */
export function pinPages(
	x: Exec,
	id: number,
	iova: bigint,
	length: bigint,
	write: boolean,
): Answer & { readonly item?: number } {
	const access = objOf(x, id, "access");
	const bad = rangeErrno(iova, length);
	if (bad !== undefined) return refused(bad, "range");
	if (access.ioas === undefined) return refused("ENOENT", "ioas");
	const ioas = objOf(x, access.ioas, "ioas");
	const last = iova + length - 1n;
	const done = pinRange(ioas.iopt, x.host.mem, iova, last, write, x.env);
	const errno = settleIopt(x, ioas, done);
	if (!done.ok || errno !== undefined)
		return done.ok ? EOK : refused(done.errno, done.step);
	const item = access.nextItem;
	const items = [...access.items, { id: item, iova, last }];
	putObj(x, { ...access, items, nextItem: item + 1 });
	emit(
		x,
		fact("access.pinned", access.name, {
			access: access.name,
			ioas: ioas.name,
			iova: u64(iova),
			len: u64(length),
			nacc: naccAt(done.iopt, iova),
		}),
	);
	return { item };
}

/** Gives one pinned item back; false when there is none of that number. */
export function unpinItem(x: Exec, id: number, item: number): boolean {
	const access = objOf(x, id, "access");
	if (!access.items.some((i) => i.id === item)) return false;
	unpinWhere(x, id, (i) => i.id === item);
	return true;
}

/** Reads or writes through an access (iommufd_access_rw). */
export function accessRw(
	x: Exec,
	id: number,
	iova: bigint,
	length: bigint,
	write: boolean,
	copy: CopyPages,
): Answer {
	const access = objOf(x, id, "access");
	const bad = rangeErrno(iova, length);
	if (bad !== undefined) return refused(bad, "range");
	if (access.ioas === undefined) return refused("ENOENT", "ioas");
	const { iopt } = objOf(x, access.ioas, "ioas");
	const last = iova + length - 1n;
	const done = rwRange(iopt, x.host.mem, iova, last, write, copy);
	emit(
		x,
		fact("access.rw", access.name, {
			access: access.name,
			iova: u64(iova),
			len: u64(length),
			write,
			copied: u64(done.copied),
		}),
	);
	return done.ok ? EOK : refused(done.errno, done.step);
}
