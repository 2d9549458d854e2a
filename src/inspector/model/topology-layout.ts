/**
 * Where the topology's parts go: IOAS and hwpt on the left (what the books say), groups with their devices in the middle, domains
 * on the right (what hardware does). A line on the left and a line on the right of one device lead to the same translation, or the
 * device carries a mark.
 */
import type {
	Topology,
	TopologyDevice,
	TopologyDomain,
	TopologyGroup,
	TopologyHwpt,
	TopologyIoas,
} from "./topology.ts";

/** A placed part. Pixels. */
export interface Placed<T> {
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
	readonly item: T;
}
/** A line between two parts. */
export interface Link {
	readonly kind: "books" | "hardware" | "member";
	readonly from: string;
	readonly to: string;
	readonly path: string;
	/** The device's books and hardware differ. */
	readonly isWrong: boolean;
}
/** The drawing. */
export interface TopologyLayout {
	readonly width: number;
	readonly height: number;
	readonly ioases: readonly Placed<TopologyIoas>[];
	readonly hwpts: readonly Placed<TopologyHwpt>[];
	readonly groups: readonly Placed<TopologyGroup>[];
	readonly devices: readonly Placed<TopologyDevice>[];
	readonly domains: readonly Placed<TopologyDomain>[];
	readonly links: readonly Link[];
}

/** The columns, left to right. */
export const COLUMNS = {
	ioas: { x: 10, width: 112 },
	hwpt: { x: 152, width: 152 },
	group: { x: 352, width: 230 },
	domain: { x: 632, width: 160 },
} as const;
/** Width of every topology drawing: it does not change while the cursor moves. */
export const TOPOLOGY_WIDTH = 800;

const TOP = 30;
const GAP = 14;
const BOX_HEIGHT = 46;
const GROUP_HEAD = 36;
/** A device's row, and each line of what is wrong with it. */
export const DEVICE_HEIGHT = 24;
export const HAZARD_HEIGHT = 15;
const GROUP_PADDING = 6;
/** A group of which the log tells nothing: one line. */
const BLANK_HEIGHT = 20;
const BLANK_GAP = 4;

/** Places everything. */
export function layoutTopology(topology: Topology): TopologyLayout {
	const groups: Placed<TopologyGroup>[] = [];
	const devices: Placed<TopologyDevice>[] = [];
	let y = TOP;
	for (const group of busyFirst(topology.groups)) {
		const { x, width } = COLUMNS.group;
		if (group.isBlank) {
			groups.push({ x, y, width, height: BLANK_HEIGHT, item: group });
			y += BLANK_HEIGHT + BLANK_GAP;
			continue;
		}
		let at = y + GROUP_HEAD;
		for (const item of group.devices) {
			const height = DEVICE_HEIGHT + item.hazards.length * HAZARD_HEIGHT;
			devices.push({ x: x + 6, y: at, width: width - 12, height, item });
			at += height;
		}
		const height = at - y + GROUP_PADDING;
		groups.push({ x, y, width, height, item: group });
		y += height + GAP;
	}
	const stack = <T>(
		items: readonly T[],
		column: keyof typeof COLUMNS,
	): Placed<T>[] =>
		items.map((item, row) => ({
			...COLUMNS[column],
			y: TOP + row * (BOX_HEIGHT + GAP),
			height: BOX_HEIGHT,
			item,
		}));
	const layout = {
		ioases: stack(topology.ioases, "ioas"),
		hwpts: stack(topology.hwpts, "hwpt"),
		groups,
		devices,
		domains: stack(topology.domains, "domain"),
	};
	const all = Object.values(layout).flat();
	return {
		...layout,
		width: TOPOLOGY_WIDTH,
		height: Math.max(TOP, ...all.map((part) => part.y + part.height)) + GAP,
		links: linksOf(layout),
	};
}

/** Groups that somebody owns, or where something differs, come first. */
const busyFirst = (groups: readonly TopologyGroup[]): TopologyGroup[] =>
	groups.toSorted(
		(a, b) =>
			Number(a.isBlank) - Number(b.isBlank) ||
			Number(a.isAtRest) - Number(b.isAtRest),
	);

type Parts = Omit<TopologyLayout, "width" | "height" | "links">;

function linksOf(parts: Parts): Link[] {
	const links: Link[] = [];
	const find = <T extends { readonly id: string }>(
		placed: readonly Placed<T>[],
		id: string | undefined,
	): Placed<T> | undefined => placed.find((part) => part.item.id === id);
	for (const hwpt of parts.hwpts) {
		const ioas = find(parts.ioases, hwpt.item.ioas);
		if (ioas !== undefined) links.push(link("member", hwpt, ioas, -1, false));
		const parent = find(parts.hwpts, hwpt.item.parent);
		if (parent !== undefined) links.push(besideLink(hwpt, parent));
	}
	for (const device of parts.devices) {
		const isWrong = device.item.hazards.some((h) => h.severity === "error");
		const hwpt = find(parts.hwpts, device.item.hwpt);
		if (hwpt !== undefined)
			links.push(link("books", device, hwpt, -1, isWrong));
		const domain = find(parts.domains, device.item.hardware);
		if (domain !== undefined)
			links.push(link("hardware", device, domain, 1, isWrong));
	}
	return links;
}

/** A curve from the side of one part to the facing side of another. */
function link(
	kind: Link["kind"],
	from: Placed<{ readonly id: string }>,
	to: Placed<{ readonly id: string }>,
	direction: 1 | -1,
	isWrong: boolean,
): Link {
	const x1 =
		direction === 1
			? from.x + from.width + 6
			: from.x - (kind === "member" ? 0 : 6);
	const y1 = from.y + (kind === "member" ? from.height / 2 : DEVICE_HEIGHT / 2);
	const x2 = direction === 1 ? to.x : to.x + to.width;
	const y2 = to.y + to.height / 2;
	const bend = (x2 - x1) / 2;
	return {
		kind,
		from: from.item.id,
		to: to.item.id,
		path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
		isWrong,
	};
}

/** From a nested hwpt to its parent in the same column. */
function besideLink(
	from: Placed<TopologyHwpt>,
	to: Placed<TopologyHwpt>,
): Link {
	const x = from.x;
	const y1 = from.y + from.height / 2;
	const y2 = to.y + to.height / 2;
	return {
		kind: "member",
		from: from.item.id,
		to: to.item.id,
		path: `M${x} ${y1}C${x - 20} ${y1} ${x - 20} ${y2} ${x} ${y2}`,
		isWrong: false,
	};
}
