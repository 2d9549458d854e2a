/**
 * The persistent vector of table pages, by table number: a radix tree of 32-way nodes, as deep as the highest number needs. Numbers are
 * never used twice, so a freed table is an empty place and a node whose tables are all freed is dropped.
 *
 * A node is a plain array: in place 0 the token of the edit that made it, then its children. Copying the path to one page is what a single
 * `reduce` mostly does, so nodes have no object around them and are only as long as they are filled.
 */
import { copyPage, type OwnerToken, type Page } from "./page.ts";

const BITS = 5;
const MASK = 2 ** BITS - 1;

type Node = (Node | Page | OwnerToken | undefined)[];
/** Place of child `index`, after the owner. */
const FIRST_CHILD = 1;

/** All table pages of one state. Readonly for everyone but the edit that made it. */
export class PageStore {
	root: Node;
	/** Bits of a table number below those that index the root. */
	shift: number;
	constructor(root: Node, shift: number) {
		this.root = root;
		this.shift = shift;
	}
}

/** A store without tables. */
export const emptyStore = (): PageStore => new PageStore([undefined], 0);

/** A store for another edit: it shares everything until it writes. */
export const copyStore = (store: PageStore): PageStore =>
	new PageStore(store.root, store.shift);

/** The page with this number, or undefined when it was never made or has been freed. */
export function findPage(store: PageStore, id: number): Page | undefined {
	let shift = store.shift;
	// Not masked: a number beyond the root's reach has no place there.
	let place = (id >>> shift) + FIRST_CHILD;
	let node = store.root;
	while (shift > 0) {
		const child = node[place] as Node | undefined;
		if (child === undefined) return undefined;
		node = child;
		shift -= BITS;
		place = ((id >>> shift) & MASK) + FIRST_CHILD;
	}
	return node[place] as Page | undefined;
}

/** `node`, or a copy of it that `owner` may change. */
function ownNode(node: Node | undefined, owner: OwnerToken): Node {
	if (node === undefined) return [owner];
	if (node[0] === owner) return node;
	const copy = node.slice();
	copy[0] = owner;
	return copy;
}

/** The last node on the way to table `id`, and with it all nodes above, made writable for `owner`. */
function ownedLeaf(store: PageStore, owner: OwnerToken, id: number): Node {
	while (id >>> store.shift > MASK) {
		store.root = [owner, store.root];
		store.shift += BITS;
	}
	let node = ownNode(store.root, owner);
	store.root = node;
	for (let shift = store.shift; shift > 0; shift -= BITS) {
		const place = ((id >>> shift) & MASK) + FIRST_CHILD;
		const child = ownNode(node[place] as Node | undefined, owner);
		setPlace(node, place, child);
		node = child;
	}
	return node;
}

/** Writes one place of an owned node, which grows up to it: no holes, so that V8 keeps it a plain list. */
function setPlace(
	node: Node,
	place: number,
	child: Node | Page | undefined,
): void {
	while (node.length < place) node.push(undefined);
	node[place] = child;
}

/** Puts a page into a store that belongs to the edit `owner`. */
export function putPage(store: PageStore, owner: OwnerToken, page: Page): void {
	setPlace(
		ownedLeaf(store, owner, page.id),
		(page.id & MASK) + FIRST_CHILD,
		page,
	);
}

/** The page with this number, made writable for `owner`. */
export function ownPage(store: PageStore, owner: OwnerToken, page: Page): Page {
	const copy = copyPage(page, owner);
	ownedLeaf(store, owner, page.id)[(page.id & MASK) + FIRST_CHILD] = copy;
	return copy;
}

/** Takes a freed page out of a store that belongs to the edit `owner`. */
export function dropPage(
	store: PageStore,
	owner: OwnerToken,
	id: number,
): void {
	ownedLeaf(store, owner, id);
	dropBelow(store.root, store.shift, id);
}

/** Empties the place of `id`, and every place on the way to it whose node is empty then. */
function dropBelow(node: Node, shift: number, id: number): void {
	const place = ((id >>> shift) & MASK) + FIRST_CHILD;
	if (shift > 0) {
		const child = node[place] as Node;
		dropBelow(child, shift - BITS, id);
		if (!isEmpty(child)) return;
	}
	node[place] = undefined;
}

function isEmpty(node: Node): boolean {
	for (let place = FIRST_CHILD; place < node.length; place++)
		if (node[place] !== undefined) return false;
	return true;
}

/** Calls `visit` for every page in the store, in order of table number. */
export function eachPage(store: PageStore, visit: (page: Page) => void): void {
	eachBelow(store.root, store.shift, visit);
}

function eachBelow(
	node: Node,
	shift: number,
	visit: (page: Page) => void,
): void {
	for (let place = FIRST_CHILD; place < node.length; place++) {
		const child = node[place];
		if (child === undefined) continue;
		if (shift === 0) visit(child as Page);
		else eachBelow(child as Node, shift - BITS, visit);
	}
}
