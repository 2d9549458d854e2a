/**
 * Who translates whom: on one side what the books say (device → hwpt → IOAS), on the other what hardware does (device → domain):
 * the ghost facts hw.attach, and where a recording shows context entries, the entry, which is live before attach_dev returns and
 * hw.attach is written. The seed mails' hazards are the places where the two differ.
 */
import { allSpaces, type ContextEntry } from "../../iotlb/state.ts";
import type { DomainId } from "../../vocabulary/ids.ts";
import type {
	Device,
	Domain,
	Group,
	Hwpt,
	Ioas,
	World,
} from "../../world/types.ts";

/** Something that a reader should look at. `severity` error: books and hardware disagree; warning: legal, and surprising. */
export interface Hazard {
	readonly severity: "error" | "warning";
	readonly text: string;
}
/** A device. Undefined = the log does not tell. */
export interface TopologyDevice {
	readonly id: string;
	/** hwpt that the books name for it. */
	readonly hwpt: string | undefined;
	/** Domain that follows from the books. */
	readonly books: string | undefined;
	/** Domain that its hardware uses. */
	readonly hardware: string | undefined;
	/** Known from a context entry that was set after the last finished attach. */
	readonly isEarly: boolean;
	readonly isAttached: boolean;
	readonly ctx: string | undefined;
	readonly hazards: readonly Hazard[];
}
/** A group with its members. */
export interface TopologyGroup {
	readonly id: string;
	readonly driver: string;
	readonly dom: string | undefined;
	readonly owner: string | undefined;
	readonly claims: number | undefined;
	readonly devices: readonly TopologyDevice[];
	/** Nobody owns it and nothing differs. */
	readonly isAtRest: boolean;
	/** The log tells nothing of it but its members. */
	readonly isBlank: boolean;
}
/** A hwpt. */
export interface TopologyHwpt {
	readonly id: string;
	readonly kind: string;
	readonly dom: string | undefined;
	readonly ioas: string | undefined;
	readonly parent: string | undefined;
	readonly isAuto: boolean;
	readonly isLinked: boolean;
	readonly users: number | undefined;
	readonly devices: number;
}
/** A domain. */
export interface TopologyDomain {
	readonly id: string;
	readonly kind: string;
	readonly hwpt: string | undefined;
	readonly mappedBytes: number | undefined;
	readonly devices: number;
	readonly isFreed: boolean;
	/** Ranges that hardware may still hold though memory no longer does. */
	readonly staleRanges: number;
}
/** An IOAS. */
export interface TopologyIoas {
	readonly id: string;
	readonly areas: number;
	readonly domains: readonly string[];
	readonly users: number | undefined;
}
/** The whole picture, as data. */
export interface Topology {
	readonly groups: readonly TopologyGroup[];
	readonly hwpts: readonly TopologyHwpt[];
	readonly domains: readonly TopologyDomain[];
	readonly ioases: readonly TopologyIoas[];
}

const collator = new Intl.Collator("en", { numeric: true });
const byId = <T extends { readonly id: string }>(items: T[]): T[] =>
	items.sort((a, b) => collator.compare(a.id, b.id));

/** Reads the picture off a world. */
export function topologyOf(world: World): Topology {
	const stale = staleByDomain(world);
	const groups = [...world.groups.map.values()].map((group) =>
		groupOf(world, group),
	);
	const hwpts = [...world.hwpts.map.values()]
		.filter((hwpt) => hwpt.state !== "gone")
		.map(hwptOf);
	const used = new Set<string | undefined>([
		...groups.flatMap((group) => [
			group.dom,
			...group.devices.flatMap((device) => [device.hardware, device.books]),
		]),
		...hwpts.map((hwpt) => hwpt.dom),
	]);
	const users = usersByDomain(groups);
	const domains = [...world.domains.map.values()]
		.filter((domain) => used.has(domain.id) || (stale.get(domain.id) ?? 0) > 0)
		.map((domain) =>
			domainOf(domain, users.get(domain.id) ?? 0, stale.get(domain.id) ?? 0),
		);
	const ioases = [...world.ioases.map.values()]
		.filter((ioas) => !ioas.gone)
		.map(ioasOf);
	return {
		groups: byId(groups),
		hwpts: byId(hwpts),
		domains: byId(domains),
		ioases: byId(ioases),
	};
}

function usersByDomain(groups: readonly TopologyGroup[]): Map<string, number> {
	const counts = new Map<string, number>();
	for (const { hardware } of groups.flatMap(({ devices }) => devices))
		if (hardware !== undefined)
			counts.set(hardware, (counts.get(hardware) ?? 0) + 1);
	return counts;
}

function staleByDomain(world: World): Map<string, number> {
	const counts = new Map<string, number>();
	for (const space of allSpaces(world.iotlb))
		for (const { dom, parts } of space.stale)
			if (parts.length > 0) counts.set(dom, (counts.get(dom) ?? 0) + 1);
	return counts;
}

