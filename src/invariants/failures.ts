/** LOG-3, VFT-7: an operation that fails changes nothing (facts iommufd §2, §6.6; kernel-findings F4). */
import type { ActorId, DeviceId, GroupId } from "../vocabulary/ids.ts";
import { laterValue } from "../vocabulary/later.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import type { World } from "../world/types.ts";
import type { Bracket } from "./bracket.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

/** What an operation created (+) and destroyed (-), by thing; zero when it left no trace. */
function netChanges(
	steps: readonly LogRecord[],
): Map<string, { net: number; seq: number }> {
	const changes = new Map<string, { net: number; seq: number }>();
	const add = (key: string, by: number, seq: number): void => {
		const entry = changes.get(key);
		if (entry === undefined) changes.set(key, { net: by, seq });
		else {
			entry.net += by;
			entry.seq = seq;
		}
	};
	for (const step of steps) countChange(step, add);
	return changes;
}

function countChange(
	step: LogRecord,
	add: (key: string, by: number, seq: number) => void,
): void {
	const { seq } = step;
	switch (step.type) {
		case "hwpt.reserved":
			return add(step.data.hwpt, 1, seq);
		case "obj.gone":
			return step.data.obj.includes("/hwpt:")
				? add(step.data.obj, -1, seq)
				: undefined;
		case "iopt.dom.added":
			return add(`${step.data.dom} in ${step.data.ioas}`, 1, seq);
		case "iopt.dom.removed":
			return add(`${step.data.dom} in ${step.data.ioas}`, -1, seq);
		case "dom.created":
			return add(step.data.dom, 1, seq);
		case "dom.freed":
			return add(step.data.dom, -1, seq);
		case "obj.ref":
			return add(`count of ${step.data.obj}`, step.data.delta, seq);
		case "grp.owner.claimed":
			return add(`claim of ${step.data.group}`, 1, seq);
		case "grp.owner.released":
			return add(`claim of ${step.data.group}`, -1, seq);
		case "dev.bound":
			return add(`binding of ${step.data.dev}`, 1, seq);
		case "dev.unbound":
			return add(`binding of ${step.data.dev}`, -1, seq);
		default:
			return undefined;
	}
}

const ATTACHING: ReadonlySet<RecordType> = new Set<RecordType>([
	"dev.attached",
	"dev.replaced",
	"ig.list.add",
	"ig.list.remove",
	"ig.hwpt.set",
	"idev.hwpt.set",
]);

/** Failures that leave something behind by contract (facts §6.6 LOG-3). */
const PARTIAL = /unmap|rw$|invalidate|set_dirty|dirty/i;

const AT_RESPONSE = /resp|copy/i;

/** A blocking domain is made at the first claim and kept, whatever becomes of the claim (facts iommufd §4.1). */
function isBlocking(world: World, thing: string): boolean {
	if (!thing.startsWith("domain:")) return false;
	for (const group of world.groups.map.values())
		if (group.blk === thing) return true;
	return false;
}

export function failedLeavesNothing(
	{ world, bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (op === undefined || op.truncated) return SKIP;
	if (
		PARTIAL.test(op.name) ||
		AT_RESPONSE.test(record.data.step) ||
		(op.steps.length === 0 && bracket.areaSeq === 0)
	)
		return SKIP;
	// Attachments are VFT-7's business, which names them better.
	if (op.steps.some((step) => ATTACHING.has(step.type))) return SKIP;
	if (bracket.areasNet !== 0)
		return broken(
			`${bracket.seq}`,
			`${op.name} failed with ${record.data.errno} at ${record.data.step}, but ${bracket.areasNet > 0 ? `left ${bracket.areasNet} area(s) behind` : `took ${-bracket.areasNet} area(s) away`}`,
			[op.actor],
			[bracket.seq, bracket.areaSeq, record.seq],
			{ since: bracket.seq },
		);
	for (const [thing, { net, seq }] of netChanges(op.steps)) {
		if (net === 0 || isBlocking(world, thing)) continue;
		return broken(
			`${bracket.seq}`,
			`${op.name} failed with ${record.data.errno} at ${record.data.step}, but ${net > 0 ? "left behind" : "took away"}: ${thing} (net ${net > 0 ? "+" : ""}${net})`,
			[op.actor],
			[bracket.seq, seq, record.seq],
			{ since: bracket.seq },
		);
	}
	return undefined;
}

interface Difference {
	readonly what: string;
	readonly group: GroupId;
}

/** VFT-7: how attachments after a failed operation differ from before. */
function attachmentChange(
	world: World,
	bracket: Bracket,
	steps: readonly LogRecord[],
): Difference | undefined {
	const listed = new Map<DeviceId, { net: number; group: GroupId }>();
	for (const step of steps) {
		if (step.type !== "ig.list.add" && step.type !== "ig.list.remove") continue;
		const entry = listed.get(step.data.dev) ?? {
			net: 0,
			group: step.data.group,
		};
		entry.net += step.type === "ig.list.add" ? 1 : -1;
		listed.set(step.data.dev, entry);
	}
	const parts: string[] = [];
	let where: GroupId | undefined;
	for (const [group, before] of bracket.domBefore ?? []) {
		const now = world.groups.map.get(group)?.dom;
		if (now === before || before === undefined) continue;
		where = group;
		parts.push(
			`${group} was moved from ${before ?? "no domain"} to ${now ?? "no domain"}`,
		);
	}
	for (const [dev, { net, group }] of listed) {
		if (net === 0) continue;
		where ??= group;
		parts.push(
			`${dev} is ${net > 0 ? "attached now" : "not attached any more"}`,
		);
	}
	return where === undefined
		? undefined
		: { what: parts.join(", "), group: where };
}

/** The kernel was told to fail a step of this call (fail-nth): the hole at the answer's copy is the documented A8, provoked from outside. */
function injected(args: unknown): { readonly severity?: "warning" } {
	const nth =
		typeof args === "object" && args !== null
			? (args as { readonly fail_nth?: unknown }).fail_nth
			: undefined;
	return Number(nth ?? 0) > 0 ? { severity: "warning" } : {};
}

export function errnoMeansUnchanged(
	{ world, bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (
		op === undefined ||
		op.truncated ||
		!op.steps.some(
			(step) => ATTACHING.has(step.type) || step.type === "hw.attach",
		)
	)
		return SKIP;
	const change = attachmentChange(world, bracket, op.steps);
	if (change === undefined) return undefined;
	const outcomes = op.steps.filter(
		(step) =>
			step.type === "dev.replaced" ||
			step.type === "dev.attached" ||
			step.type === "dev.detached",
	);
	const devs = outcomes.map(
		(step) => (step.data as { readonly dev: ActorId }).dev,
	);
	const note = outcomes.some((step) => step.type === "dev.replaced")
		? " (anomaly A8: the error path undoes an attach, not a replace)"
		: "";
	return broken(
		`${bracket.seq}`,
		`${op.name} returned ${record.data.errno}, but ${change.what}${note}`,
		[...new Set([change.group, ...devs])],
		[bracket.seq, ...outcomes.slice(0, 2).map((step) => step.seq), record.seq],
		{ since: bracket.seq, ...injected(laterValue(op.args)) },
	);
}
