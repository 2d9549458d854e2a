/** GRP-2, 6, 7, 8: what an attach, a replace and a detach may do to the hardware of a group (facts iommufd §3.1, §6.1; seed mail 3). */
import type { DeviceId, DomainId } from "../vocabulary/ids.ts";
import type { Group, World } from "../world/types.ts";
import { type Attach, attachesIn, type Bracket } from "./bracket.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

function groupOf(world: World, dev: DeviceId): Group | undefined {
	const id = world.devices.map.get(dev)?.group;
	return id === undefined ? undefined : world.groups.map.get(id);
}
const movesOf = (bracket: Bracket, group: Group): Attach[] =>
	attachesIn(bracket, group.id).filter(({ undo }) => !undo);
const seqs = (moves: readonly Attach[]): number[] =>
	moves.slice(0, 3).map((move) => move.seq);
const beginOf = (bracket: Bracket): number => bracket.seq;

/** The record from which on all that a finding about attached siblings rests on was recorded. */
const oldest = (
	world: World,
	bracket: Bracket,
	siblings: readonly DeviceId[],
): number =>
	Math.min(
		bracket.seq,
		...siblings.map((dev) => world.devices.map.get(dev)?.attachedSeq ?? 0),
	);

/** Other devices of the group that are attached. */
function siblingsAttached(
	world: World,
	group: Group,
	dev: DeviceId,
): DeviceId[] {
	return group.members.filter(
		(member) =>
			member !== dev && world.devices.map.get(member)?.hwpt !== undefined,
	);
}

function attachMoves(
	{ world, bracket }: Context,
	dev: DeviceId,
	seq: number,
): Outcome {
	const group = groupOf(world, dev);
	if (group === undefined || bracket.seq === 0) return SKIP;
	const siblings = siblingsAttached(world, group, dev);
	if (siblings.length === 0) return SKIP;
	const moves = movesOf(bracket, group);
	if (moves.length === 0) return undefined;
	return broken(
		`${group.id} ${seq}`,
		`attaching ${dev} moved ${moves.length} device(s) of ${group.id} although ${siblings.join(", ")} was attached already`,
		[group.id, dev],
		[beginOf(bracket), ...seqs(moves)],
		{ since: oldest(world, bracket, siblings) },
	);
}

/** Expected attach events of a successful replace: one per member when the group's domain changed, none when it was there already. */
function replaceMoves(
	{ world, bracket }: Context,
	dev: DeviceId,
	dom: DomainId | undefined,
	seq: number,
): Outcome {
	const group = groupOf(world, dev);
	if (group === undefined || bracket.seq === 0) return SKIP;
	const switched = bracket.switched?.has(group.id) === true;
	// An automatic hwpt is published after the switch: until then only the group's new domain tells where it went.
	const to = dom ?? (switched ? (group.dom ?? undefined) : undefined);
	if (to === undefined) return SKIP;
	const moves = movesOf(bracket, group).filter((move) => move.dom === to);
	const actors = [group.id, dev, to];
	if (!switched) {
		if (group.dom === undefined) return SKIP;
		if (group.dom === to && moves.length === 0) return undefined;
		const what =
			group.dom === to
				? `${moves.length} attach event(s) although ${group.id} used ${to} already`
				: `no switch of ${group.id}, which still uses ${group.dom ?? "no domain"}`;
		return broken(
			`${group.id} ${seq}`,
			`the replace of ${dev} to ${to} shows ${what}`,
			actors,
			[beginOf(bracket), group.domSeq],
		);
	}
	for (const member of group.members) {
		const count = moves.filter((move) => move.dev === member).length;
		if (count === 1) continue;
		return broken(
			`${group.id} ${member} ${seq}`,
			`the replace of ${dev} moved ${group.id} to ${to} with ${count === 0 ? "no" : count} attach event(s) for its member ${member}; every member must show exactly one`,
			[...actors, member],
			[beginOf(bracket), ...seqs(moves)],
			{ since: bracket.seq },
		);
	}
	return undefined;
}

