/** What table runs are made of: formats, drivers, calls. Frames of 4 KiB. */
import type { TableRequest } from "../pagetable/config.ts";

/** Frames of 2 MiB and 1 MiB. */
export const M2 = 512;
export const M1 = 256;

export const VTD: TableRequest = { format: "vtd", levels: 4 };
export const ARM: TableRequest = {
	format: "arm64_s1",
	pageSizes: 0x40201000n,
	ias: 48,
	oas: 48,
};
export const V7S: TableRequest = { format: "arm_v7s", pageSizes: 0x1111000n };
export const AMD: TableRequest = { format: "amd_v1" };
export const AMD2: TableRequest = { format: "amd_v2" };

export const vtd = { driver: "vtd", request: VTD } as const;
export const arm = { driver: "smmu-v3", request: ARM } as const;
export const v7s = { driver: "smmu-v3", request: V7S } as const;
export const amd = { driver: "amd-vi", request: AMD } as const;
export const amd2 = { driver: "amd-vi", request: AMD2 } as const;

export const map = (iova: number, pa: number, size: number, prot = 3) =>
	({ do: "map", iova, pa, size, prot }) as const;
export const unmap = (iova: number, size: number) =>
	({ do: "unmap", iova, size }) as const;
export const NO_FAULT = { how: "without the fault" };
