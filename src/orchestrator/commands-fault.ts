/** Commands about nested hwpts and fault queues; they run on plain state (plain.ts). */
import {
	closeFaultFile,
	FAULT_BYTES,
	FAULT_FLAG,
	faultQueueAlloc,
	readFaults,
	reportFault,
	RESPONSE_BYTES,
	writeResponses,
} from "../../machines/ops/fault.ts";
import { hwptInvalidate } from "../../machines/ops/device-info.ts";
import type { UserData } from "../../machines/ops/driver.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import { lookUp, refused } from "../../machines/ops/exec.ts";
import { hwptAlloc } from "../../machines/ops/hwpt.ts";
import type { Answer, FaultQueue } from "../../machines/ops/types.ts";
import { idevOfDevice } from "../../machines/ops/entities.ts";
import type { CtxId, DeviceId } from "../vocabulary/ids.ts";
import type { Of } from "./commands-plain.ts";
import { fromHex, plainly } from "./commands-plain.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";

/** User data of a driver: `bytes` as hex digits without 0x. */
export interface HexData {
	readonly type: number;
	readonly bytes: string;
}

/** Arguments by operation. */
export interface FaultArgs {
	/** IOMMU_FAULT_QUEUE_ALLOC; its file is open until faultQueueClose. */
	readonly faultQueueAlloc: Of<object>;
	/** The queue's file is closed. */
	readonly faultQueueClose: Of<{ readonly fault: number }>;
	/** A device asks for a page. `perm`: 1 read, 2 write, 4 exec, 8 privileged. */
	readonly pageRequest: Of<{
		readonly dev: DeviceId;
		readonly grpid: number;
		readonly addr: string;
		readonly perm: number;
		readonly pasid?: number;
	}>;
	/** read() of the queue; `max` requests at most (default 16). */
	readonly faultRead: Of<{ readonly fault: number; readonly max?: number }>;
	/** write() to the queue; `code`: 0 success, 1 invalid. */
	readonly faultAnswer: Of<{
		readonly fault: number;
		readonly cookie: number;
		readonly code: number;
	}>;
	/** HWPT_INVALIDATE: `entries` are bytes as hex digits, each `entryLen` long. */
	readonly invalidate: Of<{
		readonly hwpt: number;
		readonly type: number;
		readonly entryLen: number;
		readonly entries: string;
	}>;
}

/** Bytes of hex digits. Throws RangeError for anything else. */
function bytesOf(digits: string): Uint8Array {
	if (!/^([0-9a-f]{2})*$/i.test(digits))
		throw new RangeError(`not bytes in hex: ${JSON.stringify(digits)}`);
	return Uint8Array.from(Buffer.from(digits, "hex"));
}
/** User data as a driver gets it. */
export function userData(data: HexData | undefined): UserData {
	if (data === undefined) return { type: 0, length: 0 };
	const bytes = bytesOf(data.bytes);
	return { type: data.type, length: bytes.length, bytes };
}
const writable = (): undefined => undefined;

/** HWPT_ALLOC of a nested hwpt on the paging hwpt `pt`. */
export const allocNested = (
	x: Executor,
	ctx: CtxId,
	args: {
		readonly idev: number;
		readonly pt: number;
		readonly flags: number;
		readonly data: UserData;
		readonly fault: number;
	},
): Outcome =>
	plainly(
		x,
		ctx,
		(exec) =>
			hwptAlloc(exec, {
				flags: args.flags,
				devId: args.idev,
				ptId: args.pt,
				reserved: 0,
				data: args.data,
				faultId: args.fault,
				respond: writable,
			}),
		({ out }) => ({ hwpt: Number(out?.["out_hwpt_id"]) }),
	);

/** Runs something with an open queue; EBADF when there is none. */
const withQueue =
	<A extends Answer>(id: number, run: (exec: Exec, fq: FaultQueue) => A) =>
	(exec: Exec): A | Answer => {
		const fq = lookUp(exec, id, "fault");
		return fq === undefined || !fq.fileOpen
			? refused("EBADF", "file")
			: run(exec, fq);
	};

type Handlers = {
	readonly [O in keyof FaultArgs]: (x: Executor, args: FaultArgs[O]) => Outcome;
};

/** The commands. */
export const FAULT_HANDLERS: Handlers = {
	faultQueueAlloc: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) => faultQueueAlloc(exec, 0, writable),
			({ out }) => ({ fault: Number(out?.["out_fault_id"]) }),
		),
	faultQueueClose: (x, args) =>
		plainly(
			x,
			args.ctx,
			withQueue(args.fault, (exec, fq): Answer => {
				closeFaultFile(exec, fq.id);
				return {};
			}),
		),
	pageRequest: (x, args) =>
		plainly(x, args.ctx, (exec) => {
			const idev = idevOfDevice(exec, args.dev);
			if (idev === undefined) return refused("ENOENT", "device");
			const pasid = args.pasid ?? 0;
			reportFault(exec, idev, {
				pasid,
				grpid: args.grpid,
				perm: args.perm,
				addr: fromHex(args.addr),
				flags:
					FAULT_FLAG.LAST_PAGE | (pasid === 0 ? 0 : FAULT_FLAG.PASID_VALID),
			});
			return {};
		}),
	faultRead: (x, args) =>
		plainly(
			x,
			args.ctx,
			withQueue(args.fault, (exec, fq): Answer => {
				const length = FAULT_BYTES * (args.max ?? 16);
				const got = readFaults(exec, fq.id, length, writable);
				return "errno" in got
					? refused(got.errno, "read")
					: { out: { faults: got.faults } };
			}),
			({ out }) => ({
				faults: ((out?.["faults"] ?? []) as readonly { addr: bigint }[]).map(
					(f) => ({ ...f, addr: `0x${f.addr.toString(16)}` }),
				),
			}),
		),
	faultAnswer: (x, args) =>
		plainly(
			x,
			args.ctx,
			withQueue(args.fault, (exec, fq): Answer => {
				const { cookie, code } = args;
				const got = writeResponses(exec, fq.id, RESPONSE_BYTES, [
					{ cookie, code },
				]);
				return "errno" in got ? refused(got.errno, "write") : {};
			}),
		),
	invalidate: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) => {
				const bytes = bytesOf(args.entries);
				const { entryLen } = args;
				return hwptInvalidate(exec, {
					reserved: 0,
					hwptId: args.hwpt,
					dataUptr: 1n,
					dataType: args.type,
					entryLen,
					entryNum: entryLen === 0 ? 0 : Math.floor(bytes.length / entryLen),
					bytes,
					respond: writable,
				});
			},
			({ out }) => ({ done: Number(out?.["entry_num"]) }),
		),
};
