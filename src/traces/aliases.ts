/**
 * The requester id that the IOMMU sees for a device below bridges to conventional PCI, from groups.txt alone: the path that sysfs gives,
 * the drivers of the bridges, the groups (drivers/pci/search.c:pci_for_each_dma_alias; the last alias of its walk is the one next to the root
 * bus). What a bridge is, its line does not say outright: a PCIe port has the port driver or, where it isolates, a group of its own; a bridge below
 * a port leads from PCIe to PCI and speaks as device 0 of its secondary bus; any other speaks for itself.
 */

/** A line of groups.txt, as far as it matters here. */
export interface Placed {
	readonly name: string;
	readonly group: number;
	/** Vendor and device, as `0x1b36:0x000e`. */
	readonly id: string;
	readonly driver: string;
	/** Bridges above it, from the root bus down. */
	readonly above: readonly string[];
}

/** PCIe-to-PCI bridges that are themselves on the root bus: QEMU's pcie-pci-bridge may be put there. */
const PCIE_TO_PCI = new Set(["0x1b36:0x000e"]);

/** `0000:02:01.0` → 0x0208, or undefined. */
function requesterOf(name: string | undefined): number | undefined {
	const match = /^[0-9a-f]+:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(
		name ?? "",
	);
	if (match === null) return undefined;
	const [bus = 0, slot = 0, fn = 0] = match
		.slice(1)
		.map((digits) => Number.parseInt(digits, 16));
	return (bus << 8) | (slot << 3) | fn;
}

/** The requester id that stands for the device at the root bus, or undefined when that is its own. */
export function aliasOf(
	device: Placed,
	known: ReadonlyMap<string, Placed>,
): number | undefined {
	const line = [...device.above, device.name];
	let belowPort = false;
	for (const [i, name] of device.above.entries()) {
		const bridge = known.get(name);
		// A file that does not list the bridges: what is not on the root bus, and directly above, is taken for the bridge.
		const port =
			bridge === undefined
				? i === 0 || i < device.above.length - 1
				: bridge.driver === "pcieport" || bridge.group !== device.group;
		if (port) {
			belowPort = true;
			continue;
		}
		if (!belowPort && !PCIE_TO_PCI.has(bridge?.id ?? ""))
			return requesterOf(name);
		const secondary = requesterOf(line[i + 1]);
		return secondary === undefined ? undefined : secondary & 0xff00;
	}
	return undefined;
}
