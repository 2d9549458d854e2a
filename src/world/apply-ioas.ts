/** Folding of what an IOAS holds: reservations, areas, domains, pins, accesses (facts §2.4-2.7, §2.14, §3.3). */
import type { U64 } from "../vocabulary/fields.ts";
import type { IoasId, PagesId } from "../vocabulary/ids.ts";
import { editArea, insertArea, removeArea, type Area } from "./areas.ts";
import { domainOf, ioasOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import { drop, edit, put } from "./table.ts";
import type { Pages, World } from "./types.ts";

function areaForWrite(world: World, ioas: IoasId, iova: U64): Area | undefined {
	return editArea(ioasOf(world, ioas).areas, iova);
}

/** The pages object for writing, made when it is new. */
function pagesOf(world: World, id: PagesId): Pages {
	return (
		edit(world.pages, world.own, id) ??
		put(world.pages, world.own, id, {
			own: world.own,
			id,
			npin: 0,
		})
	);
}

function splitArea(world: World, ioas: IoasId, iova: U64, at: U64): void {
	const list = ioasOf(world, ioas).areas;
	const area = editArea(list, iova);
	if (area === undefined) return;
	const { last } = area;
	area.last = typeof at === "number" ? at - 1 : at - 1n;
	insertArea(list, { ...area, own: list.own, start: at, last });
}

export const APPLY_IOAS: Appliers = {
	"ioas.allowed.set": (world, { data }) => {
		ioasOf(world, data.ioas).allowed = data.ranges;
	},
	"ioas.hugepages.set": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		ioas.noLarge = !data.on;
		ioas.align = data.align;
		ioas.alignKnown = true;
	},
	"ioas.align.set": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		ioas.align = data.align;
		ioas.alignKnown = true;
	},
	"resv.added": (world, { data, seq }) => {
		world.seen.resv = true;
		world.moves++;
		const ioas = ioasOf(world, data.ioas);
		ioas.resv = [...ioas.resv, { owner: data.owner, ranges: data.ranges, seq }];
	},
	"resv.dropped": (world, { data }) => {
		world.moves++;
		const ioas = ioasOf(world, data.ioas);
		world.effect.unreserved = ioas.resv.filter(
			(entry) => entry.owner === data.owner,
		);
		ioas.resv = ioas.resv.filter((entry) => entry.owner !== data.owner);
	},

	"area.claimed": (world, { data, seq }) => {
		world.seen.areas = true;
		const ioas = ioasOf(world, data.ioas);
		const { areas } = ioas;
		ioas.unsettled++;
		world.unsettled++;
		world.effect.ioas = ioas;
		insertArea(areas, {
			own: areas.own,
			start: data.iova,
			last: data.last,
			prot: data.prot,
			pages: data.pages,
			off: data.off ?? 0,
			sdom: undefined,
			state: "claimed",
			prevent: false,
			nacc: 0,
			seq,
		});
	},
	"area.live": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		world.effect.ioas = ioas;
		const area = editArea(ioas.areas, data.iova);
		if (area === undefined) return;
		if (area.state !== "live") {
			ioas.unsettled--;
			world.unsettled--;
		}
		area.state = "live";
		area.sdom = data.sdom;
	},
	"area.prevented": (world, { data }) => {
		const area = areaForWrite(world, data.ioas, data.iova);
		if (area !== undefined) area.prevent = true;
	},
	"area.draining": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		const area = editArea(ioas.areas, data.iova);
		if (area === undefined) return;
		if (area.state === "live") {
			ioas.unsettled++;
			world.unsettled++;
		}
		area.state = "draining";
	},
	"area.sdom.set": (world, { data }) => {
		const area = areaForWrite(world, data.ioas, data.iova);
		if (area !== undefined) area.sdom = data.sdom;
	},
	"area.gone": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		world.effect.ioas = ioas;
		const area = removeArea(ioas.areas, data.iova);
		if (area === undefined || area.state === "live") return;
		ioas.unsettled--;
		world.unsettled--;
	},
	"area.split": (world, { data }) =>
		splitArea(world, data.ioas, data.iova, data.at),

	"iopt.dom.added": (world, { data }) => {
		world.moves++;
		world.seen.iopt = true;
		const ioas = ioasOf(world, data.ioas);
		ioas.doms = [...ioas.doms, data.dom];
		if (data.align !== undefined) {
			ioas.align = data.align;
			ioas.alignKnown = true;
		}
		domainOf(world, data.dom).ioas = data.ioas;
	},
	"iopt.dom.removed": (world, { data }) => {
		world.moves++;
		const ioas = ioasOf(world, data.ioas);
		const at = ioas.doms.indexOf(data.dom);
		// 6.12 swaps the removed domain with the tail (iopt_table_remove_domain); older records carry no order.
		const order = data.order as typeof ioas.doms | undefined;
		ioas.doms = order ?? ioas.doms.filter((_, i) => i !== at);
		domainOf(world, data.dom).ioas = undefined;
	},

	"pages.pinned": (world, { data }) => {
		world.seen.pins = true;
		pagesOf(world, data.pages).npin += data.n;
	},
	"pages.unpinned": (world, { data }) => {
		pagesOf(world, data.pages).npin -= data.n;
	},
	"pages.freed": (world, { data }) => {
		world.effect.pinsLeft = world.pages.map.get(data.pages)?.npin;
		drop(world.pages, world.own, data.pages);
	},

	"access.created": (world, { data }) => {
		put(world.accesses, world.own, data.access, {
			own: world.own,
			id: data.access,
			pinning: data.pinning,
			ioas: undefined,
			switching: false,
			pins: new Map(),
			gone: false,
		});
	},
	"access.attached": (world, { data }) =>
		moveAccess(world, data.access, data.ioas),
	"access.switching": (world, { data }) => {
		const access = edit(world.accesses, world.own, data.access);
		if (access === undefined) return;
		access.switching = data.to !== undefined;
		if (data.to === undefined) moveAccess(world, data.access, undefined);
	},
	"access.pinned": (world, { data }) =>
		countPin(world, data.access, pinKey(data), 1),
	"access.unpinned": (world, { data }) =>
		countPin(world, data.access, pinKey(data), -1),
	"access.gone": (world, { data }) => {
		moveAccess(world, data.access, undefined);
		const access = edit(world.accesses, world.own, data.access);
		if (access !== undefined) access.gone = true;
	},
};

/** Pins are matched by exact interval (ACC-4). */
export const pinKey = (data: {
	readonly ioas: IoasId;
	readonly iova: U64;
	readonly len: U64;
}): string => `${data.ioas} ${data.iova} ${data.len}`;

function moveAccess(world: World, id: string, to: IoasId | undefined): void {
	const access = edit(world.accesses, world.own, id as never);
	if (access === undefined) return;
	if (access.ioas !== undefined) {
		const old = ioasOf(world, access.ioas);
		old.accs = old.accs.filter((other) => other !== access.id);
	}
	access.ioas = to;
	access.switching = false;
	if (to !== undefined) {
		const ioas = ioasOf(world, to);
		ioas.accs = [...ioas.accs, access.id];
	}
}

function countPin(world: World, id: string, key: string, by: 1 | -1): void {
	const access = edit(world.accesses, world.own, id as never);
	if (access === undefined) return;
	const pins = new Map(access.pins);
	const count = (pins.get(key) ?? 0) + by;
	if (count === 0) pins.delete(key);
	else pins.set(key, count);
	access.pins = pins;
}