function detachMoves(
	{ world, bracket }: Context,
	dev: DeviceId,
	seq: number,
): Outcome {
	const group = groupOf(world, dev);
	if (group === undefined || bracket.seq === 0) return SKIP;
	const siblings = siblingsAttached(world, group, dev);
	const moves = movesOf(bracket, group);
	const trail = [beginOf(bracket), ...seqs(moves)];
	if (siblings.length > 0) {
		if (moves.length === 0) return undefined;
		return broken(
			`${group.id} ${seq}`,
			`detaching ${dev} moved ${group.id} to ${moves[0]?.dom} although ${siblings.join(", ")} is still attached`,
			[group.id, dev, ...siblings],
			trail,
			{ since: oldest(world, bracket, siblings) },
		);
	}
	// A driver may use one static object for both (facts §4.1): then nothing needs to move.
	if (group.blk === undefined || moves.length > 0)
		return group.blk === undefined ? SKIP : undefined;
	const before = bracket.switched?.get(group.id);
	if (
		group.dom === group.blk &&
		before === undefined &&
		bracket.switched?.has(group.id) !== true
	)
		return undefined;
	const rest =
		before === undefined
			? `the group still uses ${group.dom ?? "no domain"}`
			: `the group went from ${before ?? "no domain"} to ${group.dom ?? "no domain"} without its hardware`;
	// That nobody else is attached is known only from a log without a gap.
	return broken(
		`${group.id} ${seq}`,
		`detaching ${dev}, the last attached device of ${group.id}, moved nothing: ${rest}`,
		[group.id, dev],
		trail,
	);
}

export const GROUP_MOVES: readonly Invariant[] = [
	{
		id: "GRP-2",
		when: "S",
		severity: "error",
		sentence:
			"During a switch every member is on the old domain, the new one, or, after a failure, the blocking one.",
		harm: "DMA reaches a third domain",
		source: ["drivers/iommu/iommu.c:__iommu_group_set_domain_internal"],
		on: {
			"hw.attach": ({ world, bracket }, { data, seq }) => {
				const group = groupOf(world, data.dev);
				if (group === undefined || group.dom === undefined || bracket.seq === 0)
					return SKIP;
				const target = switchTarget(bracket, group);
				if (
					data.dom === target ||
					data.dom === group.dom ||
					data.dom === group.blk
				)
					return undefined;
				return broken(
					`${group.id} ${seq}`,
					`${data.dev} was moved to ${data.dom} while ${group.id} is being switched from ${group.dom ?? "no domain"} to ${target}`,
					[group.id, data.dev, data.dom],
					[group.domSeq, attachesIn(bracket, group.id)[0]?.seq ?? 0],
					{ since: Math.min(bracket.seq, group.domSeq) },
				);
			},
		},
	},
	{
		id: "GRP-6",
		when: "O",
		severity: "error",
		kernels: "6.6+",
		sentence:
			"An attach while other devices of the group are attached moves no hardware.",
		harm: "siblings' DMA is disturbed by an attach that concerns only bookkeeping",
		source: ["drivers/iommu/iommufd/device.c:iommufd_hw_pagetable_attach"],
		brokenBy:
			"exploration `iommu-ledger explore attach-without-lock --out two.ndjson`: two first attaches without the group's lock (GRP-15 is found before)",
		on: {
			"dev.attached": (context, { data, seq }) =>
				attachMoves(context, data.dev, seq),
		},
	},
	{
		id: "GRP-7",
		when: "O",
		severity: "error",
		sentence:
			"A successful replace to another domain shows exactly one attach event to it for every member of the group.",
		harm: "part of the group stays behind",
		source: [
			"seed mail 3, scenario 1.d",
			"drivers/iommu/iommu.c:iommu_replace_group_handle",
		],
		brokenBy: "a trace with one member's attach removed",
		on: {
			"dev.replaced": (context, { data, seq }) =>
				replaceMoves(
					context,
					data.dev,
					context.world.hwpts.map.get(data.hwpt)?.dom,
					seq,
				),
		},
	},
	{
		id: "GRP-8",
		when: "O",
		severity: "error",
		sentence:
			"A detach blocks the group exactly when it leaves no device of it attached.",
		harm: "a laggard's detach cuts off its siblings (W2, W3), or the last one leaves the group translating",
		source: [
			"seed mail 3",
			"drivers/iommu/iommufd/device.c:iommufd_hw_pagetable_detach",
		],
		brokenBy:
			"scenarios laggard-detach and first-detach under posted-v2 and device-lagging",
		on: {
			"dev.detached": (context, { data, seq }) =>
				detachMoves(context, data.dev, seq),
		},
	},
];

/**
 * Where the switch in progress goes: the first attach for the group since its domain was last set that is not an undo. A switch of undos alone
 * takes back a whole one of the same operation (a bind that fails after it has claimed the group): it goes where that one came from.
 */
function switchTarget(bracket: Bracket, group: Group): DomainId | undefined {
	let to: Attach | undefined;
	let undone = false;
	for (const attach of attachesIn(bracket, group.id)) {
		if (attach.seq <= group.domSeq) continue;
		if (attach.undo) undone = true;
		else {
			// A switch that failed was taken back; what follows is another one (the next automatic hwpt that may fit).
			// A member that refuses what must succeed is blocked, and the others go on (iommu.c:__iommu_device_set_domain).
			if (undone || to === undefined || to.dom === group.blk) to = attach;
			undone = false;
		}
	}
	return to?.dom ?? bracket.domBefore?.get(group.id) ?? undefined;
}
