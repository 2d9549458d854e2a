/**
 * fail-nth over a scenario: it is run again and again, with its first, second, … n-th failable step failing, until no step is left to fail
 * (as the kernel's iommufd_fail_nth selftest does); every run is judged, and what is violated is told apart: known of Linux 6.12, or new.
 */
import { verifyRecords } from "../replay/verify.ts";
import { type Known, knownOf } from "./known.ts";
import type { RunScenario } from "./run-scenario.ts";
import { type RunOptions, runScenario, type ScenarioRun } from "./run.ts";

/** Nothing violated; only what is known of Linux 6.12 (docs/anomalies.md); something else. */
export type SweepVerdict = "holds" | "known" | "violated";

/** One run of the sweep. */
export interface SweepRun {
	/** Which failable step failed. */
	readonly nth: number;
	/** The call that it made fail, and with what; absent when the failure was tolerated. */
	readonly call?: string;
	readonly errno?: string;
	readonly step?: string;
	readonly verdict: SweepVerdict;
	/** Ids of what is violated that is not violated without a failure. */
	readonly ids: readonly string[];
	/** Those that a known anomaly accounts for. */
	readonly known: readonly Known[];
	/** The others. */
	readonly fresh: readonly string[];
}

/** What a sweep found. */
export interface ScenarioSweep {
	readonly scenario: string;
	/** The worst of its runs. */
	readonly verdict: SweepVerdict;
	/** Ids that the scenario violates by itself. */
	readonly without: readonly string[];
	readonly runs: readonly SweepRun[];
}

/** Bound on the steps of a scenario; ours have at most some hundred. */
const STEPS_MAX = 10_000;

/** Sweeps a scenario. Throws RangeError like `runScenario`. */
export function sweepScenario(
	scenario: RunScenario,
	options: RunOptions = {},
): ScenarioSweep {
	const plain = runScenario(scenario, options);
	const without = idsOf(plain);
	const runs: SweepRun[] = [];
	for (let nth = 1; nth <= STEPS_MAX; nth++) {
		const failing = (set: RunOptions["set"] = {}): ScenarioRun =>
			runScenario(scenario, {
				...options,
				set: { ...options.set, ...set, failNth: nth },
			});
		const run = failing();
		if (run.system.failableSteps < nth) break;
		const { violations } = verifyRecords(run.header, run.records);
		const ids = idsIn(violations).filter((id) => !without.includes(id));
		const failure = failureOf(run, plain);
		const known = knownOf(ids, run.records, violations, (mended) => {
			const other = failing(mended);
			// Mending may take steps away or add some before this one: then another step failed.
			const same =
				JSON.stringify(failureOf(other, plain)) === JSON.stringify(failure);
			return same
				? idsOf(other).filter((id) => !without.includes(id))
				: undefined;
		});
		const fresh = ids.filter(
			(id) => !known.some((one) => one.ids.includes(id)),
		);
		const verdict =
			fresh.length > 0 ? "violated" : ids.length > 0 ? "known" : "holds";
		runs.push({ nth, ...failure, verdict, ids, known, fresh });
	}
	return { scenario: scenario.name, verdict: worst(runs), without, runs };
}

const worst = (runs: readonly SweepRun[]): SweepVerdict =>
	(["violated", "known"] as const).find((verdict) =>
		runs.some((run) => run.verdict === verdict),
	) ?? "holds";

/** The first call that ended otherwise than without a failure. */
function failureOf(
	run: ScenarioRun,
	plain: ScenarioRun,
): Pick<SweepRun, "call" | "errno" | "step"> {
	const failed = Object.entries(run.calls).find(
		([label, { errno }]) =>
			errno !== undefined && plain.calls[label]?.errno !== errno,
	);
	if (failed === undefined) return {};
	const [call, { errno = "", step = "" }] = failed;
	return { call, errno, step };
}

const idsIn = (violations: readonly { readonly id: string }[]): string[] => [
	...new Set(violations.map(({ id }) => id)),
];
const idsOf = ({ header, records }: ScenarioRun): string[] =>
	idsIn(verifyRecords(header, records).violations);
