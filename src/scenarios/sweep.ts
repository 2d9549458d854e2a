/**
 * fail-nth over a scenario: it is run again and again, with its first, second, … n-th failable step failing, until no step is left to fail
 * (as the kernel's iommufd_fail_nth selftest does); every run is judged.
 */
import { verifyRecords } from "../replay/verify.ts";
import type { RunScenario } from "./run-scenario.ts";
import { type RunOptions, runScenario } from "./run.ts";

/** One run of the sweep. */
export interface SweepRun {
	/** Which failable step failed. */
	readonly nth: number;
	/** The call that it made fail, and with what; absent when the failure was tolerated. */
	readonly call?: string;
	readonly errno?: string;
	readonly step?: string;
	readonly verdict: string;
	/** Ids of what is violated that is not violated without a failure. */
	readonly ids: readonly string[];
}

/** What a sweep found. */
export interface ScenarioSweep {
	readonly scenario: string;
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
		const run = runScenario(scenario, {
			...options,
			set: { ...options.set, failNth: nth },
		});
		if (run.system.failableSteps < nth) break;
		const failed = Object.entries(run.calls).find(
			([label, { errno }]) =>
				errno !== undefined && plain.calls[label]?.errno !== errno,
		);
		const ids = idsOf(run).filter((id) => !without.includes(id));
		runs.push({
			nth,
			...(failed === undefined
				? {}
				: {
						call: failed[0],
						errno: failed[1].errno ?? "",
						step: failed[1].step ?? "",
					}),
			verdict: ids.length > 0 ? "violated" : "holds",
			ids,
		});
	}
	return { scenario: scenario.name, without, runs };
}

const idsOf = ({
	header,
	records,
}: Pick<ReturnType<typeof runScenario>, "header" | "records">): string[] => [
	...new Set(verifyRecords(header, records).violations.map((v) => v.id)),
];
