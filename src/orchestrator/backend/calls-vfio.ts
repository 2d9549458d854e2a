/** Commands of VFIO type1, on an iommufd and on legacy containers, as calls of user space (calls.ts). `container` is the number of the container. */
import { DMA_FLAG, VFIO } from "../../../machines/ops/compat.ts";
import type { CtxId } from "../../vocabulary/ids.ts";
import { kernelNumber } from "../../vocabulary/ids.ts";
import type { LegacyArgs } from "../commands-legacy.ts";
import type { VfioArgs } from "../commands-vfio.ts";
import type { Spelling } from "./calls.ts";

const fd = (ctx: CtxId): number => kernelNumber(ctx);

/** By command. */
export const VFIO_SPELLINGS: {
	readonly [O in keyof (VfioArgs & LegacyArgs)]: Spelling<O>;
} = {
	vfioSetIommu: {
		call: "VFIO_SET_IOMMU",
		args: ({ ctx, version }) => ({
			iommufd: fd(ctx),
			type: version === "v1" ? VFIO.TYPE1_IOMMU : VFIO.TYPE1v2_IOMMU,
		}),
	},
	vfioCheckExtension: {
		call: "VFIO_CHECK_EXTENSION",
		args: ({ ctx, extension }) => ({ iommufd: fd(ctx), extension }),
		out: ({ ret }) => ({ ret: ret! }),
	},
	vfioInfo: {
		call: "VFIO_IOMMU_GET_INFO",
		args: ({ ctx }) => ({ iommufd: fd(ctx) }),
		out: ({ pgsizes }) => ({ iova_pgsizes: pgsizes! }),
	},
	vfioMap: {
		call: "VFIO_IOMMU_MAP_DMA",
		args: (a) => ({
			iommufd: fd(a.ctx),
			flags: a.prot,
			vaddr: a.va,
			iova: a.iova,
			size: a.length,
			...(a.mm === undefined ? {} : { mm: a.mm }),
		}),
	},
	vfioUnmap: {
		call: "VFIO_IOMMU_UNMAP_DMA",
		args: ({ ctx, iova, length }) => ({
			iommufd: fd(ctx),
			flags:
				iova === undefined && length === undefined ? DMA_FLAG.UNMAP_ALL : 0,
			iova: iova ?? "0x0",
			size: length ?? "0x0",
		}),
		out: ({ bytes }) => ({ size: bytes! }),
	},
	containerOpen: { call: "OPEN_CONTAINER", args: () => ({}) },
	containerClose: {
		call: "CLOSE_CONTAINER",
		args: ({ ctx }) => ({ container: fd(ctx) }),
	},
	groupSetContainer: {
		call: "VFIO_GROUP_SET_CONTAINER",
		args: ({ ctx, group }) => ({
			container: fd(ctx),
			group: kernelNumber(group),
		}),
	},
	groupUnsetContainer: {
		call: "VFIO_GROUP_UNSET_CONTAINER",
		args: ({ ctx, group }) => ({
			container: fd(ctx),
			group: kernelNumber(group),
		}),
	},
	containerSetIommu: {
		call: "VFIO_SET_IOMMU",
		args: ({ ctx, version }) => ({
			container: fd(ctx),
			type: version === "v1" ? VFIO.TYPE1_IOMMU : VFIO.TYPE1v2_IOMMU,
		}),
	},
	containerMap: {
		call: "VFIO_IOMMU_MAP_DMA",
		args: (a) => ({
			container: fd(a.ctx),
			flags: a.prot,
			vaddr: a.va,
			iova: a.iova,
			size: a.length,
			...(a.mm === undefined ? {} : { mm: a.mm }),
		}),
	},
	containerUnmap: {
		call: "VFIO_IOMMU_UNMAP_DMA",
		args: ({ ctx, iova, length }) => ({
			container: fd(ctx),
			flags:
				iova === undefined && length === undefined ? DMA_FLAG.UNMAP_ALL : 0,
			iova: iova ?? "0x0",
			size: length ?? "0x0",
		}),
		out: ({ bytes }) => ({ size: bytes! }),
	},
};
