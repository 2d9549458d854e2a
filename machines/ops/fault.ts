/**
 * The I/O page fault queue (drivers/iommu/iommufd/fault.c, drivers/iommu/io-pgfault.c). Facts: iommufd-semantics.md §2.15.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { answerFaults, answered } from "./fault-answer.ts";
import { driverOf, hwptOfDomain, idevOfDevice } from "./entities.ts";
import type { Exec, Step } from "./exec.ts";
import {
	addUsers,
	ctxOf,
	domainOf,
	emit,
	freeId,
	groupOf,
	objOf,
	publish,
	putObj,
	refused,
	reserveId,
	runSteps,
} from "./exec.ts";
import { respStep, type Respond } from "./ioas.ts";
import type {
	Answer,
	FaultGroup,
	FaultQueue,
	Idev,
	PageFault,
} from "./types.ts";

/** Flag bits of a page request as user space reads them (include/uapi/linux/iommufd.h). */
export const FAULT_FLAG = { PASID_VALID: 1, LAST_PAGE: 2 } as const;
/** Sizes of one record read and one response written, in bytes. */
export const FAULT_BYTES = 40;
export const RESPONSE_BYTES = 8;

interface AllocLocal {
	readonly respond: Respond;
	id: number;
}
const ALLOC: readonly Step<AllocLocal>[] = [
	{
		name: "object.alloc",
		fails: "ENOMEM",
		run: (x, l) => {
			l.id = reserveId<FaultQueue>(x, "fault", (base) => ({
				...base,
				type: "fault",
				deliver: [],
				response: [],
				fileOpen: false,
			})).id;
		},
		undo: (x, l) => freeId(x, l.id, true),
	},
	{
		name: "file.open",
		fails: "ENOMEM",
		run: (x, l) => {
			putObj(x, { ...objOf(x, l.id, "fault"), fileOpen: true });
			addUsers(x, l.id, 1, "file");
		},
		undo: (x, l) => addUsers(x, l.id, -1, "file", true),
	},
	respStep(),
	{
		name: "publish",
		run: (x, l) => {
			publish(x, l.id);
			const fq = objOf(x, l.id, "fault").name;
			emit(x, fact("fault.queue.created", fq, { fq }));
		},
	},
];

/** FAULT_QUEUE_ALLOC. The file descriptor is the caller's table's to choose. */
export function faultQueueAlloc(
	x: Exec,
	flags: number,
	respond: Respond,
): Answer {
	if (flags !== 0) return refused("EOPNOTSUPP", "flags");
	const local: AllocLocal = { respond, id: 0 };
	return runSteps(x, local, ALLOC) ?? { out: { out_fault_id: local.id } };
}

/** The last close of a queue's file. */
export function closeFaultFile(x: Exec, id: number): void {
	putObj(x, { ...objOf(x, id, "fault"), fileOpen: false });
	addUsers(x, id, -1, "file");
}

/**
 * A device reports a page request group of one. It goes to the queue of the hwpt whose handle the group holds; a request with a PASID
 * reaches it only where the PASID table is the user's and the hwpt is nested. Without a listener it is dropped.
 */
export function reportFault(x: Exec, idev: Idev, request: PageFault): void {
	const grpid = request.grpid;
	const handle = groupOf(x, idev.group).handles["none"];
	const pasid = request.pasid === 0 ? "none" : String(request.pasid);
	emit(x, fact("fault.reported", idev.dev, { dev: idev.dev, pasid, grpid }));
	const hwpt = handle === undefined ? undefined : hwptOfDomain(x, handle.dom);
	if (handle === undefined || hwpt?.fault === undefined) return;
	const { ops } = driverOf(x, idev.dev);
	const nested = domainOf(x, hwpt.dom).kind === "nested";
	if (request.pasid !== 0 && !(ops.userPasidTable && nested)) return;
	const fq = objOf(x, hwpt.fault, "fault");
	const group: FaultGroup = {
		devId: idevOfDevice(x, handle.dev)?.id ?? idev.id,
		dev: idev.dev,
		hwpt: hwpt.id,
		grpid,
		faults: [request],
	};
	putObj(x, { ...fq, deliver: [...fq.deliver, group] });
	emit(x, fact("fault.queued", fq.name, { fq: fq.name, dev: idev.dev, grpid }));
}

/** A page request as read returns it. */
export interface ReadFault {
	readonly flags: number;
	readonly dev_id: number;
	readonly pasid: number;
	readonly grpid: number;
	readonly perm: number;
	readonly addr: bigint;
	readonly length: number;
	readonly cookie: number;
}

/** read() of a queue file: whole groups only; bytes read or the errno. Never blocks. */
export function readFaults(
	x: Exec,
	id: number,
	length: number,
	respond: Respond,
):
	| { readonly bytes: number; readonly faults: readonly ReadFault[] }
	| { readonly errno: ErrnoName } {
	if (length % FAULT_BYTES !== 0) return { errno: "ESPIPE" };
	const faults: ReadFault[] = [];
	let bytes = 0;
	for (;;) {
		const fq = objOf(x, id, "fault");
		const group = fq.deliver[0];
		if (group === undefined) break;
		const need = group.faults.length * FAULT_BYTES;
		if (need > length - bytes)
			return bytes > 0 || faults.length > 0
				? { bytes, faults }
				: { errno: "EINVAL" };
		const errno =
			x.env.fail?.("cookie.alloc") ?? x.env.fail?.("resp") ?? respond();
		if (errno !== undefined) return bytes > 0 ? { bytes, faults } : { errno };
		let cookie = 1;
		while (fq.response.some((g) => g.cookie === cookie)) cookie++;
		const response = [...fq.response, { ...group, cookie }];
		putObj(x, { ...fq, deliver: fq.deliver.slice(1), response });
		const { dev, grpid } = group;
		emit(x, fact("fault.read", fq.name, { fq: fq.name, cookie, dev, grpid }));
		for (const f of group.faults)
			faults.push({ ...f, dev_id: group.devId, length: 0, cookie });
		bytes += need;
	}
	return { bytes, faults };
}

/** write() to a queue file: answers groups by cookie; bytes done or the errno of the first bad response. */
export function writeResponses(
	x: Exec,
	id: number,
	length: number,
	responses:
		| readonly { readonly cookie: number; readonly code: number }[]
		| undefined,
): { readonly bytes: number } | { readonly errno: ErrnoName } {
	if (length % RESPONSE_BYTES !== 0) return { errno: "ESPIPE" };
	if (length === 0) return { bytes: 0 };
	if (responses === undefined) return { errno: "EFAULT" };
	let bytes = 0;
	for (const { cookie, code } of responses) {
		const fq = objOf(x, id, "fault");
		const group = fq.response.find((g) => g.cookie === cookie);
		if ((code !== 0 && code !== 1) || group === undefined)
			return bytes > 0 ? { bytes } : { errno: "EINVAL" };
		putObj(x, { ...fq, response: fq.response.filter((g) => g !== group) });
		answered(x, fq, group, code === 0 ? "SUCCESS" : "INVALID", "user");
		bytes += RESPONSE_BYTES;
	}
	return { bytes };
}

/** Ends a fault queue that nobody uses. */
export function destroyFaultQueue(x: Exec, id: number): void {
	answerFaults(x, id, () => true, "destroy");
	freeId(x, id);
}

/** Whether a context still has an open queue file: it holds the context's file. */
export const hasOpenFaultFile = (x: Exec): boolean =>
	[...ctxOf(x).objs.values()].some((o) => o.type === "fault" && o.fileOpen);
