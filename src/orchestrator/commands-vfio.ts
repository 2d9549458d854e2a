/**
 * VFIO type1 calls on an iommufd (machines/ops/compat.ts): they act on the IOAS in the compatibility slot (vfioIoas). Facts:
 * iommufd-semantics.md §5.6.
 */
import {
	checkExtension,
	DMA_FLAG,
	getInfo,
	mapDma,
	setIommu,
	unmapDma,
	VFIO,
} from "../../machines/ops/compat.ts";
import { PAGE_SIZE } from "../../machines/iopt-pages.ts";
import type { Answer } from "../../machines/ops/types.ts";
import { hexOf, u64 } from "../vocabulary/fields.ts";
import { fromHex, type Of, plainly } from "./commands-plain.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { outOfReach } from "./unmap-plain.ts";

/** Arguments by operation. */
export interface VfioArgs {
	/** VFIO_SET_IOMMU: "v1" turns large pages off, since its unmaps may cut areas; "v2" changes nothing. */
	readonly vfioSetIommu: Of<{ readonly version: "v1" | "v2" }>;
	/** VFIO_CHECK_EXTENSION, by the number of include/uapi/linux/vfio.h. */
	readonly vfioCheckExtension: Of<{ readonly extension: number }>;
	/** VFIO_IOMMU_GET_INFO. */
	readonly vfioInfo: Of<object>;
	/** VFIO_IOMMU_MAP_DMA: always at a fixed IOVA; `prot` 0 is for the domains to refuse: real ones do (EINVAL). */
	readonly vfioMap: Of<{
		readonly iova: string;
		readonly length: string;
		readonly va: string;
		readonly prot: number;
		readonly mm?: number;
	}>;
	/** VFIO_IOMMU_UNMAP_DMA; without a range everything. */
	readonly vfioUnmap: Of<{
		readonly iova?: string;
		readonly length?: string;
	}>;
}

type Handlers = {
	readonly [O in keyof VfioArgs]: (x: Executor, args: VfioArgs[O]) => Outcome;
};
const MAP_BYTES = 32;
const UNMAP_BYTES = 24;
const INFO_BYTES = 24;
const copyAll = (): undefined => undefined;

/** The commands. */
export const VFIO_HANDLERS: Handlers = {
	vfioSetIommu: (x, args) =>
		plainly(x, args.ctx, (exec) =>
			setIommu(
				exec,
				args.version === "v1" ? VFIO.TYPE1_IOMMU : VFIO.TYPE1v2_IOMMU,
			),
		),
	vfioCheckExtension: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec): Answer & { readonly ret?: number } =>
				checkExtension(exec, args.extension),
			({ ret = 0 }) => ({ ret }),
		),
	vfioInfo: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec): ReturnType<typeof getInfo> => getInfo(exec, INFO_BYTES),
			({ info }) => ({ pgsizes: hexOf(u64(info?.pgsizes ?? PAGE_SIZE)) }),
		),
	vfioMap: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec) =>
				mapDma(exec, {
					argsz: MAP_BYTES,
					flags: args.prot,
					vaddr: fromHex(args.va),
					iova: fromHex(args.iova),
					size: fromHex(args.length),
				}),
			undefined,
			{ proc: args.mm ?? 1 },
		),
	vfioUnmap: (x, args) => {
		const all = args.iova === undefined && args.length === undefined;
		return plainly(
			x,
			args.ctx,
			(exec) =>
				outOfReach(x, exec, () =>
					unmapDma(exec, {
						argsz: UNMAP_BYTES,
						flags: all ? DMA_FLAG.UNMAP_ALL : 0,
						iova: fromHex(args.iova ?? "0x0"),
						size: fromHex(args.length ?? "0x0"),
						respond: copyAll,
					}),
				),
			({ out }) => ({ bytes: hexOf(u64(out?.["size"] as bigint)) }),
		);
	},
};
