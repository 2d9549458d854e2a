/**
 * Where an edit found the last-level table of an I/O virtual range, so that a fold need not walk from the root each time. It
 * never changes a result: an entry is only used while the table it names is certain to be the one a walk would reach, that is
 * until some table is unlinked, the root changes, or the page was copied for writing.
 */
import type { OwnerToken, Page } from "./page.ts";

const SIZE = 2048;
/** Operations before the cache is worth its arrays: a single reduce never makes them. */
const WARM_UP = 32;

const NO_PAGES: (Page | null)[] = [];
/** Copied for each cache: several times faster than being filled each time. */
const EMPTY: readonly (Page | null)[] = Array.from(
	{ length: SIZE },
	() => null,
);
const NO_EPOCHS = new Uint32Array(0);

/** A direct-mapped cache from range number to page. */
export class WalkCache {
	/** Doubles: a range number of a 64-bit address space needs up to 43 bits. */
	#keys: Float64Array | null = null;
	#pages: (Page | null)[] = NO_PAGES;
	#epochs = NO_EPOCHS;
	#epoch = 0;
	#uses = 0;
	#dirty = false;

	/** The last-level table of range `key`, when it is known. */
	find(key: number, token: OwnerToken | undefined): Page | null {
		const keys = this.#keys;
		if (keys === null) return null;
		const index = key & (SIZE - 1);
		if (keys[index] !== key) return null;
		const page = this.#pages[index] as Page;
		return page.owner === token || this.#epochs[index] === this.#epoch
			? page
			: null;
	}

	/** Remembers that a walk for range `key` reached `page`. */
	keep(key: number, page: Page): void {
		if (this.#keys === null) {
			if (++this.#uses < WARM_UP) return;
			this.#keys = new Float64Array(SIZE).fill(-1);
			this.#pages = EMPTY.slice();
			this.#epochs = new Uint32Array(SIZE);
		}
		const index = key & (SIZE - 1);
		this.#keys[index] = key;
		this.#pages[index] = page;
		this.#epochs[index] = this.#epoch;
		this.#dirty = true;
	}

	/** Some page was copied for writing: pages that the edit does not own may be stale. */
	copied(): void {
		this.#epoch++;
	}

	/** Gives the arrays back: for a state that is kept and, most likely, only read. */
	release(): void {
		this.#keys = null;
		this.#pages = NO_PAGES;
		this.#epochs = NO_EPOCHS;
		this.#uses = 0;
		this.#dirty = false;
	}

	/** A table was unlinked or the root changed. */
	clear(): void {
		if (!this.#dirty || this.#keys === null) return;
		this.#keys.fill(-1);
		this.#dirty = false;
	}
}
