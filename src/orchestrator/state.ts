/**
 * The whole state of a live system as plain data: to go on from after recovery (recover.ts makes it out of records), and to try things out
 * on a copy (plan.ts). Nothing in it changes any more, so taking one and starting from one share all that is large.
 */
import { device } from "../../machines/device.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import { domain } from "../../machines/domain.ts";
import { host } from "../../machines/host.ts";
import { hwpt } from "../../machines/hwpt.ts";
import { ioas } from "../../machines/ioas.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { iommufdCtx } from "../../machines/iommufd-ctx.ts";
import type { AccessId, ActorId, CtxId } from "../vocabulary/ids.ts";
import type { Standing } from "./engine.ts";
import type { Executor } from "./executor.ts";
import type { Legacy } from "./legacy.ts";
import type { OutsideState } from "./outside.ts";
import type { Beside } from "./plain.ts";

/** Everything a system is made of between two operations. Actors stand behind those above them in the tree. */
export interface SystemState {
	readonly actors: ReadonlyMap<ActorId, Standing>;
	readonly beside: ReadonlyMap<CtxId, Beside>;
	readonly deaf: ReadonlySet<AccessId>;
	readonly outside: OutsideState;
	readonly legacy: Legacy;
}

/** The state of a live system now. */
export function stateOf(x: Executor): SystemState {
	const actors = new Map<ActorId, Standing>();
	for (const [id, { state, context }] of x.actors)
		actors.set(id, { state, context });
	return {
		actors,
		beside: new Map(x.beside),
		deaf: new Set(x.deaf),
		outside: x.parts.outside.state,
		legacy: x.legacy,
	};
}

/** The machine that an actor of that name runs. */
export function machineOfActor(id: ActorId): AnyDefinition {
	if (id === "host") return host;
	if (id.startsWith("group:")) return iommuGroup;
	if (id.startsWith("device:")) return device;
	if (id.startsWith("domain:")) return domain;
	if (id.includes("/hwpt:")) return hwpt;
	return id.includes("/ioas:") ? ioas : iommufdCtx;
}
function above(x: Executor, id: ActorId): ActorId | undefined {
	if (id === "host") return undefined;
	if (id.startsWith("device:")) return x.parts.outside.groupOf(id as never);
	const cut = id.indexOf("/");
	return cut < 0 ? "host" : (id.slice(0, cut) as CtxId);
}

/** Lets a system that has not begun go on from a state. */
export function resumeFrom(x: Executor, state: SystemState): void {
	for (const [id, at] of state.actors)
		x.spawn(id, machineOfActor(id), undefined, above(x, id), at);
	for (const [ctx, beside] of state.beside) x.beside.set(ctx, beside);
	for (const access of state.deaf) x.deaf.add(access);
	x.parts.outside.resume(state.outside);
	x.legacy = state.legacy;
}
