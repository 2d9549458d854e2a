/** The catalogue compiled for speed: per record type what to fold, what is touched, what to check; per aspect the state predicates. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { isRecordType, RECORD_FIELDS } from "../vocabulary/records.ts";
import { applierOf, KEPT_STEPS } from "../world/apply.ts";
import type { Applier } from "../world/handlers.ts";
import type { World } from "../world/types.ts";
import {
	type Aspect,
	aspectsOf,
	type Context,
	type Invariant,
	type Outcome,
	type When,
} from "./invariant.ts";
import { TOUCHES, type Touch } from "./touches.ts";

/** A check at a record. `index` is the invariant's place in the catalogue. */
export interface PlannedCheck {
	readonly index: number;
	readonly run: (context: Context, record: LogRecord) => Outcome;
}
/** A predicate about an entity. */
export interface PlannedTest {
	readonly index: number;
	readonly test: (world: World, id: string) => Outcome;
}
/** Sees a record before it is folded. */
export type Observer = (world: World, record: LogRecord) => void;

/** What to do for one record type. */
export interface RecordPlan {
	readonly apply: Applier | undefined;
	readonly touch:
		| ((world: World, record: LogRecord, touch: Touch) => void)
		| undefined;
	readonly checks: readonly PlannedCheck[];
	/** The same, for logs in which page tables are logged entry by entry. */
	readonly entryChecks: readonly PlannedCheck[];
	/** 1 begins an operation, 2 ends one, 3 is noted in the bracket, 4 tells of lost events, 0 nothing special. */
	readonly special: 0 | 1 | 2 | 3 | 4;
	/** Kept as a step of its operation. */
	readonly kept: boolean;
	/** Somebody who looks on, called before the record is folded. */
	readonly observe: Observer | undefined;
}
/** The whole plan. */
export interface Plan {
	readonly records: ReadonlyMap<string, RecordPlan>;
	readonly tests: {
		readonly [W in When]: ReadonlyMap<Aspect, readonly PlannedTest[]>;
	};
	/** Invariants that this fidelity cannot decide. */
	readonly lost: readonly Invariant[];
}

const NOTED: ReadonlySet<string> = new Set([
	"hw.attach",
	"grp.domain.set",
	"dev.attached",
	"dev.replaced",
	"dev.detached",
	"inv.issued",
	"tag.flushed",
	"dom.unmap",
	"dom.map",
	"area.claimed",
	"area.gone",
	"pages.pinned",
	"iotlb.synced",
]);
function special(type: string): RecordPlan["special"] {
	switch (type) {
		case "op.begin":
			return 1;
		case "op.commit":
		case "op.fail":
		case "op.unknown":
			return 2;
		case "trace.lost":
			return 4;
		default:
			return NOTED.has(type) ? 3 : 0;
	}
}

const LEVEL = { L0: 0, L1: 1, L2: 2 } as const;

interface Checks {
	readonly always: PlannedCheck[];
	/** In logs in which page tables are logged entry by entry. */
	readonly entries: PlannedCheck[];
}
const NO_CHECKS: {
	readonly [K in keyof Checks]: readonly PlannedCheck[];
} = { always: [], entries: [] };

/** What is checked at records of each type, in the order of the catalogue. */
function checksByType(
	catalogue: readonly Invariant[],
	able: readonly boolean[],
): ReadonlyMap<string, Checks> {
	const types = new Map<string, Checks>();
	catalogue.forEach(({ on, entries }, index) => {
		if (on === undefined || able[index] !== true) return;
		for (const [type, check] of Object.entries(on)) {
			const run = check as PlannedCheck["run"] | undefined;
			if (run === undefined) continue;
			const checks = types.get(type) ?? { always: [], entries: [] };
			types.set(type, checks);
			(entries === true ? checks.entries : checks.always).push({ index, run });
		}
	});
	return types;
}

/** Compiles the catalogue for a log. */
export function planFor(
	header: LogHeader,
	catalogue: readonly Invariant[],
	observers: ReadonlyMap<string, Observer>,
): Plan {
	const able = catalogue.map(
		(invariant) => LEVEL[invariant.needs ?? "L1"] <= LEVEL[header.fidelity],
	);
	const records = new Map<string, RecordPlan>();
	const checks = checksByType(catalogue, able);
	for (const type of Object.keys(RECORD_FIELDS)) {
		if (!isRecordType(type)) continue;
		const own = checks.get(type) ?? NO_CHECKS;
		records.set(type, {
			apply: applierOf(type),
			touch: TOUCHES[type] as RecordPlan["touch"],
			checks: own.always,
			entryChecks: own.entries,
			special: special(type),
			kept: KEPT_STEPS.has(type),
			observe: observers.get(type),
		});
	}
	const tests = {
		S: new Map<Aspect, PlannedTest[]>(),
		O: new Map<Aspect, PlannedTest[]>(),
		Q: new Map<Aspect, PlannedTest[]>(),
	};
	catalogue.forEach((invariant, index) => {
		const { test, when } = invariant;
		if (test === undefined || able[index] !== true) return;
		for (const aspect of aspectsOf(invariant)) {
			const list = tests[when].get(aspect);
			if (list === undefined) tests[when].set(aspect, [{ index, test }]);
			else list.push({ index, test });
		}
	});
	return {
		records,
		tests,
		lost: catalogue.filter((_, index) => able[index] !== true),
	};
}
