/**
 * The way back of a saga: the next single command that brings the books closer to what they were, read off the state alone. An automatic
 * hwpt that died with its last device is made again through its IOAS; since the kernel hands out the lowest free id, placeholders (empty
 * IOASes) take lower free ids meanwhile, so that objects come back under the ids they had.
 */
import { lowestFree } from "../../../machines/id-table.ts";
import type { CtxContext } from "../../../machines/iommufd-ctx.ts";
import type { Step } from "../../../machines/steps.ts";
import type { Command } from "../commands.ts";
import type { Executor } from "../executor.ts";
import {
	attachmentOf,
	type Former,
	type FormerDevice,
	type FormerHwpt,
	hwptNamed,
	takenIds,
} from "./books.ts";
import { nextUnmap } from "./copies.ts";

/** Phases of the way back, as the statecharts ask for them. */
export type BackPhase = Step<"saga.back">["phase"];

/** A placeholder first, while a lower id than the wanted one is free. */
const keepingId = (
	x: Executor,
	former: Former,
	wanted: number,
	command: Command,
): Command =>
	lowestFree(x.context<CtxContext>(former.ctx).ids) < wanted
		? { op: "ioasAlloc", args: { ctx: former.ctx } }
		: command;

/** The device is on the hwpt it was on, or on its successor. */
const isBack = (now: FormerHwpt, was: FormerHwpt): boolean =>
	now.name === was.name || (was.auto && now.auto && now.ioas === was.ioas);

/** The command that puts a device on what it was on. */
function restoring(
	x: Executor,
	former: Former,
	dev: FormerDevice["dev"],
	at: FormerHwpt,
	op: "attach" | "replace",
): Command {
	const { ctx } = former;
	const stands = hwptNamed(x, ctx, at.hwpt);
	const view = stands === undefined ? undefined : x.hwptView(stands);
	const successor = at.auto && view?.auto === true;
	if (stands !== undefined && (stands === at.name || successor))
		return { op, args: { ctx, dev, pt: at.hwpt } };
	return keepingId(x, former, at.hwpt, { op, args: { ctx, dev, pt: at.ioas } });
}

const PHASES: {
	readonly [P in BackPhase]: (x: Executor, f: Former) => Command | undefined;
} = {
	bind: (x, former) => {
		const { ctx } = former;
		const lost = former.devices.find(({ dev }) => x.device(dev).ctx !== ctx);
		if (lost === undefined) return undefined;
		const { dev, idev } = lost;
		return keepingId(x, former, idev, { op: "bind", args: { ctx, dev } });
	},
	switch: (x, former) => {
		for (const { dev, at } of former.devices) {
			const now = attachmentOf(x, former.ctx, dev);
			if (at !== undefined && now !== undefined && !isBack(now, at))
				return restoring(x, former, dev, at, "replace");
		}
		return undefined;
	},
	attach: (x, former) => {
		for (const { dev, at } of former.devices)
			if (at !== undefined && attachmentOf(x, former.ctx, dev) === undefined)
				return restoring(x, former, dev, at, "attach");
		return undefined;
	},
	unmap: (x, { ctx, free }) => nextUnmap(x, ctx, free),
	tidy: (x, { ctx, ids }) => {
		const extra = takenIds(x, ctx).find((id) => !ids.includes(id));
		return extra === undefined
			? undefined
			: { op: "destroy", args: { ctx, id: extra } };
	},
};

/** The next command of a phase; undefined: the phase is done. */
export const nextBack = (
	x: Executor,
	former: Former,
	phase: BackPhase,
): Command | undefined => PHASES[phase](x, former);
