/** HWP-10, HWP-11: the tables on both sides of a replace (facts iommufd §2.12, §3.6 W4, W5). */
import type { DeviceId, DomainId, HwptId, IoasId } from "../vocabulary/ids.ts";
import { contextOf } from "../vocabulary/ids.ts";
import { laterValue } from "../vocabulary/later.ts";
import type { Domain, Group, World } from "../world/types.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Bracket } from "./bracket.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

/** The group of a device that a replace moves right now from one user's domain to another's, and the new domain. */
function replacing(
	world: World,
	data: LogRecord<"hw.attach">["data"],
):
	| { readonly group: Group; readonly old: DomainId; readonly to: Domain }
	| undefined {
	if (data.undo === true) return undefined;
	const id = world.devices.map.get(data.dev)?.group;
	const group = id === undefined ? undefined : world.groups.map.get(id);
	const old = group?.dom;
	if (group === undefined || old === null || old === undefined)
		return undefined;
	if (old === data.dom || old === group.blk || old === group.def)
		return undefined;
	if (data.dom === group.blk || data.dom === group.def) return undefined;
	const to = world.domains.map.get(data.dom);
	return to === undefined ? undefined : { group, old, to };
}

/** HWP-10. */
export function filledBeforeSwitch(
	{ world, bracket }: Context,
	{ data, seq }: LogRecord<"hw.attach">,
): Outcome {
	const move = world.seen.iopt ? replacing(world, data) : undefined;
	if (
		move === undefined ||
		move.to.kind !== "unmanaged" ||
		move.to.createdSeq === 0
	)
		return SKIP;
	if (move.to.ioas !== undefined) return undefined;
	const ioas =
		move.to.hwpt === undefined
			? undefined
			: world.hwpts.map.get(move.to.hwpt)?.ioas;
	return broken(
		`${data.dom} ${bracket.seq || seq}`,
		`${data.dev} was moved from ${move.old} to ${data.dom}, which ${ioas ?? "its IOAS"} has not filled yet`,
		[data.dev, data.dom, move.group.id],
		[bracket.seq, move.group.domSeq],
		{ since: Math.min(move.to.createdSeq, move.group.domSeq) },
	);
}

/** HWP-11: seen at the switch, reported at the record that drained the old domain. */
export function drainedBeforeSwitch(
	{ world, bracket }: Context,
	{ data }: LogRecord<"hw.attach">,
): Outcome {
	const move = world.seen.iopt ? replacing(world, data) : undefined;
	if (move === undefined || bracket.op === undefined) return SKIP;
	const drain = bracket.op.steps.find(
		(step) => step.type === "iopt.dom.removed" && step.data.dom === move.old,
	);
	if (drain === undefined) return undefined;
	return broken(
		`${move.old} ${drain.seq}`,
		`${move.old} was drained at #${drain.seq}, before ${data.dev} was moved from it to ${data.dom}`,
		[move.old, data.dev, move.group.id],
		[bracket.seq, move.group.domSeq, drain.seq],
		{ seq: drain.seq, since: bracket.seq },
	);
}

/** The IOAS that a call named, by its number: `pt` of our commands, `pt_id` of recorded ones. */
function namedIoas(
	world: World,
	args: unknown,
	like: HwptId,
): IoasId | undefined {
	if (typeof args !== "object" || args === null) return undefined;
	const { pt, pt_id: recorded } = args as Record<string, unknown>;
	const id = pt ?? recorded;
	if (typeof id !== "number") return undefined;
	const prefix = `${contextOf(like)}/ioas:${id}@`;
	for (const ioas of world.ioases.map.values())
		if (!ioas.gone && ioas.id.startsWith(prefix)) return ioas.id;
	return undefined;
}

/** A replace that failed after the switch goes back where it came from: an errno, not an attach to what the call named. */
const goesBack = (
	bracket: Bracket,
	{ dev, hwpt }: { readonly dev: DeviceId; readonly hwpt: HwptId },
): boolean =>
	bracket.op?.steps.some(
		({ type, data }) =>
			type === "dev.replaced" &&
			(data as { dev?: DeviceId }).dev === dev &&
			(data as { from?: HwptId }).from === hwpt,
	) === true;

/** HWP-7. */
export function automaticOfIoas(
	{ world, bracket }: Context,
	{
		data,
		seq,
	}: LogRecord<"dev.attached" | "dev.replaced" | "dev.replace.noop">,
): Outcome {
	const { op } = bracket;
	const args = op === undefined ? undefined : laterValue(op.args);
	const ioas = namedIoas(world, args, data.hwpt);
	const hwpt = world.hwpts.map.get(data.hwpt);
	if (ioas === undefined || hwpt === undefined) return SKIP;
	if (goesBack(bracket, data)) return SKIP;
	// A new automatic hwpt is published after the attach; until then only its IOAS is known.
	const automatic = hwpt.auto || hwpt.state === "reserved";
	const right = automatic && (hwpt.ioas === undefined || hwpt.ioas === ioas);
	return right
		? undefined
		: broken(
				`${data.dev} ${seq}`,
				`the call named ${ioas}, and ${data.dev} came to ${data.hwpt}, ${automatic ? `which is on ${hwpt.ioas}` : "which is not automatic"}`,
				[data.dev, data.hwpt, ioas],
				[bracket.seq, hwpt.liveSeq],
			);
}
