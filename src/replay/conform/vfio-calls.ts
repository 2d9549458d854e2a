/**
 * VFIO type1 ioctls on an iommufd file (drivers/iommu/iommufd/vfio_compat.c): recorded fields in, model operation, fields out.
 */
import {
	checkExtension,
	getInfo,
	mapDma,
	setIommu,
	unmapDma,
} from "../../../machines/ops/compat.ts";
import { respondAlways } from "../../../machines/ops/ioas.ts";
import type { Reply } from "./call.ts";
import { hex, replyOf } from "./call.ts";
import type { Incoming } from "./iommufd-calls.ts";

const argOf = (c: Incoming): number => Number(c.record["arg"]);

const HANDLERS: { readonly [cmd: string]: (c: Incoming) => Reply } = {
	VFIO_GET_API_VERSION: () => ({ ret: 0, errno: null }),
	VFIO_CHECK_EXTENSION: (c) => {
		const answer = c.session.run(c.ctx, c.proc, (x) =>
			checkExtension(x, argOf(c)),
		);
		return replyOf(answer, answer.ret);
	},
	VFIO_SET_IOMMU: (c) =>
		replyOf(c.session.run(c.ctx, c.proc, (x) => setIommu(x, argOf(c)))),
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
	VFIO_IOMMU_GET_INFO: (c) => {
		const argsz = c.in.num("argsz");
		const answer = c.session.run(c.ctx, c.proc, (x) => getInfo(x, argsz));
		const { info } = answer;
		if (info === undefined) return replyOf(answer);
		return {
			ret: 0,
			errno: null,
			out: {
				argsz: info.argsz,
				flags: info.flags,
				iova_pgsizes: hex(info.pgsizes),
				...(info.capOffset === 0 ? {} : { cap_offset: info.capOffset }),
			},
			...(info.caps.length === 0
				? {}
				: { caps: Buffer.from(info.caps).toString("hex") }),
		};
	},
};

/** Runs one VFIO command on an iommufd. Undefined: the table has no such command. */
export function vfioCall(cmd: string, c: Incoming): Reply | undefined {
	return HANDLERS[cmd]?.(c);
}
