/**
 * groups.txt of a recording: groups, members and reserved regions as sysfs shows them (facts/trace-formats.md §1).
 *
 *     group 11 type=DMA
 *       0000:02:01.0 0x1234:0x11e8 class=0x00ff00 driver=vfio-pci path=…
 *       reserved: 0x00000000fee00000 0x00000000feefffff msi;…
 */
import type { ReservedRegion, TopologyGroup } from "../vocabulary/header.ts";
import { deviceId, groupId } from "../vocabulary/ids.ts";
import type { Placed } from "./aliases.ts";
import { aliasOf } from "./aliases.ts";

/** A group as read. */
export interface GroupEntry {
	readonly number: number;
	readonly members: {
		readonly name: string;
		readonly driver: string;
		/** Requester id that stands for it at the root bus, where its place tells another than its own. */
		readonly alias?: number;
	}[];
	resv: readonly ReservedRegion[];
}

const KINDS: { readonly [name: string]: ReservedRegion["kind"] | undefined } = {
	direct: "direct",
	"direct-relaxable": "direct-relaxable",
	reserved: "reserved",
	msi: "msi",
	// sysfs shows IOMMU_RESV_SW_MSI as "msi" too (drivers/iommu/iommu.c:iommu_group_resv_type_string).
	"sw-msi": "sw-msi",
};

interface Reading {
	readonly groups: GroupEntry[];
	readonly placed: Map<string, Placed>;
}

/** Reads groups.txt. Lines of another form are left out: a hand-made file is still useful. */
export function parseGroups(text: string): readonly GroupEntry[] {
	const reading: Reading = { groups: [], placed: new Map() };
	for (const line of text.split(/\r?\n/)) readLine(reading, line);
	return reading.groups.map((group) => ({
		...group,
		members: group.members.map((member) => {
			const device = reading.placed.get(member.name);
			const alias =
				device === undefined ? undefined : aliasOf(device, reading.placed);
			return alias === undefined ? member : { ...member, alias };
		}),
	}));
}

function readLine({ groups, placed }: Reading, line: string): void {
	const head = /^group (\d{1,9})\b/.exec(line);
	if (head !== null) {
		groups.push({ number: Number(head[1]), members: [], resv: [] });
		return;
	}
	const group = groups[groups.length - 1];
	if (group === undefined) return;
	const reserved = /^\s+reserved:(.*)$/.exec(line);
	if (reserved !== null) {
		group.resv = (reserved[1] ?? "")
			.split(";")
			.map(region)
			.filter((item) => item !== undefined);
		return;
	}
	const name = /^\s+(\S{1,100})/.exec(line)?.[1];
	if (name === undefined) return;
	const driver = /\bdriver=(\S+)/.exec(line)?.[1] ?? "none";
	group.members.push({ name, driver });
	const path = /\bpath=pci[^\s/]*((?:\/[^\s/]+)+)/.exec(line)?.[1] ?? "";
	placed.set(name, {
		name,
		group: group.number,
		id: /^\s+\S+ (0x\w+:0x\w+)/.exec(line)?.[1] ?? "",
		driver,
		above: path.split("/").slice(1, -1),
	});
}

function region(text: string): ReservedRegion | undefined {
	const match = /^\s*(0x[0-9a-f]{1,16})\s+(0x[0-9a-f]{1,16})\s+(\S+)/i.exec(
		text,
	);
	const kind = KINDS[match?.[3] ?? ""];
	if (match === null || kind === undefined) return undefined;
	const [, start = "0x0", last = "0x0"] = match;
	return {
		start: `0x${BigInt(start).toString(16)}`,
		last: `0x${BigInt(last).toString(16)}`,
		kind,
	};
}

/** Drivers that leave the DMA API alone: user space may own their devices (struct device_driver.driver_managed_dma). */
const USER_DRIVERS = new Set([
	"none",
	"vfio-pci",
	"pcieport",
	"pci-stub",
	"shpchp",
]);

/** The groups as the header tells them. Devices in `absent` were not there when the trace began. */
export function topologyOf(
	groups: readonly GroupEntry[],
	driver: string,
	absent: ReadonlySet<string>,
): TopologyGroup[] {
	return groups
		.map(({ number, members, resv }) => ({
			group: groupId(number),
			driver,
			members: members
				.filter(({ name }) => !absent.has(name))
				.map(({ name, driver: bound, alias }) => ({
					dev: deviceId(name),
					resv,
					...(alias === undefined ? {} : { aliases: [alias] }),
					...(USER_DRIVERS.has(bound) ? {} : { kernelDriver: bound }),
				})),
		}))
		.filter(({ members }) => members.length > 0);
}
