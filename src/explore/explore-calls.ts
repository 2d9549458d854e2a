/** Explores concurrent calls: verdict, shortest way to each violation, and that way as a log. */
import { LineCounter, parseDocument } from "yaml";
import type { LogRecord } from "../vocabulary/records.ts";
import type { CallScenario } from "./call-scenario.ts";
import { callScenarioSchema } from "./call-scenario.ts";
import { callSystem } from "./call-system.ts";
import { DEFAULT_LIMITS } from "./explore.ts";
import { ScenarioError } from "./scenario-file.ts";
import { type Limits, search } from "./search.ts";
import type { ExploreLog } from "./to-log.ts";

/** A violation under concurrent calls. */
export interface CallViolation {
	readonly id: string;
	readonly message: string;
	readonly depth: number;
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
	readonly violations: readonly CallViolation[];
}

/** Parses a scenario about calls (YAML or JSON). Throws ScenarioError. */
export function parseCallScenario(text: string, file: string): CallScenario {
	const lines = new LineCounter();
	const doc = parseDocument(text, { lineCounter: lines });
	const broken = doc.errors[0];
	if (broken !== undefined) {
		const at = lines.linePos(broken.pos[0]);
		throw new ScenarioError(`${file}:${at.line}:${at.col}: ${broken.message}`);
	}
	const result = callScenarioSchema.safeParse(doc.toJS({ maxAliasCount: 100 }));
	if (result.success) return result.data;
	const issue = result.error.issues[0];
	throw new ScenarioError(
		`${file}: ${issue?.path.join(".")}: ${issue?.message}`,
	);
}

/** Explores. `now`: a monotonic clock in milliseconds. */
export function exploreCalls(
	scenario: CallScenario,
	options: { readonly now: () => number; readonly limits?: Partial<Limits> },
): CallResult {
	const system = callSystem(scenario);
	const result = search(system, {
		reduce: false,
		limits: { ...DEFAULT_LIMITS, ...options.limits },
		now: options.now,
	});
	const violated = result.found.length > 0;
	const violations = result.found.map((found): CallViolation => {
		const state = new Uint8Array(system.bytes);
		const fresh = callSystem(scenario);
		fresh.initial(state);
		const way: string[] = [];
		const start = state.slice();
		for (const move of found.moves) {
			way.push(fresh.describe(state, move));
			fresh.apply(state, move);
		}
		const facts = fresh.narrate(start, found.moves) ?? [];
		const records = facts.map(
			({ type, actor, data, op }, i) =>
				({ seq: i + 1, t: i + 1, type, actor, op, data }) as LogRecord,
		);
		return {
			id: found.id,
			message: found.message,
			depth: found.moves.length,
			way,
			log: { header: fresh.host.header, records },
		};
	});
	return {
		scenario: scenario.name,
		verdict: violated ? "violated" : result.complete ? "holds" : "incomplete",
		states: result.states,
		transitions: result.transitions,
		seconds: result.seconds,
		complete: result.complete,
		violations,
	};
}
