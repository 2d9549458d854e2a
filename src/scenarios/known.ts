/**
 * What a failure brings to light is either new or a behaviour of Linux 6.12 that is known (docs/anomalies.md). Which one is not guessed from the ids:
 * the same step of the same run fails once more in a kernel without the anomaly, and what is not violated then is the anomaly's doing, as far as the
 * anomaly is known to do that.
 */
import type { Violation } from "../invariants/verdicts.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** An anomaly that violates invariants, which ones, and the switch that mends it. */
export interface KnownAnomaly {
	readonly anomaly: string;
	readonly ids: readonly string[];
	readonly mended: { readonly [name: string]: Json };
}
/** Those whose invariants are errors; a warning decides no verdict. */
export const KNOWN_ANOMALIES: readonly KnownAnomaly[] = [
	{
		anomaly: "A1",
		ids: ["RSV-2", "RSV-5", "IOP-2"],
		mended: { sameIoasUnreserve: false },
	},
	{
		anomaly: "A4",
		ids: ["FLT-2", "GRP-11"],
		mended: { pageRequestsInAnyGroup: false },
	},
	{ anomaly: "A5", ids: ["GRP-13"], mended: { replaceChecksOwner: true } },
	{ anomaly: "A7", ids: ["MSI-2"], mended: { doorbellsLost: false } },
	{
		anomaly: "A8",
		ids: ["VFT-7", "RSV-5"],
		mended: { respFailureDetaches: false },
	},
	{ anomaly: "A12", ids: ["MSI-1"], mended: { msiLearnedOnAttachOnly: false } },
];

/** What is told of a violation here. */
type Judged = Pick<Violation, "id" | "seq" | "actors">;

/** Ids that an anomaly accounts for. */
export interface Known {
	/** A number of docs/anomalies.md, several joined by "+", or TORN. */
	readonly anomaly: string;
	readonly ids: readonly string[];
}

/**
 * A driver refused a switch that must succeed: a release, a detach, or the way back of a switch. Linux warns, goes on, and the group is torn
 * (iommu.c:__iommu_group_set_domain_nofail, __iommu_group_set_domain_internal err_revert). No switch mends it: only the driver can.
 */
export const TORN = "torn";
/**
 * What a torn group violates, of the device that refused: bookkeeping against hardware; the move that its detach owed; and at last the domain that its
 * hardware still uses is freed.
 */
const TORN_IDS = ["GRP-1", "LOG-5", "GRP-8", "HWP-2"];

/** The devices whose refusal did not stop the switch that it belongs to. */
function refusedInVain(records: readonly LogRecord[]): ReadonlySet<string> {
	const devices = new Set<string>();
	for (const [i, record] of records.entries()) {
		if (record.type !== "hw.attach.failed") continue;
		const { dev, dom, undo } =
			record.data as LogRecord<"hw.attach.failed">["data"];
		if (undo === true) devices.add(dev);
		for (let k = i + 1; records[k]?.op === record.op; k++) {
			const next = records[k] as LogRecord;
			if (
				next.type === "grp.domain.set" &&
				(next.data as LogRecord<"grp.domain.set">["data"]).dom === dom
			)
				devices.add(dev);
		}
	}
	return devices;
}

/** Those of `ids` that are violated by such a device every time. */
function tornIds(
	ids: readonly string[],
	records: readonly LogRecord[],
	violations: readonly Judged[],
): string[] {
	const refused = refusedInVain(records);
	return ids.filter(
		(id) =>
			TORN_IDS.includes(id) &&
			violations.every(
				(one) => one.id !== id || one.actors.some((a) => refused.has(a)),
			),
	);
}

/**
 * A8 where no mending can bring back what was: a replace from an automatic hwpt has freed it when the answer turns out to be unwritable. Ids that are
 * violated only at such an end.
 */
function atUnwritableAnswer(
	ids: readonly string[],
	records: readonly LogRecord[],
	violations: readonly Judged[],
): string[] {
	const ends = new Set<number>();
	const moves = new Set<number>();
	for (const record of records)
		if (record.type === "op.begin") {
			const { op } = record.data as LogRecord<"op.begin">["data"];
			if (op === "attach" || op === "replace") moves.add(record.seq);
		} else if (record.type === "op.fail" && moves.has(record.op)) {
			const { step } = record.data as LogRecord<"op.fail">["data"];
			if (step === "resp") ends.add(record.seq);
		}
	return ids.filter(
		(id) =>
			A8_IDS.includes(id) &&
			violations.every((one) => one.id !== id || ends.has(one.seq)),
	);
}
/** The group was moved, or left, without the caller (VFT-7), and what was reserved went with it. */
const A8_IDS = ["VFT-7", "RSV-5"];

/** What of `ids` is known. `without`: what is violated when the same failure meets a kernel with these switches; undefined when it is not the same. */
export function knownOf(
	ids: readonly string[],
	records: readonly LogRecord[],
	violations: readonly Judged[],
	without: (mended: {
		readonly [name: string]: Json;
	}) => readonly string[] | undefined,
): readonly Known[] {
	const known: Known[] = [];
	let left = [...ids];
	const take = (anomaly: string, gone: readonly string[]): void => {
		if (gone.length === 0) return;
		known.push({ anomaly, ids: gone });
		left = left.filter((id) => !gone.includes(id));
	};
	take(TORN, tornIds(left, records, violations));
	for (const { anomaly, ids: its, mended } of KNOWN_ANOMALIES) {
		if (left.length === 0) break;
		const still = without(mended);
		// Fewer, and nothing in their place: mending must not trade one violation for another.
		if (still?.every((id) => ids.includes(id)) === true)
			take(
				anomaly,
				left.filter((id) => its.includes(id) && !still.includes(id)),
			);
	}
	take("A8", atUnwritableAnswer(left, records, violations));
	return known;
}
