/**
 * VFIO type1 ioctls on an iommufd file (drivers/iommu/iommufd/vfio_compat.c): recorded fields in, model operation, fields out.
 */
import type { CapPiece } from "../../../machines/ops/compat.ts";
import {
	checkExtension,
	getInfo,
	mapDma,
	setIommu,
	unmapDma,
} from "../../../machines/ops/compat.ts";
import { respondAlways } from "../../../machines/ops/ioas.ts";
import { overlay } from "./abi.ts";
import type { Reply } from "./call.ts";
import { hex, integer, refusal, replyOf } from "./call.ts";
import type { Incoming } from "./iommufd-calls.ts";

/** An integer argument; the kernel compares all of it with the numbers it knows. */
const argOf = (c: Incoming): number =>
	typeof c.record["arg"] === "number"
		? c.record["arg"]
		: Number(integer(c.record, "arg"));

/** struct vfio_iommu_type1_info has this many bytes; cap_offset begins at the second number. */
const INFO_BYTES = 24;
const CAP_OFFSET_AT = 16;

/** Commands whose argument is a number. */
const NUMBERED: { readonly [cmd: string]: (c: Incoming) => Reply } = {
	VFIO_GET_API_VERSION: () => ({ ret: 0, errno: null }),
	VFIO_CHECK_EXTENSION: (c) => {
		const answer = c.session.run(c.ctx, c.proc, (x) =>
			checkExtension(x, argOf(c)),
		);
		return replyOf(answer, answer.ret);
	},
	VFIO_SET_IOMMU: (c) =>
		replyOf(c.session.run(c.ctx, c.proc, (x) => setIommu(x, argOf(c)))),
};
/** Commands with a structure: EFAULT when it is not readable. */
const STRUCTURED: { readonly [cmd: string]: (c: Incoming) => Reply } = {
	VFIO_IOMMU_MAP_DMA: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				mapDma(x, {
					argsz: c.in.num("argsz"),
					flags: c.in.num("flags"),
					vaddr: c.in.big("vaddr"),
					iova: c.in.big("iova"),
					size: c.in.big("size"),
				}),
			),
		),
	VFIO_IOMMU_UNMAP_DMA: (c) =>
		replyOf(
			c.session.run(c.ctx, c.proc, (x) =>
				unmapDma(x, {
					argsz: c.in.num("argsz"),
					flags: c.in.num("flags"),
					iova: c.in.big("iova"),
					size: c.in.big("size"),
					respond: respondAlways,
				}),
			),
		),
	VFIO_IOMMU_GET_INFO: getTypeInfo,
};

function getTypeInfo(c: Incoming): Reply {
	const argsz = c.in.num("argsz");
	const answer = c.session.run(c.ctx, c.proc, (x) => getInfo(x, argsz));
	const { info } = answer;
	if (info === undefined) return replyOf(answer);
	const covered = Math.min(argsz, INFO_BYTES) - CAP_OFFSET_AT;
	const offset = overlay(
		c.in.big("cap_offset"),
		BigInt(info.capOffset),
		covered,
	);
	return {
		ret: 0,
		errno: null,
		out: {
			argsz: info.argsz,
			flags: info.flags,
			iova_pgsizes: hex(info.pgsizes),
			cap_offset: Number(offset),
		},
		...(argsz > INFO_BYTES ? { caps: shownCaps(c, info.caps) } : {}),
	};
}

/**
 * The bytes behind the structure that the recording shows: what the kernel wrote over what was there before the call. Of that a
 * recording shows the beginning; the rest is taken as it was found afterwards.
 */
function shownCaps(c: Incoming, written: readonly CapPiece[]): string {
	const after = Buffer.from(String(c.record["out_caps"] ?? ""), "hex");
	const shown = Buffer.from(after);
	Buffer.from(String(c.record["in_extra"] ?? ""), "hex").copy(shown);
	for (const { at, bytes } of written)
		if (at < shown.length) shown.set(bytes.subarray(0, shown.length - at), at);
	return shown.toString("hex");
}

/** Runs one VFIO command on an iommufd. Undefined: the table has no such command. */
export function vfioCall(cmd: string, c: Incoming): Reply | undefined {
	if (Object.hasOwn(NUMBERED, cmd)) return NUMBERED[cmd]?.(c);
	if (!Object.hasOwn(STRUCTURED, cmd)) return undefined;
	return c.record["in"] === undefined
		? refusal("EFAULT")
		: STRUCTURED[cmd]?.(c);
}
