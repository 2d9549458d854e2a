/** What each saga is made of: its statechart and its commands, read off the books. */
import type { Definition } from "../../../machines/define.ts";
import { evacuate } from "../../../machines/evacuate.ts";
import { moveAll } from "../../../machines/move-all.ts";
import { moveGroup } from "../../../machines/move-group.ts";
import type { SagaContext } from "../../../machines/saga.ts";
import type { CtxId, DeviceId, GroupId } from "../../vocabulary/ids.ts";
import type { Command } from "../commands.ts";
import type { Executor } from "../executor.ts";
import { attachmentOf, boundMembers, type Former, formerOf } from "./books.ts";
import { copiesFor } from "./copies.ts";

/** Arguments by saga. Ids are the kernel's; `pt` is a hwpt or an IOAS. */
export interface SagaArgs {
	/** Every attached device of an iommu_group to another hwpt or IOAS (seed mail 3). */
	readonly moveGroup: {
		readonly ctx: CtxId;
		readonly group: GroupId;
		readonly pt: number;
	};
	/**
	 * Every device that is attached through IOAS `from` to IOAS (or hwpt) `to`. Before that, each mapping of `from` that `to` has not is copied there
	 * (IOMMU_IOAS_COPY, same IOVA and permissions); what `to` maps otherwise makes that fail, and then everything is as it was. `copy: false`: `to`
	 * is taken as it is. Mappings of `from` stay.
	 */
	readonly moveAll: {
		readonly ctx: CtxId;
		readonly from: number;
		readonly to: number;
		readonly copy?: boolean;
	};
	/** A device out of user space's hands: every device of its group is detached, then unbound. */
	readonly evacuate: { readonly ctx: CtxId; readonly dev: DeviceId };
}
/** The name of a saga. */
export type SagaName = keyof SagaArgs;

/** The commands of a saga. */
export interface SagaSteps {
	readonly commands: readonly Command[];
	/** How many of them each part of the statechart has. */
	readonly counts: readonly number[];
	readonly former: Former;
}

/** The statecharts. */
export const SAGA_MACHINES: {
	readonly [S in SagaName]: Definition<SagaContext, undefined>;
} = { moveGroup, moveAll, evacuate };

function checkCtx(x: Executor, ctx: CtxId): void {
	if (x.actors.get(ctx)?.state !== "Open")
		throw new RangeError(`${ctx} is not an open context`);
}

/** The devices that a move moves, group by group, in the order they stand in the group's list. */
function moving(
	x: Executor,
	ctx: CtxId,
	groups: Iterable<GroupId>,
	which: (dev: DeviceId) => boolean,
	pt: number,
): SagaSteps {
	const parts = [...groups].map((group) => {
		const { list } = x.group(group);
		const bound = boundMembers(x, ctx, group);
		const attached = (list.length > 0 ? list : bound).filter(
			(dev) =>
				bound.includes(dev) &&
				attachmentOf(x, ctx, dev) !== undefined &&
				which(dev),
		);
		return { attached, bound: attached.length > 0 ? bound : [] };
	});
	return {
		commands: parts.flatMap(({ attached }) =>
			attached.map(
				(dev): Command => ({ op: "replace", args: { ctx, dev, pt } }),
			),
		),
		counts: parts.map(({ attached }) => attached.length),
		former: formerOf(
			x,
			ctx,
			parts.flatMap(({ bound }) => bound),
		),
	};
}

const STEPS: {
	readonly [S in SagaName]: (x: Executor, args: SagaArgs[S]) => SagaSteps;
} = {
	moveGroup: (x, { ctx, group, pt }) => {
		checkCtx(x, ctx);
		if (!x.actors.has(group))
			throw new RangeError(`${group} is not in the topology`);
		return moving(x, ctx, [group], () => true, pt);
	},
	moveAll: (x, { ctx, from, to, copy = true }) => {
		checkCtx(x, ctx);
		const groups = new Set<GroupId>();
		for (const [, { group }] of x.parts.outside.devices)
			groups.add(group.group);
		const through = (dev: DeviceId): boolean =>
			attachmentOf(x, ctx, dev)?.ioas === from;
		const moves = moving(x, ctx, groups, through, to);
		const { commands, free } =
			copy && moves.commands.length > 0
				? copiesFor(x, ctx, from, to)
				: { commands: [], free: undefined };
		return {
			commands: [...commands, ...moves.commands],
			counts: [commands.length, ...moves.counts],
			former: { ...moves.former, ...(free === undefined ? {} : { free }) },
		};
	},
	evacuate: (x, { ctx, dev }) => {
		checkCtx(x, ctx);
		if (!x.parts.outside.devices.has(dev))
			throw new RangeError(`${dev} is not in the topology`);
		const bound = boundMembers(x, ctx, x.parts.outside.groupOf(dev));
		const former = formerOf(x, ctx, bound);
		const last = [...former.devices].reverse();
		const attached = last.filter(({ at }) => at !== undefined);
		return {
			commands: [
				...attached.map(
					(d): Command => ({
						op: "detach",
						args: { ctx, dev: d.dev },
					}),
				),
				...last.map(
					(d): Command => ({
						op: "unbind",
						args: { ctx, dev: d.dev },
					}),
				),
			],
			counts: [attached.length, last.length],
			former,
		};
	},
};

/** The commands of a saga as things stand. Throws RangeError for what does not exist. */
export const stepsOf = <S extends SagaName>(
	x: Executor,
	saga: S,
	args: SagaArgs[S],
): SagaSteps => STEPS[saga](x, args);
