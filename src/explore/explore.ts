/** Explores a scenario: verdict, shortest counterexamples, reach table, outcomes (DESIGN §7, `explore`). */
import type { Scenario } from "./scenario-schema.ts";
import { type Limits, type SearchResult, search } from "./search.ts";
import { type TableSystem, tableSystem } from "./table-system.ts";
import { STATUS, valueText } from "./model.ts";

/** Limits when nothing else is asked for. */
export const DEFAULT_LIMITS: Limits = {
	maxStates: 20_000_000,
	maxDepth: 100_000,
	maxSeconds: 120,
	maxMemoryBytes: 2 ** 31,
};

/** What a DMA to one page can reach after a step of the observed thread (0 = before its first). */
export interface ReachRow {
	readonly step: number;
	readonly after: string;
	readonly page: number;
	readonly sees: readonly string[];
}

/**
 * A broken invariant. `depth`: steps of threads and dirty writes on a shortest way to it (hardware's fills cost nothing);
 * `minimal: false` when limits kept the search without reduction, which alone knows the shortest, from ending.
 */
export interface ExploreViolation {
	readonly id: string;
	readonly message: string;
	readonly depth: number;
	readonly minimal: boolean;
}

/** The answer of `explore`. */
export interface ExploreResult {
	readonly scenario: string;
	readonly verdict: "holds" | "violated" | "incomplete";
	readonly states: number;
	readonly transitions: number;
	readonly seconds: number;
	readonly complete: boolean;
	readonly stoppedBy?: string;
	readonly violations: readonly ExploreViolation[];
	readonly reach: readonly ReachRow[];
	/** How a run can end: what each thread returned, and what memory says of each page. */
	readonly outcomes: readonly Readonly<Record<string, string>>[];
}

/** Options of `explore`. `now`: a monotonic clock in milliseconds. */
export interface ExploreOptions {
	readonly now: () => number;
	readonly limits?: Partial<Limits>;
	readonly onProgress?: ((states: number) => void) | undefined;
	/** Visit every interleaving without partial-order reduction. */
	readonly full?: boolean;
	/** Every hardware fill and eviction is a move of its own. */
	readonly explicit?: boolean;
}

/** Explores. Throws ScenarioError for a scenario that cannot be used. */
export function explore(
	scenario: Scenario,
	options: ExploreOptions,
): ExploreResult {
	const system = tableSystem(scenario, { explicit: options.explicit === true });
	const observed = observedThread(scenario, system);
	const reach = new Reach(system, observed);
	const outcomes = new Outcomes(system);
	const alone = system.model.threads.length === 1;
	const symmetry =
		options.full === true || observed >= 0 ? undefined : system.symmetry;
	const visiting: TableSystem = {
		...system,
		...(observed >= 0 ? { visit: (s: Uint8Array) => reach.visit(s) } : {}),
		...(symmetry === undefined
			? {}
			: { canonicalize: (s: Uint8Array) => symmetry.canonicalize(s) }),
		ended: (s) => {
			if (symmetry === undefined) outcomes.add(s);
			else symmetry.orbit(s, (renamed) => outcomes.add(renamed));
			system.ended(s);
		},
	};
	const result: SearchResult = search(visiting, {
		reduce: options.full !== true && (observed < 0 || alone),
		limits: { ...DEFAULT_LIMITS, ...options.limits },
		now: options.now,
		onProgress: options.onProgress,
	});
	const violated = result.found.length > 0;
	const shortest = alone ? result : shortestWays(scenario, options, result);
	return {
		scenario: scenario.name,
		verdict: violated ? "violated" : result.complete ? "holds" : "incomplete",
		states: result.states,
		transitions: result.transitions,
		seconds: result.seconds,
		complete: result.complete,
		...(result.stoppedBy === undefined ? {} : { stoppedBy: result.stoppedBy }),
		violations: result.found.map((f) => {
			const best = shortest?.found.find((other) => other.id === f.id);
			return {
				id: f.id,
				message: (best ?? f).message,
				depth: (best ?? f).moves.length,
				minimal: best !== undefined,
			};
		}),
		reach: reach.rows(),
		outcomes: outcomes.list(),
	};
}

