/** Reads the capabilities that a topology gives a device (TopologyDevice.caps), with the personality's defaults. */
import type { Dev } from "../../machines/ops/types.ts";

/** A yes/no capability. */
export function flagOf(dev: Dev, name: string, fallback: boolean): boolean {
	const value = dev.caps[name];
	return typeof value === "boolean" ? value : fallback;
}
/** A number. */
export function numberOf(dev: Dev, name: string, fallback: number): number {
	const value = dev.caps[name];
	return typeof value === "number" ? value : fallback;
}
/** A 64-bit register, hex text or number. */
export function registerOf(dev: Dev, name: string): bigint {
	const value = dev.caps[name];
	if (typeof value === "number") return BigInt(value);
	return typeof value === "string" && /^0x[0-9a-f]{1,16}$/i.test(value)
		? BigInt(value)
		: 0n;
}
/** Which IOMMU unit a device is behind. */
export const unitOf = (dev: Dev): string => {
	const value = dev.caps["iommu"];
	return typeof value === "string" ? value : "iommu0";
};

/** All-ones below `bits`. */
export const below = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
export const K4 = 0x1000n;
export const M2 = 0x20_0000n;
export const G1 = 0x4000_0000n;
/** HWPT_ALLOC flags (include/uapi/linux/iommufd.h). */
export const NEST_PARENT = 1;
export const DIRTY_TRACKING = 2;
