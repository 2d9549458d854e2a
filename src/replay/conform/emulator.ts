/**
 * What the QEMU command line of a recording says about its VT-d unit: address width and capability registers (QEMU 7.2
 * hw/i386/intel_iommu.c:vtd_init; the values are confirmed by the recordings' dmesg.txt).
 */

/** Properties of the emulated unit, as a topology's device capabilities. */
export interface EmulatedUnit {
	readonly aw: number;
	readonly snoopControl: boolean;
	readonly intremap: boolean;
	readonly cap: string;
	readonly ecap: string;
}
const bit = (n: number): bigint => 1n << BigInt(n);
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Reads the options of `-device intel-iommu,…`; QEMU's defaults where an option is absent. */
export function emulatedUnit(commandLine: string): EmulatedUnit {
	const options = /-device intel-iommu,?(\S*)/.exec(commandLine)?.[1] ?? "";
	const value = (name: string): string | undefined =>
		options
			.split(",")
			.find((o) => o.startsWith(`${name}=`))
			?.slice(name.length + 1);
	const on = (name: string): boolean => value(name) === "on";
	const aw = Number(value("aw-bits") ?? 39);
	const snoopControl = on("snoop-control");
	const intremap = value("intremap") !== "off";
	// FRO at 0x220, 64K domain ids, MAMV 18, page-selective invalidation, 2M and 1G pages, drain.
	let cap =
		(0x22n << 24n) | 6n | (18n << 48n) | bit(39) | (3n << 34n) | (3n << 54n);
	cap |= BigInt(aw - 1) << 16n;
	cap |= aw === 48 ? 0x600n : 0x200n;
	if (on("caching-mode")) cap |= bit(7);
	// Queued invalidation, IOTLB registers at 0xf00, pass-through.
	let ecap = bit(1) | (0xf0n << 16n) | (0xfn << 8n) | bit(6);
	if (intremap) ecap |= bit(3);
	if (snoopControl) ecap |= bit(7);
	if (on("x-scalable-mode")) ecap |= bit(43) | bit(31) | bit(46);
	return { aw, snoopControl, intremap, cap: hex(cap), ecap: hex(ecap) };
}
