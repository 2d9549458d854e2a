/** The shipped run scenarios, by name: what `iommu-ledger run NAME` accepts. */
import type { RunScenario } from "./run-scenario.ts";
import { deafAccess, readerIsAsked } from "./runs/accesses.ts";
import { bindRefusals } from "./runs/bind-refusals.ts";
import { dirtyEnabledTwice, dirtyReadOverHole } from "./runs/dirty-tracking.ts";
import { failingRefill } from "./runs/failing-refill.ts";
import { failingRollback } from "./runs/failing-rollback.ts";
import { firstDetach } from "./runs/first-detach.ts";
import { hotAdd } from "./runs/hot-add.ts";
import { laggardDetach } from "./runs/laggard-detach.ts";
import { laggardRegion } from "./runs/laggard-region.ts";
import { legacyV1, legacyV2 } from "./runs/legacy-container.ts";
import { onlyOneAttached } from "./runs/only-one-attached.ts";
import {
	otherHwptSibling,
	replaceByDetached,
} from "./runs/other-hwpt-sibling.ts";
import { pageRequestsOfTwo } from "./runs/page-requests.ts";
import { partialUnmap, unwritableIova } from "./runs/partial-answers.ts";
import { refusedMember } from "./runs/refused-member.ts";
import { replace1 } from "./runs/replace-1.ts";
import { replace2 } from "./runs/replace-2.ts";
import { replace3 } from "./runs/replace-3.ts";
import { siblingRegion } from "./runs/sibling-region.ts";
import { doorbellLost, softwareMsi } from "./runs/software-msi.ts";
import { tornGroup } from "./runs/torn-group.ts";
import { tour } from "./runs/tour.ts";
import { foreignDomain } from "./runs/two-drivers.ts";
import { unfinished } from "./runs/unfinished.ts";
import { unwritableResult } from "./runs/unwritable-result.ts";
import type { Variant } from "./setting.ts";

const suffix = (variant: Variant): string =>
	variant === "manual" ? "" : `-${variant}`;
const inAllVariants = (
	name: string,
	make: (variant: Variant, name: string) => RunScenario,
): RunScenario[] =>
	(["manual", "auto", "one-ioas"] as const).map((variant) =>
		make(variant, `${name}${suffix(variant)}`),
	);

/** All shipped scenarios. */
export const RUN_SCENARIOS: readonly RunScenario[] = [
	...inAllVariants("replace-1", replace1),
	...inAllVariants("replace-2", replace2),
	...inAllVariants("replace-3", replace3),
	laggardDetach,
	firstDetach,
	legacyV1,
	legacyV2,
	unfinished,
	failingRollback,
	failingRefill,
	siblingRegion,
	laggardRegion,
	refusedMember("manual", "refused-member"),
	refusedMember("one-ioas", "refused-member-one-ioas"),
	tornGroup,
	otherHwptSibling,
	replaceByDetached,
	onlyOneAttached,
	bindRefusals,
	unwritableResult,
	softwareMsi,
	doorbellLost,
	dirtyReadOverHole,
	dirtyEnabledTwice,
	pageRequestsOfTwo,
	foreignDomain,
	deafAccess,
	readerIsAsked,
	unwritableIova,
	partialUnmap,
	hotAdd,
	tour,
];

/** The shipped scenario of that name. Throws RangeError that lists the names when there is none. */
export function runScenarioNamed(name: string): RunScenario {
	const found = RUN_SCENARIOS.find((scenario) => scenario.name === name);
	if (found === undefined)
		throw new RangeError(
			`no scenario ${JSON.stringify(name)}; known: ${RUN_SCENARIOS.map((s) => s.name).join(", ")}`,
		);
	return found;
}
