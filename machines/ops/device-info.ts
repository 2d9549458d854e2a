/**
 * GET_HW_INFO and HWPT_INVALIDATE: what goes to the driver with user data (drivers/iommu/iommufd/device.c:iommufd_get_hw_info,
 * hw_pagetable.c:iommufd_hwpt_invalidate). Facts: iommufd-semantics.md §2.10; corpus page §4, rule 21.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { driverOf } from "./entities.ts";
import type { Exec } from "./exec.ts";
import { domainOf, emit, lookUp, putDomain, refused } from "./exec.ts";
import type { Respond } from "./ioas.ts";
import type { Answer, Hwpt } from "./types.ts";

/** GET_HW_INFO. `write` copies bytes to the caller's buffer of `dataLen` bytes and zero-fills the rest of it. */
export function getHwInfo(
	x: Exec,
	args: {
		readonly flags: number;
		readonly reserved: number;
		readonly devId: number;
		readonly dataLen: number;
		readonly write: (bytes: Uint8Array) => ErrnoName | undefined;
		readonly respond: Respond;
	},
): Answer {
	if (args.flags !== 0 || args.reserved !== 0)
		return refused("EOPNOTSUPP", "flags");
	const idev = lookUp(x, args.devId, "idev");
	if (idev === undefined) return refused("ENOENT", "device");
	const { dev, ops } = driverOf(x, idev.dev);
	if (x.env.fail?.("hwinfo.alloc") !== undefined)
		return refused("ENOMEM", "hwinfo.alloc");
	const info = ops.hwInfo(dev);
	const bytes = info?.bytes ?? new Uint8Array(0);
	const shown = bytes.subarray(0, args.dataLen);
	const errno = args.write(shown) ?? x.env.fail?.("resp") ?? args.respond();
	if (errno !== undefined) return refused(errno, "resp");
	return {
		out: {
			data_len: bytes.length,
			out_data_type: info?.type ?? 0,
			out_capabilities: ops.tracksDirty(dev) ? 1n : 0n,
			out_max_pasid_log2: 0,
		},
	};
}

/** Bounds of one invalidation request (facts S5). */
const ENTRY_LEN_MAX = 4096;
const ENTRY_NUM_MAX = 1 << 19;

/** HWPT_INVALIDATE; entry_num is always written back: what was done, 0 on an early error. */
export function hwptInvalidate(
	x: Exec,
	args: {
		readonly reserved: number;
		readonly hwptId: number;
		readonly dataUptr: bigint;
		readonly dataType: number;
		readonly entryLen: number;
		readonly entryNum: number;
		/** The entries; undefined = the array is not readable. */
		readonly bytes: Uint8Array | undefined;
		readonly respond: Respond;
	},
): Answer {
	const early = (errno: ErrnoName, step: string): Answer =>
		respond(x, args.respond, { errno, step, done: 0 });
	if (args.reserved !== 0) return early("EOPNOTSUPP", "reserved");
	const { entryNum, entryLen } = args;
	if (
		entryNum > 0 &&
		(args.dataUptr === 0n ||
			entryLen === 0 ||
			entryLen > ENTRY_LEN_MAX ||
			entryNum > ENTRY_NUM_MAX)
	)
		return early("EINVAL", "entries");
	const h = lookUp(x, args.hwptId, "hwpt");
	if (h?.kind !== "nested") return early("ENOENT", "hwpt");
	return respond(x, args.respond, {
		...invalidate(x, h, args),
		step: "driver",
	});
}

function invalidate(
	x: Exec,
	h: Hwpt,
	args: {
		readonly dataType: number;
		readonly entryLen: number;
		readonly entryNum: number;
		readonly bytes: Uint8Array | undefined;
	},
): { readonly done: number; readonly errno?: ErrnoName } {
	const dom = domainOf(x, h.dom);
	const run = x.env.drivers[dom.driver]?.invalidate;
	if (run === undefined) return { done: 0, errno: "EOPNOTSUPP" };
	const { dataType, entryLen, entryNum, bytes } = args;
	const result = run(dom, dataType, entryLen, entryNum, bytes);
	putDomain(x, { ...dom, iotlb: result.iotlb });
	const errno = result.errno === undefined ? {} : { errno: result.errno };
	const data = { hwpt: h.name, asked: entryNum, done: result.done, ...errno };
	emit(x, fact("hwpt.invalidated", h.name, data));
	return result;
}

function respond(
	x: Exec,
	copy: Respond,
	result: {
		readonly errno?: ErrnoName;
		readonly step: string;
		readonly done: number;
	},
): Answer {
	const unwritable = x.env.fail?.("resp") ?? copy();
	if (unwritable !== undefined) return refused(unwritable, "resp");
	const out = { entry_num: result.done };
	return result.errno === undefined
		? { out }
		: { errno: result.errno, step: result.step, out };
}
