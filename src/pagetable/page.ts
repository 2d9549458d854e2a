/**
 * Table pages and the store that holds them: the "memory" of one page table.
 *
 * A table is an array of 64-bit entry words. A word is kept as one double (see formats/: each format squeezes its 64-bit
 * word into 53 bits without loss), in lines of at least 16 entries. Lines that were never written are one shared line of zeros,
 * so scattered mappings stay small and copying a table copies 32 pointers. Doubles in plain arrays beat typed arrays here: a
 * 4 KiB typed array costs about 1.5 µs to make in V8, a line of 16 doubles 40 ns, and both need 8 bytes an entry.
 *
 * Tables are found by number ("frame of the table"), as hardware finds them by address, not by JavaScript reference: an
 * operation interrupted by another one then sees what a real CPU would see, freed tables included.
 *
 * Sharing: pages and store nodes carry the owner token of the edit that made them. An edit changes what it owns in place and
 * copies the rest, so every earlier state stays valid.
 */

/** Lines in a table, whatever its size (tables of fewer than 512 entries have lines of 16). */
const LINES = 32;
const MIN_LINE_SHIFT = 4;
const MAX_LINE_SHIFT = 12;

/** Where a table page stands in its life (facts §4). Freed pages are no longer in the store. */
export const TABLE_STATES = [
	"private",
	"linked",
	"unlinked",
	"quarantined",
] as const;
/** Index into TABLE_STATES. */
export type TableStateIndex = 0 | 1 | 2 | 3;
export const PRIVATE = 0;
export const LINKED = 1;
export const UNLINKED = 2;
export const QUARANTINED = 3;

/** What owns pages and nodes: identity only. */
export class OwnerToken {
	/** Tells tokens from other empty objects to the type checker. */
	declare private readonly brand: undefined;
}

function zeroLine(length: number): number[] {
	// Filled with a fraction first, so that V8 chooses unboxed doubles and slices inherit it.
	const line = Array.from({ length }, () => 0.5);
	return line.fill(0);
}
const ZERO_LINES: readonly (readonly number[])[] = Array.from(
	{ length: MAX_LINE_SHIFT + 1 },
	(_, shift) => (shift < MIN_LINE_SHIFT ? [] : zeroLine(2 ** shift)),
);
const ZERO_TABLES: readonly (readonly number[])[][] = ZERO_LINES.map((line) =>
	Array.from({ length: LINES }, () => line),
);

/** log2 of the entries per line of a table with 2^bits entries. */
export const lineShiftOf = (bits: number): number =>
	Math.max(MIN_LINE_SHIFT, bits - 5);

// What never changes about a page is packed into one small integer, since every page written by an edit is a copy.
const BITS_AT = 4;
const LEVEL_AT = 9;
const SIZE_AT = 12;
const LINE_SHIFT_MASK = 15;

/** One table page (or several concatenated ones that act as one root). */
export class Page {
	readonly id: number;
	/** sizePages, level, bits and lineShift, from the highest bit down. */
	readonly shape: number;
	state: TableStateIndex;
	/** The token of the edit that may write here. */
	owner: OwnerToken;
	/** Bit i: line i belongs to this page alone. Meaningful for the owner only. */
	ownedLines: number;
	readonly lines: (readonly number[])[];

	constructor(
		id: number,
		shape: number,
		state: TableStateIndex,
		owner: OwnerToken,
		lines: (readonly number[])[],
	) {
		this.id = id;
		this.shape = shape;
		this.state = state;
		this.owner = owner;
		this.ownedLines = 0;
		this.lines = lines;
	}

	/** log2 of the entries of a line. */
	get lineShift(): number {
		return this.shape & LINE_SHIFT_MASK;
	}
	/** Entries of a line minus one. */
	get lineMask(): number {
		return (1 << (this.shape & LINE_SHIFT_MASK)) - 1;
	}
	/** log2 of the number of entries. */
	get bits(): number {
		return (this.shape >> BITS_AT) & 31;
	}
	/** The level number the format uses in dumps. */
	get level(): number {
		return (this.shape >> LEVEL_AT) & 7;
	}
	/** 4 KiB pages that the kernel's allocator hands out for this table. */
	get sizePages(): number {
		return this.shape >> SIZE_AT;
	}
}

/** A new table of zeros. */
export function zeroPage(
	id: number,
	level: number,
	bits: number,
	sizePages: number,
	owner: OwnerToken,
): Page {
	const lines = (
		ZERO_TABLES[lineShiftOf(bits)] as (readonly number[])[]
	).slice();
	const shape =
		(sizePages << SIZE_AT) |
		(level << LEVEL_AT) |
		(bits << BITS_AT) |
		lineShiftOf(bits);
	return new Page(id, shape, PRIVATE, owner, lines);
}

/** The same table for another owner; lines stay shared until they are written. */
export const copyPage = (page: Page, owner: OwnerToken): Page =>
	new Page(page.id, page.shape, page.state, owner, page.lines.slice());

/** The word in one slot. */
export function wordAt(page: Page, slot: number): number {
	const shift = page.lineShift;
	const line = page.lines[slot >> shift] as readonly number[];
	return line[slot & ((1 << shift) - 1)] as number;
}

/** The line that holds `slot`, writable. The page must be owned by the caller. */
export function writableLine(page: Page, slot: number): number[] {
	const index = slot >> page.lineShift;
	const line = page.lines[index] as readonly number[];
	if ((page.ownedLines & (1 << index)) !== 0) return line as number[];
	const copy = line.slice();
	page.lines[index] = copy;
	page.ownedLines |= 1 << index;
	return copy;
}

/** True when the line was never written since the table was made: nothing to find there. */
export const lineIsBlank = (page: Page, lineIndex: number): boolean =>
	page.lines[lineIndex] === ZERO_LINES[page.lineShift];

/** Is there no entry at all in this table? The kernel keeps such tables (facts §9). */
export function pageIsEmpty(page: Page): boolean {
	// A small root has fewer entries than its memory would hold.
	const entries = 2 ** page.bits;
	for (let slot = 0; slot < entries; slot++) {
		if (
			(slot & page.lineMask) === 0 &&
			lineIsBlank(page, slot >> page.lineShift)
		)
			slot += page.lineMask;
		else if (wordAt(page, slot) !== 0) return false;
	}
	return true;
}

/** Do two tables hold the same words? */
export function samePage(a: Page, b: Page): boolean {
	return a.lines.every((line, i) => {
		const other = b.lines[i] as readonly number[];
		return line === other || line.every((word, j) => word === other[j]);
	});
}
