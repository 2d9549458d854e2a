/** Explores concurrent calls: verdict, shortest way to each violation, and that way as a log. */
import type { LogRecord } from "../vocabulary/records.ts";
import type { CallScenario } from "./call-scenario.ts";
import { callHost } from "./call-host.ts";
import { callScenarioSchema } from "./call-scenario.ts";
import { WARNINGS } from "./call-checks.ts";
import { StoreFull } from "./call-store.ts";
import { type CallSystem, callSystem, ROOM } from "./call-system.ts";
import { DEFAULT_LIMITS, SHORTEST_STATES } from "./explore.ts";
import { parseFile } from "./scenario-file.ts";
import { type Limits, type SearchResult, search } from "./search.ts";
import type { ExploreLog } from "./to-log.ts";

/** A violation under concurrent calls. */
export interface CallViolation {
	readonly id: string;
	readonly message: string;
	readonly depth: number;
	/** False when limits kept the search without reduction, which alone knows the shortest way, from ending. */
	readonly minimal: boolean;
	/** The steps that lead there, one a line. */
	readonly way: readonly string[];
	readonly log: ExploreLog;
}
/** The answer. */
export interface CallResult {
	readonly scenario: string;
	readonly verdict: "holds" | "violated" | "incomplete";
	readonly states: number;
	readonly transitions: number;
	readonly seconds: number;
	readonly complete: boolean;
	readonly stoppedBy?: string;
	readonly violations: readonly CallViolation[];
	/** Risks that a kernel may take: they decide no verdict. */
	readonly warnings: readonly CallViolation[];
}

/** Parses a scenario about calls (YAML or JSON). Throws ScenarioError. */
export const parseCallScenario = (text: string, file: string): CallScenario =>
	parseFile(callScenarioSchema, text, file, (scenario) => {
		callHost(scenario);
	});

/** Options of `exploreCalls`. `now`: a monotonic clock in milliseconds; `full`: without partial-order reduction. */
export interface CallOptions {
	readonly now: () => number;
	readonly limits?: Partial<Limits>;
	readonly full?: boolean;
	readonly onProgress?: ((states: number) => void) | undefined;
}

/** Explores. Throws what the set-up of the scenario throws. */
export function exploreCalls(
	scenario: CallScenario,
	options: CallOptions,
): CallResult {
	for (let room: number | undefined; ; room = (room ?? ROOM) * 2)
		try {
			return exploreWith(callSystem(scenario, room), scenario, options);
		} catch (error) {
			if (!(error instanceof StoreFull)) throw error;
		}
}

function exploreWith(
	system: CallSystem,
	scenario: CallScenario,
	options: CallOptions,
): CallResult {
	const start = options.now();
	const result = verdictOf(system, options);
	const shortest = shortestWays(system, options, result);
	const found = result.found.map((found): CallViolation => {
		const best = shortest?.found.find(({ id }) => id === found.id);
		const { id, message, moves } = best ?? found;
		return {
			id,
			message,
			depth: moves.length,
			minimal: best !== undefined,
			...told(scenario, moves),
		};
	});
	const { states, transitions, complete, stoppedBy } = result;
	const violations = found.filter(({ id }) => !WARNINGS.has(id));
	const violated = violations.length > 0;
	return {
		scenario: scenario.name,
		verdict: violated ? "violated" : complete ? "holds" : "incomplete",
		states,
		transitions,
		seconds: (options.now() - start) / 1000,
		complete,
		...(stoppedBy === undefined ? {} : { stoppedBy }),
		violations,
		warnings: found.filter(({ id }) => WARNINGS.has(id)),
	};
}

/** The search that decides. */
export const verdictOf = (
	system: CallSystem,
	{ now, limits, full, onProgress }: CallOptions,
): SearchResult =>
	search(system, {
		reduce: full !== true,
		limits: { ...DEFAULT_LIMITS, ...limits },
		now,
		onProgress,
	});

/** A search without reduction for the ids that were found; undefined when a limit ended it. */
function shortestWays(
	system: CallSystem,
	{ now, limits, full }: CallOptions,
	reduced: SearchResult,
): SearchResult | undefined {
	if (full === true || reduced.found.length === 0) return reduced;
	const all = { ...DEFAULT_LIMITS, ...limits };
	const result = search(system, {
		reduce: false,
		limits: {
			...all,
			maxStates: Math.min(all.maxStates, SHORTEST_STATES),
		},
		now,
		until: new Set(reduced.found.map(({ id }) => id)),
	});
	return result.stoppedBy === undefined ? result : undefined;
}

/** A way in words, and as a log. */
function told(
	scenario: CallScenario,
	moves: readonly number[],
): Pick<CallViolation, "way" | "log"> {
	const system = callSystem(scenario, ROOM * 4);
	const state = new Uint8Array(system.bytes);
	system.initial(state);
	const start = state.slice();
	const way: string[] = [];
	for (const move of moves) {
		way.push(system.describe(state, move));
		system.apply(state, move);
	}
	const facts = system.narrate(start, moves) ?? [];
	const records = facts.map(
		({ type, actor, data, op }, i) =>
			({ seq: i + 1, t: i + 1, type, actor, op, data }) as LogRecord,
	);
	return { way, log: { header: system.host.header, records } };
}
