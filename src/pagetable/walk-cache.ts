/**
 * Where an edit found the last-level table of an I/O virtual range, so that a fold need not walk from the root each time. It
 * never changes a result: an entry is only used while the table it names is certain to be the one a walk would reach, that is
 * until some table is unlinked, the root changes, or the page was copied for writing.
 */
import type { OwnerToken, Page } from "./page.ts";

const SIZE = 2048;
/** Copied for each cache: several times faster than being filled each time. */
const EMPTY: readonly (Page | null)[] = Array.from(
	{ length: SIZE },
	() => null,
);

/** A direct-mapped cache from range number to page. */
export class WalkCache {
	/** Doubles: a range number of a 64-bit address space needs up to 43 bits. */
	readonly #keys = new Float64Array(SIZE).fill(-1);
	readonly #pages = EMPTY.slice();
	readonly #epochs = new Uint32Array(SIZE);
	#epoch = 0;
	#dirty = false;

	/** The last-level table of range `key`, when it is known. */
	find(key: number, token: OwnerToken | undefined): Page | null {
		const index = key & (SIZE - 1);
		if (this.#keys[index] !== key) return null;
		const page = this.#pages[index] as Page;
		return page.owner === token || this.#epochs[index] === this.#epoch
			? page
			: null;
	}

	/** Remembers that a walk for range `key` reached `page`. */
	keep(key: number, page: Page): void {
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

	/** A table was unlinked or the root changed. */
	clear(): void {
		if (!this.#dirty) return;
		this.#keys.fill(-1);
		this.#dirty = false;
	}
}
