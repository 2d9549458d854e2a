/** A cache run: a log in which what hardware may still hold decides (docs/caches.md), what it breaks, and the same with what makes it right. */
import type { CacheLog } from "./cache-writer.ts";

/** A run. */
export interface CacheRun {
	readonly name: string;
	readonly title: string;
	readonly source: string;
	/** Ids that must be found; empty: it holds. */
	readonly ids: readonly string[];
	/** A device proves what is found. */
	readonly isProven?: true;
	/** What makes it green. */
	readonly fix?: string;
	readonly make: (isFixed: boolean, switches: CacheSwitches) => CacheLog;
}
/** What the header says of the run: enough to run it again. */
export interface CacheSwitches {
	readonly cacheRun: string;
	readonly fix?: true;
}

/** Runs one. */
export const runCaches = (run: CacheRun, isFixed: boolean): CacheLog =>
	run.make(isFixed, { cacheRun: run.name, ...(isFixed ? { fix: true } : {}) });