/** Largest full search that is made only to find shorter ways. */
export const SHORTEST_STATES = 1_000_000;

/** A search without reduction for the ids that the reduced one found; undefined when a limit ended it. */
function shortestWays(
	scenario: Scenario,
	options: ExploreOptions,
	reduced: SearchResult,
): SearchResult | undefined {
	if (options.full === true || reduced.found.length === 0) return reduced;
	const limits = { ...DEFAULT_LIMITS, ...options.limits };
	const result = search(
		tableSystem(scenario, { explicit: options.explicit === true }),
		{
			reduce: false,
			limits: {
				...limits,
				maxStates: Math.min(limits.maxStates, SHORTEST_STATES),
			},
			now: options.now,
			until: new Set(reduced.found.map((f) => f.id)),
		},
	);
	return result.stoppedBy === undefined ? result : undefined;
}

function observedThread(scenario: Scenario, system: TableSystem): number {
	const { threads } = system.model;
	if (scenario.observe === undefined) return threads.length === 1 ? 0 : -1;
	return threads.findIndex((t) => t.name === scenario.observe);
}

/** Collects the reach table over states. */
class Reach {
	readonly #system: TableSystem;
	readonly #thread: number;
	readonly #seen: Int32Array[] = [];

	constructor(system: TableSystem, thread: number) {
		this.#system = system;
		this.#thread = thread;
	}

	visit(s: Uint8Array): void {
		const { model, programs, checks } = this.#system;
		const thread = model.threads[this.#thread];
		if (thread === undefined) return;
		const program = programs[this.#thread] ?? [];
		const pc = s[thread.pc] as number;
		const operation = program[pc];
		if (operation !== undefined && !operation.first) return;
		const step = operation?.step ?? thread.steps.length;
		this.#seen[step] ??= new Int32Array(model.pages);
		const row = this.#seen[step];
		if (s[model.dma] !== 0) return;
		const sight = checks.sight(s);
		for (let p = 0; p < model.pages; p++)
			row[p] = (row[p] as number) | (sight[p] as number);
	}

	rows(): ReachRow[] {
		const { model, programs, checks } = this.#system;
		const program = programs[this.#thread] ?? [];
		const rows: ReachRow[] = [];
		this.#seen.forEach((row, step) => {
			const before = program.filter((o) => o.step === step - 1);
			const after = before[0]?.text ?? "start";
			for (let page = 0; page < model.pages; page++)
				rows.push({
					step,
					after,
					page,
					sees: checks.words.filter(
						(_, i) => ((row[page] as number) & (1 << i)) !== 0,
					),
				});
		});
		return rows;
	}
}

/** Collects how runs end. */
class Outcomes {
	readonly #system: TableSystem;
	readonly #found = new Map<string, Record<string, string>>();

	constructor(system: TableSystem) {
		this.#system = system;
	}

	add(s: Uint8Array): void {
		const { model, results, checks } = this.#system;
		const outcome: Record<string, string> = {};
		for (const thread of model.threads) {
			const result = results[s[thread.result] as number] ?? "";
			if (result !== "") outcome[thread.name] = result;
		}
		for (let page = 0; page < model.pages; page++)
			outcome[`page ${page}`] = valueText(model, checks.walk(s, page));
		model.tables.forEach((table, number) => {
			if (number === 0) return;
			const status = s[table.status] as number;
			const name = Object.entries(STATUS).find(([, v]) => v === status)?.[0];
			outcome[table.name] = name === "flushed" ? "unlinked" : (name ?? "?");
		});
		const key = JSON.stringify(outcome);
		if (!this.#found.has(key)) this.#found.set(key, outcome);
	}

	list(): Readonly<Record<string, string>>[] {
		return [...this.#found.keys()]
			.sort()
			.map((key) => this.#found.get(key) as Record<string, string>);
	}
}
