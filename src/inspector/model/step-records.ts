/**
 * Which records the answer to a step leaves. Most steps are called as their record is; the table names the others, and a call of another
 * transaction leaves what that one's steps leave.
 */
import type { AnyDefinition } from "../../../machines/define.ts";
import { type Role, transactionsOf } from "../../orchestrator/flows.ts";
import type { Flow } from "../../orchestrator/switches.ts";
import { chartOfDefinition } from "./chart.ts";

/** Records of a driver's attach_dev, as far as a recording shows them (VT-d: domain id, cache tag, context entry, flush). */
const DRIVER_ATTACH = [
	"did.assigned",
	"did.released",
	"tag.assigned",
	"tag.unassigned",
	"tag.flushed",
	"ctx.entry.setting",
	"ctx.entry.set",
	"ctx.entry.cleared",
	"inv.issued",
	"inv.completed",
];

const RECORDS: Readonly<Record<string, readonly string[]>> = {
	"resv.add": ["resv.added"],
	"resv.drop": ["resv.dropped"],
	"hw.attach": ["hw.attach", "hw.attach.failed", ...DRIVER_ATTACH],
	"obj.get": ["obj.ref+"],
	"obj.put": ["obj.ref-"],
	"ig.hwpt.clear": ["ig.hwpt.cleared"],
	"ig.get": ["ig.created", "ig.ref"],
	"ig.put": ["ig.freed", "ig.ref"],
	"dev.attach": ["dev.attached", "obj.ref+"],
	"dev.detach": ["dev.detached", "obj.ref-"],
	"dev.bind": ["dev.bound"],
	"dev.unbind": ["dev.unbound"],
	"grp.claim": ["grp.owner.claimed"],
	"grp.own": ["grp.owner.claimed"],
	"grp.release": ["grp.owner.released"],
	"grp.handle.clear": ["grp.handle.cleared"],
	"grp.domain.set": ["grp.domain.set", ...DRIVER_ATTACH],
	"ctx.close": ["ctx.closed"],
	"dom.create": ["dom.created"],
	"dom.cc": ["dom.cc.set"],
	"dom.free": ["dom.freed", ...DRIVER_ATTACH],
	"iopt.add": [
		"resv.added",
		"pages.pinned",
		"dom.map",
		"area.sdom.set",
		"ioas.align.set",
		"iopt.dom.added",
	],
	"iopt.remove": [
		"dom.unmap",
		"iotlb.synced",
		"tag.flushed",
		"inv.issued",
		"inv.completed",
		"pages.unpinned",
		"area.sdom.set",
		"resv.dropped",
		"ioas.align.set",
		"iopt.dom.removed",
	],
	"hwpt.reserve": ["hwpt.reserved"],
	"hwpt.publish": ["hwpt.live"],
	"hwpt.unlink": ["hwpt.unlinked"],
	"hwpt.devices.add": ["ig.list.add"],
	"hwpt.devices.remove": ["ig.list.remove"],
	"hwpt.destroy": ["hwpt.autodestroyed"],
	"hwpt.gone": ["obj.gone"],
	"ioas.create": ["ioas.created"],
	"ioas.gone": ["obj.gone"],
	"fault.answer": ["fault.answered"],
	"destroy.refused": ["obj.destroy.refused"],
};
const CALL = "call.";

/** Reads the records of every asking state off a definition. */
export function recordsByState(
	definition: AnyDefinition,
	flow: Flow,
): ReadonlyMap<string, readonly string[]> {
	return new Map(
		[...stepsByState(definition)].map(([path, step]) => [
			path,
			recordsOfStep(step, flow, new Set()),
		]),
	);
}

function recordsOfStep(
	step: string,
	flow: Flow,
	seen: Set<string>,
): readonly string[] {
	if (!step.startsWith(CALL)) return RECORDS[step] ?? [step];
	if (seen.has(step)) return [];
	seen.add(step);
	const called = transactionsOf(flow)[step.slice(CALL.length) as Role];
	if (called === undefined) return [];
	const steps = new Set(stepsByState(called).values());
	return [
		...new Set([...steps].flatMap((one) => recordsOfStep(one, flow, seen))),
	];
}

/** The step that each state asks for on entry. */
function stepsByState(definition: AnyDefinition): Map<string, string> {
	const steps = new Map<string, string>();
	for (const { path, entry } of chartOfDefinition(definition).states) {
		const step = stepOf(definition, entry);
		if (step !== undefined) steps.set(path, step);
	}
	return steps;
}

/** A value that has every field: stands in where an entry reads of its context what a start context lacks. */
const ANYTHING: unknown = new Proxy(() => undefined, {
	get: (_, key) => (key === Symbol.toPrimitive ? () => "" : ANYTHING),
});

/** What is read of a step that is asked for. */
interface Asked {
	readonly type?: string;
	readonly phase?: unknown;
}

/** Phases of a saga's way back are steps of their own here. */
const nameOf = ({ type, phase }: Asked): string =>
	type === "saga.back" ? `${type} ${String(phase)}` : String(type);

/** Entry actions are pure functions over a context: they are run on the start context and their `ask` is looked at. */
function stepOf(
	definition: AnyDefinition,
	entry: readonly string[],
): string | undefined {
	for (const name of entry)
		for (const context of [definition.start(undefined), ANYTHING])
			try {
				const changed = definition.actions[name]?.(context, {
					type: "DONE",
					value: {},
				}) as { ask?: Asked } | undefined;
				if (changed?.ask?.type !== undefined) return nameOf(changed.ask);
			} catch {}
	return undefined;
}
