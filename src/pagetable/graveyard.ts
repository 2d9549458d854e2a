/**
 * Tables freed while another operation may still hold them: what a stale pointer reads and writes (facts §4, use after free).
 *
 * Only kept while a race is armed. The allocator hands out the page that was freed last, as the harness of the golden vectors and most
 * allocators do: who still holds the old table then reads and writes the new one.
 */
import { copyPage, samePage, type OwnerToken, type Page } from "./page.ts";

interface Grave {
	readonly whenFreed: Page;
	readonly now: Page;
}

/** The freed tables of one operation. */
export class Graveyard {
	readonly #graves = new Map<number, Grave>();
	readonly #heirs = new Map<number, number>();

	/** A table is freed. `page` must be owned by `owner`. */
	bury(page: Page, owner: OwnerToken): void {
		this.#graves.set(page.id, { whenFreed: page, now: copyPage(page, owner) });
	}

	/** A table of `sizePages` is allocated under number `id`: perhaps in the memory of the one freed last. */
	reuse(id: number, sizePages: number): void {
		let last: number | undefined;
		for (const table of this.#graves.keys()) last = table;
		if (last === undefined) return;
		if (this.#graves.get(last)?.whenFreed.sizePages !== sizePages) return;
		this.#graves.delete(last);
		this.#heirs.set(last, id);
	}

	/** The freed table as it is now. */
	find(id: number): Page | undefined {
		return this.#graves.get(id)?.now;
	}

	/** The number under which the memory of table `id` was handed out last. */
	latest(id: number): number {
		let latest = id;
		for (;;) {
			const heir = this.#heirs.get(latest);
			if (heir === undefined) return latest;
			latest = heir;
		}
	}

	/** Freed tables whose contents have changed since. */
	changed(): number[] {
		const list: number[] = [];
		for (const [id, { whenFreed, now }] of this.#graves)
			if (!samePage(whenFreed, now)) list.push(id);
		return list;
	}
}
