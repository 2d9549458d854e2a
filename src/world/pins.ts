/**
 * Which areas and accesses hold which pages of a pages object (struct iopt_pages: domains_itree, access_itree). Kept only where records say which
 * pages an area shows: in our own logs.
 */
import type { U64 } from "../vocabulary/fields.ts";
import type { IoasId, PagesId } from "../vocabulary/ids.ts";
import { areaMeeting, lastOf, type Area } from "./areas.ts";
import { drop, edit, put } from "./table.ts";
import type { Ioas, Pages, PagesArea, PagesPin, World } from "./types.ts";

/** PAGE_SIZE of the modelled kernel, in bytes. */
const PAGE = 4096;

const NO_AREAS: readonly PagesArea[] = [];
const NO_PINS: readonly PagesPin[] = [];

/** The pages object that was handled last, when it is this one: the records of one map or unmap ask for the same one again and again. */
function recent(world: World, id: PagesId): Pages | undefined {
	const { pages } = world.effect;
	return pages !== undefined && pages.id === id && pages.own === world.own
		? pages
		: undefined;
}

/** The pages object for reading. */
export const pagesAt = (world: World, id: PagesId): Pages | undefined =>
	recent(world, id) ?? world.pages.map.get(id);

/** The pages object for writing. */
function editPages(world: World, id: PagesId): Pages | undefined {
	const last = recent(world, id);
	if (last !== undefined) return last;
	const pages = edit(world.pages, world.own, id);
	world.effect.pages = pages;
	return pages;
}

/** The pages object for writing, made when it is new. */
export function pagesOf(world: World, id: PagesId): Pages {
	const pages = editPages(world, id);
	if (pages !== undefined) return pages;
	const made = {
		own: world.own,
		id,
		npin: 0,
		acct: undefined,
		charged: 0,
		pinSeq: 0,
		areas: NO_AREAS,
		pins: NO_PINS,
		shown: false,
	};
	world.effect.pages = made;
	return put(world.pages, world.own, id, made);
}

/** The pages object is gone. */
export function dropPages(world: World, id: PagesId): void {
	world.effect.pages = undefined;
	drop(world.pages, world.own, id);
}

/** The number of the page that holds byte `at`. */
const pageAt = (at: U64): number =>
	typeof at === "number" ? Math.floor(at / PAGE) : Number(at / 4096n);
const plus = (a: U64, b: U64): U64 =>
	typeof a === "number" && typeof b === "number" && a + b <= 2 ** 53
		? a + b
		: BigInt(a) + BigInt(b);
const minus = (a: U64, b: U64): U64 =>
	typeof a === "number" && typeof b === "number"
		? a - b
		: BigInt(a) - BigInt(b);

/** Pages of its pages object that an area shows between two of its bytes. */
export function pagesBetween(
	area: Pick<Area, "start" | "off">,
	from: U64,
	to: U64,
): { readonly first: number; readonly last: number } {
	return {
		first: pageAt(plus(area.off, minus(from, area.start))),
		last: pageAt(plus(area.off, minus(to, area.start))),
	};
}

/** An area shows pages; one that its IOAS does not store yet holds none of them. */
export function showPages(
	world: World,
	ioas: IoasId,
	area: Area,
	held: boolean,
): void {
	if (area.pages === undefined) return;
	const pages = pagesOf(world, area.pages);
	const { first, last } = pagesBetween(area, area.start, area.last);
	const entry = { ioas, start: area.start, first, last, held };
	pages.areas = pages.areas.length === 0 ? [entry] : [...pages.areas, entry];
	pages.shown = true;
}

const isSame = (entry: PagesArea, ioas: IoasId, start: U64): boolean =>
	entry.start === start && entry.ioas === ioas;

/** An area shows its pages no longer. */
export function hidePages(world: World, ioas: IoasId, area: Area): void {
	if (area.pages === undefined) return;
	const pages = editPages(world, area.pages);
	if (pages === undefined) return;
	const [only] = pages.areas;
	pages.areas =
		pages.areas.length === 1 && only !== undefined
			? isSame(only, ioas, area.start)
				? NO_AREAS
				: pages.areas
			: pages.areas.filter((e) => !isSame(e, ioas, area.start));
}

/** A domain stores an area's frames now, or none does any more. */
export function holdPages(
	world: World,
	ioas: IoasId,
	area: Area,
	held: boolean,
): void {
	if (area.pages === undefined) return;
	const pages = editPages(world, area.pages);
	if (pages === undefined) return;
	const at = pages.areas.findIndex((e) => isSame(e, ioas, area.start));
	const entry = pages.areas[at];
	if (entry === undefined || entry.held === held) return;
	const { start, first, last } = entry;
	const now = { ioas, start, first, last, held };
	pages.areas = pages.areas.length === 1 ? [now] : pages.areas.with(at, now);
}

/** An access pins a range, or lets go of it. */
export function pinRange(
	world: World,
	ioas: Ioas,
	iova: U64,
	len: U64,
	by: 1 | -1,
): void {
	const end = lastOf(iova, len);
	let at = iova;
	for (;;) {
		const area = areaMeeting(ioas.areas, at, at);
		if (area?.pages === undefined) return;
		const last = area.last < end ? area.last : end;
		const pages = pagesOf(world, area.pages);
		const pin = pagesBetween(area, at, last);
		pages.pins = by === 1 ? [...pages.pins, pin] : without(pages.pins, pin);
		if (last >= end) return;
		at = plus(last, 1);
	}
}

function without(pins: readonly PagesPin[], gone: PagesPin): PagesPin[] {
	const at = pins.findIndex(
		(pin) => pin.first === gone.first && pin.last === gone.last,
	);
	return pins.filter((_, i) => i !== at);
}

/** How many pages somebody holds: the union of what areas with a storage domain and access pins cover (PIN-1). */
export function pagesHeld({ areas, pins }: Pages): number {
	const only = areas.length + pins.length === 1 ? areas[0] : undefined;
	if (only !== undefined) return only.held ? only.last - only.first + 1 : 0;
	const spans = [...areas.filter((area) => area.held), ...pins].sort(
		(a, b) => a.first - b.first,
	);
	let held = 0;
	let next = 0;
	for (const { first, last } of spans) {
		const from = first > next ? first : next;
		if (last < from) continue;
		held += last - from + 1;
		next = last + 1;
	}
	return held;
}
