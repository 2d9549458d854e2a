/**
 * Numbered slots as immutable data, in pages, as the kernel keeps object ids in an xarray (iommufd/main.c:_iommufd_object_alloc): a change
 * copies one page and the list of pages, and the lowest free number is found by looking at pages that are not full. Equal contents are equal data.
 */

/** Numbers 64p+1 … 64p+64; `taken` counts them. */
interface Page<T> {
	readonly taken: number;
	readonly slots: { readonly [id: number]: T };
}
/** Values by number, from 1 on. */
export type IdTable<T> = readonly Page<T>[];

const PAGE_SIZE = 64;
const NONE: Page<never> = { taken: 0, slots: {} };
const pageOf = (id: number): number => Math.floor((id - 1) / PAGE_SIZE);

/** What stands at a number; undefined when it is free. */
export const idGet = <T>(table: IdTable<T>, id: number): T | undefined =>
	table[pageOf(id)]?.slots[id];

/** The lowest number that is free. */
export function lowestFree(table: IdTable<unknown>): number {
	const at = table.findIndex(({ taken }) => taken < PAGE_SIZE);
	if (at < 0) return table.length * PAGE_SIZE + 1;
	let id = at * PAGE_SIZE + 1;
	while (Object.hasOwn(table[at]!.slots, id)) id++;
	return id;
}

/** The table with a value at a number. */
export function idSet<T>(
	table: IdTable<T>,
	id: number,
	value: T,
): readonly Page<T>[] {
	const at = pageOf(id);
	const pages = table.slice();
	while (pages.length <= at) pages.push(NONE);
	const { taken, slots } = pages[at]!;
	const more = Object.hasOwn(slots, id) ? 0 : 1;
	pages[at] = { taken: taken + more, slots: { ...slots, [id]: value } };
	return pages;
}

/** The table with a number free again. */
export function idFree<T>(table: IdTable<T>, id: number): IdTable<T> {
	const at = pageOf(id);
	const page = table[at];
	if (page === undefined || !Object.hasOwn(page.slots, id)) return table;
	const { [id]: _, ...slots } = page.slots;
	const pages = table.slice();
	pages[at] = { taken: page.taken - 1, slots };
	while (pages.at(-1)?.taken === 0) pages.pop();
	return pages;
}

/** Numbers that are taken, ascending. */
export const idNumbers = (table: IdTable<unknown>): number[] =>
	table.flatMap(({ slots }) => Object.keys(slots).map(Number));
/** What stands at them, in that order. */
export const idValues = <T>(table: IdTable<T>): T[] =>
	table.flatMap(({ slots }) => Object.values(slots));

/** A table of numbers and values. */
export const idTableOf = <T>(
	entries: Iterable<readonly [number, T]>,
): IdTable<T> => {
	let table: IdTable<T> = [];
	for (const [id, value] of entries) table = idSet(table, id, value);
	return table;
};
