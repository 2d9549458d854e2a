/** Folding of what an IOAS holds: reservations, areas, domains, pins, accesses (facts §2.4-2.7, §2.14, §3.3). */
import type { U64 } from "../vocabulary/fields.ts";
import type { ActorId, IoasId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { editArea, insertArea, removeArea, type Area } from "./areas.ts";
import { domainOf, ioasOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import {
	dropPages,
	hidePages,
	holdPages,
	pagesAt,
	pagesBetween,
	pagesOf,
	pinRange,
	showPages,
} from "./pins.ts";
import { drop, edit, put } from "./table.ts";
import type { Reserver, World } from "./types.ts";

function areaForWrite(world: World, ioas: IoasId, iova: U64): Area | undefined {
	return editArea(ioasOf(world, ioas).areas, iova);
}

function splitArea(world: World, ioas: IoasId, iova: U64, at: U64): void {
	const list = ioasOf(world, ioas).areas;
	const area = editArea(list, iova);
	if (area === undefined) return;
	const { last } = area;
	const held = area.sdom !== undefined;
	hidePages(world, ioas, area);
	area.last = typeof at === "number" ? at - 1 : at - 1n;
	const { first } = pagesBetween(area, at, at);
	const off = area.pages === undefined ? 0 : offAt(area, at, first);
	const upper = { ...area, own: list.own, start: at, last, off };
	insertArea(list, upper);
	showPages(world, ioas, area, held);
	showPages(world, ioas, upper, held);
}

/** Byte of the pages object that stands at `at` of an area; `page` holds it. */
function offAt(area: Area, at: U64, page: number): U64 {
	const base = BigInt(area.off) + BigInt(at) - BigInt(area.start);
	return page < 2 ** 40 ? Number(base) : base;
}

const NOTHING_HELD = { held: [] as Reserver["held"] };
const reserverOf = (world: World, owner: ActorId): Reserver | undefined =>
	world.reservers.map.get(owner);

function setHeld(world: World, id: ActorId, held: Reserver["held"]): void {
	if (held.length === 0) drop(world.reservers, world.own, id);
	else put(world.reservers, world.own, id, { own: world.own, id, held });
}

export const APPLY_IOAS: Appliers = {
	"ioas.allowed.set": (world, { data }) => {
		ioasOf(world, data.ioas).allowed = data.ranges;
	},
	"ioas.hugepages.set": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		ioas.noLarge = !data.on;
		if (!data.on) world.seen.noLarge = true;
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
		const entry = { owner: data.owner, ranges: data.ranges, seq };
		ioas.resv = [...ioas.resv, entry];
		const { held } = reserverOf(world, data.owner) ?? NOTHING_HELD;
		setHeld(world, data.owner, [...held, { ioas: data.ioas, entry }]);
	},
	"resv.dropped": (world, { data }) => {
		world.moves++;
		const ioas = ioasOf(world, data.ioas);
		const { held } = reserverOf(world, data.owner) ?? NOTHING_HELD;
		const gone = held
			.filter((one) => one.ioas === data.ioas)
			.map(({ entry }) => entry);
		world.effect.unreserved = gone;
		if (gone.length === 0) return;
		ioas.resv = ioas.resv.filter((entry) => !gone.includes(entry));
		setHeld(
			world,
			data.owner,
			held.filter((one) => one.ioas !== data.ioas),
		);
	},

	"area.claimed": (world, { data, seq, op }) => {
		world.seen.areas = true;
		const ioas = ioasOf(world, data.ioas);
		const { areas } = ioas;
		ioas.unsettled++;
		world.unsettled++;
		world.effect.ioas = ioas;
		const area: Area = {
			own: areas.own,
			start: data.iova,
			last: data.last,
			prot: data.prot,
			pages: data.pages,
			off: data.off ?? 0,
			sdom: undefined,
			state: "claimed",
			prevent: false,
			op,
			seq,
		};
		insertArea(areas, area);
		showPages(world, data.ioas, area, false);
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
		if (data.sdom !== undefined) holdPages(world, data.ioas, area, true);
	},
	"area.prevented": (world, { data }) => {
		const area = areaForWrite(world, data.ioas, data.iova);
		if (area !== undefined) area.prevent = true;
	},
	"area.draining": (world, { data, op }) => {
		const ioas = ioasOf(world, data.ioas);
		const area = editArea(ioas.areas, data.iova);
		if (area === undefined) return;
		if (area.state === "live") {
			ioas.unsettled++;
			world.unsettled++;
		}
		area.state = "draining";
		area.op = op;
	},
	"area.sdom.set": (world, { data }) => {
		const area = areaForWrite(world, data.ioas, data.iova);
		if (area === undefined) return;
		area.sdom = data.sdom;
		holdPages(world, data.ioas, area, data.sdom !== undefined);
	},
	"area.gone": (world, { data }) => {
		const ioas = ioasOf(world, data.ioas);
		world.effect.ioas = ioas;
		const area = removeArea(ioas.areas, data.iova);
		if (area === undefined) return;
		hidePages(world, data.ioas, area);
		if (area.state === "live") return;
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

	"pages.pinned": (world, { data, seq }) => {
		world.seen.pins = true;
		const pages = pagesOf(world, data.pages);
		pages.npin += data.n;
		pages.pinSeq = seq;
		if (data.acct !== undefined) pages.acct = data.acct;
	},
	"pages.unpinned": (world, { data, seq }) => {
		const pages = pagesOf(world, data.pages);
		pages.npin -= data.n;
		pages.pinSeq = seq;
	},
	"acct.charged": (world, { data }) => {
		if (data.pages !== undefined) pagesOf(world, data.pages).charged += data.n;
	},
	"acct.uncharged": (world, { data }) => {
		if (data.pages !== undefined) pagesOf(world, data.pages).charged -= data.n;
	},
	"pages.freed": (world, { data }) => {
		world.effect.pinsLeft = pagesAt(world, data.pages)?.npin;
		dropPages(world, data.pages);
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
	"access.pinned": (world, { data }) => countPin(world, data, 1),
	"access.unpinned": (world, { data }) => countPin(world, data, -1),
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

function countPin(
	world: World,
	data: LogRecord<"access.pinned" | "access.unpinned">["data"],
	by: 1 | -1,
): void {
	pinRange(world, ioasOf(world, data.ioas), data.iova, data.len, by);
	const access = edit(world.accesses, world.own, data.access);
	if (access === undefined) return;
	const key = pinKey(data);
	const pins = new Map(access.pins);
	const count = (pins.get(key) ?? 0) + by;
	if (count === 0) pins.delete(key);
	else pins.set(key, count);
	access.pins = pins;
}
