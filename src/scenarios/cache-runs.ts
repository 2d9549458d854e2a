/** The cache runs that ship (cache-run.ts). docs/cache-runs.md lists them. */
import type { CacheRun } from "./cache-run.ts";
import { CACHE_RUNS_BY_DOMAIN } from "./cache-runs-domain.ts";
import { CACHE_RUNS_BY_QUEUE } from "./cache-runs-queue.ts";

/** All of them. */
export const CACHE_RUNS: readonly CacheRun[] = [
	...CACHE_RUNS_BY_QUEUE,
	...CACHE_RUNS_BY_DOMAIN,
];