function groupOf(world: World, group: Group): TopologyGroup {
	const devices = group.members.map((id) => {
		const device = world.devices.map.get(id);
		return device === undefined
			? unknownDevice(id)
			: deviceOf(world, group, device);
	});
	return {
		id: group.id,
		driver: group.driver,
		dom: group.dom ?? undefined,
		owner: group.owner ?? undefined,
		claims: group.ocnt,
		devices,
		isAtRest:
			(group.owner ?? undefined) === undefined &&
			devices.every(
				(device) => device.hazards.length === 0 && !device.isAttached,
			),
		isBlank:
			group.owner === undefined &&
			group.dom === undefined &&
			devices.every(({ hardware }) => hardware === undefined),
	};
}

const unknownDevice = (id: string): TopologyDevice => ({
	id,
	hwpt: undefined,
	books: undefined,
	hardware: undefined,
	isEarly: false,
	isAttached: false,
	ctx: undefined,
	hazards: [],
});

function deviceOf(world: World, group: Group, device: Device): TopologyDevice {
	const hwptId = device.idevHwpt ?? device.hwpt;
	const hwpt = hwptId === undefined ? undefined : world.hwpts.map.get(hwptId);
	const books = hwptId === undefined ? (group.dom ?? undefined) : hwpt?.dom;
	const entries = entriesOf(world, device);
	const early = entries.find(
		({ seq, dom }) => seq > device.hwSeq && dom !== device.hw,
	);
	const hardware = early?.dom ?? device.hw;
	const live = entries.find(({ dom }) => dom === hardware);
	return {
		id: device.id,
		hwpt: hwptId,
		books,
		hardware,
		isEarly: early !== undefined,
		isAttached: hwptId !== undefined,
		ctx: device.ctx,
		hazards: [
			...hazardsOf(world, hwptId, books, hardware),
			...entryHazards(world, early, live),
		],
	};
}

/** The context entries that are set for a device's requester ids. */
function entriesOf(world: World, device: Device): ContextEntry[] {
	const found: ContextEntry[] = [];
	for (const { contexts } of world.iotlb.units.values())
		for (const sid of device.sids) {
			const entry = contexts.get(sid);
			const isOwn = entry?.dev === undefined || entry.dev === device.id;
			if (entry !== undefined && isOwn) found.push(entry);
		}
	return found;
}

/**
 * `early`: an entry that leads elsewhere than the last finished attach. `live`: the one in use. Without a cache tag of its domain, an
 * unmap has nobody to send its invalidation to (kernel-findings F2).
 */
function entryHazards(
	world: World,
	early: ContextEntry | undefined,
	live: ContextEntry | undefined,
): Hazard[] {
	const texts: string[] = [];
	if (early !== undefined)
		texts.push(`entry live at seq ${early.seq}, attach not done`);
	const isUntagged =
		live !== undefined && !live.space.preexisting && live.space.tagRefs === 0;
	if (world.seen.tags && isUntagged)
		texts.push(`${live.dom} has no cache tag: no flush`);
	return texts.map((text) => ({ severity: "error", text }));
}

function hazardsOf(
	world: World,
	hwpt: string | undefined,
	books: string | undefined,
	hardware: string | undefined,
): Hazard[] {
	if (hardware === undefined) return [];
	const hazards: Hazard[] = [];
	const domain = world.domains.map.get(hardware as DomainId);
	if (books !== undefined && books !== hardware)
		hazards.push({
			severity: "error",
			text: `books ${books} ≠ hardware ${hardware}`,
		});
	if (domain !== undefined && domain.freedSeq > 0)
		hazards.push({
			severity: "error",
			text: `hardware uses ${hardware}, which was freed`,
		});
	const isUsers = domain?.kind === "unmanaged" || domain?.kind === "nested";
	if (hwpt === undefined && isUsers && books === hardware)
		hazards.push({
			severity: "warning",
			text: `not attached, yet uses ${hardware}`,
		});
	return hazards;
}

const hwptOf = (hwpt: Hwpt): TopologyHwpt => ({
	id: hwpt.id,
	kind: hwpt.kind,
	dom: hwpt.dom,
	ioas: hwpt.ioas,
	parent: hwpt.parent,
	isAuto: hwpt.auto,
	isLinked: hwpt.linked,
	users: hwpt.u,
	devices: hwpt.devices,
});

function domainOf(
	domain: Domain,
	devices: number,
	staleRanges: number,
): TopologyDomain {
	const unit = domain.memory === null ? 4096 : 2 ** domain.memory.shift;
	return {
		id: domain.id,
		kind: domain.kind,
		hwpt: domain.hwpt,
		mappedBytes: domain.mapped < 0 ? undefined : domain.mapped * unit,
		devices,
		isFreed: domain.freedSeq > 0,
		staleRanges,
	};
}

const ioasOf = (ioas: Ioas): TopologyIoas => ({
	id: ioas.id,
	areas: ioas.areas.count,
	domains: ioas.doms,
	users: ioas.u,
});
