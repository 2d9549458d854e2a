/**
 * The user-space calls of a kernel recording (calls.ndjson; facts/trace-formats.md §2): arguments in, model operation, outputs out.
 * What a call says about files (numbers, which device a file is) is taken from the recording: it is the program's, not the answer's.
 */
import type { CtxId } from "../../vocabulary/ids.ts";
import { destroyObject } from "../../../machines/ops/destroy.ts";
import { getHwInfo } from "../../../machines/ops/device-info.ts";
import { hwptInvalidate } from "../../../machines/ops/device-info.ts";
import type { Exec } from "../../../machines/ops/exec.ts";
import { hwptAlloc } from "../../../machines/ops/hwpt.ts";
import {
	allowIovas,
	iovaRanges,
	option,
	respondAlways,
} from "../../../machines/ops/ioas.ts";
import { ioasCopy, ioasMap, ioasUnmap } from "../../../machines/ops/map.ts";
import { allocIoas } from "../../../machines/ops/transact.ts";
import type { Answer } from "../../../machines/ops/types.ts";
import {
	attachCdev,
	bindCdev,
	closeCdev,
	detachCdev,
} from "../../../machines/ops/vfio-cdev.ts";
import type { Reply } from "./call.ts";
import type { TraceCall } from "./trace-call.ts";
import { big, devOf, groupOf, num, shown } from "./trace-call.ts";
import { LEGACY } from "./trace-legacy-calls.ts";
import { hex, hexRanges, refusal, replyOf } from "./call.ts";
import type { TraceSession } from "./trace-session.ts";

type Handler = (s: TraceSession, c: TraceCall) => Reply;

/** Runs an operation on the context behind `iommufd`; EBADF when that file is not open. */
function onIommufd(
	s: TraceSession,
	c: TraceCall,
	body: (x: Exec) => Answer,
): Reply {
	const file = s.files.get(num(c, "iommufd"));
	if (file?.kind !== "iommufd") return refusal("EBADF");
	return replyOf(s.run(file.ctx, 0, body));
}

function ctxOfDevice(s: TraceSession, c: TraceCall): CtxId | undefined {
	const file = s.devFiles.get(num(c, "fd"));
	return file?.ctx;
}

