/**
 * The persistent vector of table pages, by table number: two inner levels of 32 under a top array. Numbers are never used twice, so a
 * freed table is an empty place and a chunk whose tables are all freed is dropped.
 */
import { copyPage, type OwnerToken, type Page } from "./page.ts";

const CHUNK_BITS = 5;
const CHUNK_SIZE = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_SIZE - 1;
const TOP_SHIFT = 2 * CHUNK_BITS;

/** A node of the vector. */
export class Chunk<T> {
	owner: OwnerToken;
	used: number;
	readonly slots: (T | undefined)[];
	constructor(owner: OwnerToken, used: number, slots: (T | undefined)[]) {
		this.owner = owner;
		this.used = used;
		this.slots = slots;
	}
}
const emptyChunk = <T>(owner: OwnerToken): Chunk<T> =>
	new Chunk<T>(
		owner,
		0,
		Array.from({ length: CHUNK_SIZE }, () => undefined),
	);

/** All table pages of one state. Readonly for everyone but the edit whose token it carries. */
export class PageStore {
	owner: OwnerToken;
	readonly top: (Chunk<Chunk<Page>> | undefined)[];
	constructor(owner: OwnerToken, top: (Chunk<Chunk<Page>> | undefined)[]) {
		this.owner = owner;
		this.top = top;
	}
}

/** The page with this number, or undefined when it was never made or has been freed. */
export function findPage(store: PageStore, id: number): Page | undefined {
	return store.top[id >>> TOP_SHIFT]?.slots[(id >>> CHUNK_BITS) & CHUNK_MASK]
		?.slots[id & CHUNK_MASK];
}

function ownedLeafChunk(
	store: PageStore,
	owner: OwnerToken,
	id: number,
): Chunk<Page> {
	let middle = store.top[id >>> TOP_SHIFT];
	if (middle === undefined || middle.owner !== owner) {
		middle =
			middle === undefined
				? emptyChunk(owner)
				: new Chunk(owner, middle.used, middle.slots.slice());
		store.top[id >>> TOP_SHIFT] = middle;
	}
	const index = (id >>> CHUNK_BITS) & CHUNK_MASK;
	let leaf = middle.slots[index];
	if (leaf === undefined || leaf.owner !== owner) {
		if (leaf === undefined) middle.used++;
		leaf =
			leaf === undefined
				? emptyChunk(owner)
				: new Chunk(owner, leaf.used, leaf.slots.slice());
		middle.slots[index] = leaf;
	}
	return leaf;
}

/** A store for another owner, sharing everything below the top array. */
export const copyStore = (store: PageStore, owner: OwnerToken): PageStore =>
	new PageStore(owner, store.top.slice());

/** Puts a page into a store that `owner` owns. */
export function putPage(store: PageStore, owner: OwnerToken, page: Page): void {
	const leaf = ownedLeafChunk(store, owner, page.id);
	if (leaf.slots[page.id & CHUNK_MASK] === undefined) leaf.used++;
	leaf.slots[page.id & CHUNK_MASK] = page;
}

/** Takes a freed page out of a store that `owner` owns. */
export function dropPage(
	store: PageStore,
	owner: OwnerToken,
	id: number,
): void {
	const leaf = ownedLeafChunk(store, owner, id);
	if (leaf.slots[id & CHUNK_MASK] === undefined) return;
	leaf.slots[id & CHUNK_MASK] = undefined;
	leaf.used--;
	if (leaf.used > 0) return;
	const middle = store.top[id >>> TOP_SHIFT] as Chunk<Chunk<Page>>;
	middle.slots[(id >>> CHUNK_BITS) & CHUNK_MASK] = undefined;
	middle.used--;
	if (middle.used === 0) store.top[id >>> TOP_SHIFT] = undefined;
}

/** The page with this number, made writable for `owner`. */
export function ownPage(store: PageStore, owner: OwnerToken, page: Page): Page {
	const copy = copyPage(page, owner);
	ownedLeafChunk(store, owner, page.id).slots[page.id & CHUNK_MASK] = copy;
	return copy;
}

/** Calls `visit` for every page in the store, in order of table number. */
export function eachPage(store: PageStore, visit: (page: Page) => void): void {
	for (const middle of store.top) {
		if (middle === undefined) continue;
		for (const leaf of middle.slots) {
			if (leaf === undefined) continue;
			for (const page of leaf.slots) if (page !== undefined) visit(page);
		}
	}
}