const HANDLERS: { readonly [call: string]: Handler } = {
	OPEN_IOMMUFD: (s, c) => s.openRecorded(c, () => s.openIommufdAt(c.ret)),
	CLOSE_IOMMUFD: (s, c) =>
		s.close(num(c, "fd"), 0) ? replyOf({}) : refusal("EBADF"),
	OPEN_CDEV: (s, c) =>
		s.openRecorded(c, () => {
			s.place(devOf(c), groupOf(c));
			s.devFiles.set(c.ret, { dev: devOf(c) });
		}),
	CLOSE_CDEV: (s, c) => {
		const fd = num(c, "fd");
		const file = s.devFiles.get(fd);
		if (file === undefined) return refusal("EBADF");
		s.devFiles.delete(fd);
		const { ctx } = file;
		if (ctx === undefined) return replyOf({});
		s.run(ctx, 0, (x): Answer => {
			closeCdev(x, file.dev);
			return {};
		});
		s.release(ctx, 0);
		return replyOf({});
	},
	VFIO_DEVICE_BIND_IOMMUFD: (s, c) => {
		const fd = num(c, "fd");
		const file = s.devFiles.get(fd);
		if (file === undefined) return refusal("EBADF");
		const group = s.host.devs.get(file.dev)?.group;
		if (group !== undefined && s.groupOpen(group))
			return shown(refusal("EBUSY"), "", "dev_id", 0);
		const bound = (): boolean =>
			[...s.devFiles.values()].some(
				(f) => f.dev === file.dev && f.ctx !== undefined,
			);
		if (file.ctx !== undefined)
			return shown(refusal("EINVAL"), "", "dev_id", 0);
		const target = s.files.get(num(c, "iommufd"));
		if (target?.kind !== "iommufd")
			return shown(refusal("EBADFD"), "", "dev_id", 0);
		const reply = replyOf(
			s.run(target.ctx, 0, (x) =>
				bindCdev(x, file.dev, bound(), respondAlways),
			),
		);
		if (reply.errno === null)
			s.devFiles.set(fd, { dev: file.dev, ctx: target.ctx });
		return shown(reply, "dev_id", "dev_id", 0);
	},
	VFIO_DEVICE_ATTACH_IOMMUFD_PT: (s, c) => {
		const ctx = ctxOfDevice(s, c);
		if (ctx === undefined) return shown(refusal("EINVAL"), "", "pt_id", 0);
		const respond = () =>
			c.args["arg_readonly"] === 1 ? ("EFAULT" as const) : undefined;
		const reply = replyOf(
			s.run(ctx, 0, (x) => attachCdev(x, devOf(c), num(c, "pt_id"), respond)),
		);
		const out = shown(reply, "pt_id", "pt_id", 0);
		return "fault_injected" in c.out
			? { ...out, out: { ...out.out, fault_injected: c.out["fault_injected"] } }
			: out;
	},
	VFIO_DEVICE_DETACH_IOMMUFD_PT: (s, c) => {
		const ctx = ctxOfDevice(s, c);
		if (ctx === undefined) return refusal("EINVAL");
		return replyOf(s.run(ctx, 0, (x) => detachCdev(x, devOf(c))));
	},
	IOMMU_IOAS_ALLOC: (s, c) =>
		shown(
			onIommufd(s, c, (x) => allocIoas(x, 0, respondAlways)),
			"out_ioas_id",
			"ioas_id",
			0,
		),
	IOMMU_DESTROY: (s, c) =>
		num({ ...c, args: { size: 8, ...c.args } }, "size") < 8
			? refusal("EINVAL")
			: onIommufd(s, c, (x) => destroyObject(x, num(c, "id"))),
	IOMMU_HWPT_ALLOC: (s, c) =>
		shown(
			onIommufd(s, c, (x) =>
				hwptAlloc(x, {
					flags: num(c, "flags"),
					devId: num(c, "dev_id"),
					ptId: num(c, "pt_id"),
					reserved: 0,
					data: { type: 0, length: 0 },
					faultId: 0,
					respond: respondAlways,
				}),
			),
			"out_hwpt_id",
			"hwpt_id",
			0,
		),
	IOMMU_IOAS_MAP: (s, c) =>
		shown(
			onIommufd(s, c, (x) =>
				ioasMap(x, {
					flags: num(c, "flags"),
					ioasId: num(c, "ioas_id"),
					reserved: 0,
					userVa: big(c, "user_va"),
					length: big(c, "length"),
					iova: big(c, "iova"),
					respond: respondAlways,
				}),
			),
			"iova",
			"iova",
			c.args["iova"],
		),
	IOMMU_IOAS_UNMAP: (s, c) =>
		shown(
			onIommufd(s, c, (x) =>
				ioasUnmap(x, {
					ioasId: num(c, "ioas_id"),
					iova: big(c, "iova"),
					length: big(c, "length"),
					respond: respondAlways,
				}),
			),
			"length",
			"unmapped",
			c.args["length"],
		),
	IOMMU_IOAS_COPY: (s, c) =>
		shown(
			onIommufd(s, c, (x) =>
				ioasCopy(x, {
					flags: num(c, "flags"),
					dstId: num(c, "dst_ioas_id"),
					srcId: num(c, "src_ioas_id"),
					length: big(c, "length"),
					dstIova: big(c, "dst_iova"),
					srcIova: big(c, "src_iova"),
					respond: respondAlways,
				}),
			),
			"dst_iova",
			"dst_iova",
			c.args["dst_iova"],
		),
	IOMMU_IOAS_IOVA_RANGES: ioasRanges,
	IOMMU_IOAS_ALLOW_IOVAS: (s, c) => {
		const list = c.args["ranges"] as [string, string][];
		const ranges = list.map(([a, b]) => ({
			start: BigInt(a),
			last: BigInt(b),
		}));
		return onIommufd(s, c, (x) =>
			allowIovas(x, { ioasId: num(c, "ioas_id"), reserved: 0, ranges }),
		);
	},
	IOMMU_OPTION: (s, c) =>
		onIommufd(s, c, (x) =>
			option(x, {
				option: c.args["option"] === "HUGE_PAGES" ? 1 : 0,
				op: 0,
				reserved: 0,
				objectId: num(c, "object_id"),
				val: BigInt(num(c, "val")),
			}),
		),
	IOMMU_GET_HW_INFO: hwInfo,
	IOMMU_HWPT_INVALIDATE: (s, c) => {
		const reply = onIommufd(s, c, (x) =>
			hwptInvalidate(x, {
				reserved: 0,
				hwptId: num(c, "hwpt_id"),
				dataUptr: 0n,
				dataType: 0,
				entryLen: 0,
				entryNum: 0,
				bytes: undefined,
				respond: respondAlways,
			}),
		);
		return { ret: reply.ret, errno: reply.errno };
	},
	IOMMU_BADNR: () => refusal("ENOTTY"),
	...LEGACY,
};

/** The program asks with a buffer that is large enough. */
const RANGES_ASKED = 1024;

function ioasRanges(s: TraceSession, c: TraceCall): Reply {
	let ranges: Reply["ranges"] = [];
	const reply = onIommufd(s, c, (x) => {
		const answer = iovaRanges(x, {
			ioasId: num(c, "ioas_id"),
			num: RANGES_ASKED,
			reserved: 0,
			write: () => undefined,
		});
		ranges = hexRanges(answer.ranges ?? []);
		return answer;
	});
	if (reply.errno !== null) return reply;
	const align = Number(BigInt(String(reply.out?.["out_iova_alignment"])));
	return { ...reply, out: { ranges, align } };
}

function hwInfo(s: TraceSession, c: TraceCall): Reply {
	let shownBytes = new Uint8Array(24);
	const reply = onIommufd(s, c, (x) =>
		getHwInfo(x, {
			flags: 0,
			reserved: 0,
			devId: num(c, "dev_id"),
			dataLen: shownBytes.length,
			write: (bytes) => {
				shownBytes.set(bytes);
				return undefined;
			},
			respond: respondAlways,
		}),
	);
	const view = new DataView(shownBytes.buffer);
	const ok = reply.errno === null;
	const register = (at: number): string =>
		hex(ok ? view.getBigUint64(at, true) : 0n);
	return {
		...reply,
		out: {
			type: ok ? reply.out?.["out_data_type"] : 0,
			caps: ok ? reply.out?.["out_capabilities"] : "0x0",
			cap_reg: register(8),
			ecap_reg: register(16),
		},
	};
}

/** Runs a call; undefined: the model does not know it. */
export function traceCall(s: TraceSession, c: TraceCall): Reply | undefined {
	return Object.hasOwn(HANDLERS, c.call) ? HANDLERS[c.call]?.(s, c) : undefined;
}
