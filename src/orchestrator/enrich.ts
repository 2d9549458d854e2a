/** What the outside adds to a step before the entity decides: the driver's verdict, a device's regions, a domain's shape, user memory. */
import type { Step } from "../../machines/steps.ts";
import type { CtxId, DeviceId, DomainId, HwptId } from "../vocabulary/ids.ts";
import { contextOf } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";

/** The ways a refuse rule can name a domain: itself, its hwpt, or its role in the group. */
function namesOf(x: Executor, dev: DeviceId, dom: DomainId): string[] {
	const group = x.group(x.parts.outside.groupOf(dev));
	const names: string[] = [dom];
	if (dom === group.blk) names.push("blocking");
	if (dom === group.def) names.push("default");
	const owner = x.hwptByDomain(dom);
	if (owner !== undefined) names.push(owner);
	return names;
}

const memory = (x: Executor, ctx: CtxId, undo = false) => ({
	mem: x.parts.outside.mem(ctx),
	env: undo ? x.parts.outside.rollbackEnv() : x.parts.outside.env,
});

/** The event to send for a step: a whole literal where attaches come by, else spread last, which V8 does faster than adding to a spread. */
export function enrich(x: Executor, step: Step): { readonly type: string } {
	const { outside } = x.parts;
	switch (step.type) {
		case "hw.attach": {
			const dev = step.to as DeviceId;
			const names =
				outside.switches.refuse.length > 0 ? namesOf(x, dev, step.dom) : [];
			return {
				type: step.type,
				to: step.to,
				dom: step.dom,
				blocking: step.blocking,
				undo: step.undo,
				verdict: outside.verdict(dev, step.dom, names, step.undo),
			} as Step;
		}
		case "dom.create":
			return { shape: x.newShape, ...step } as Step;
		case "hwpt.build":
			return outside.wishesParent
				? ({ nestParent: true, ...step } as Step)
				: step;
		case "resv.add": {
			const { regions, swMsi, conflict } = outside.device(step.dev).regions;
			return {
				type: step.type,
				to: step.to,
				dev: step.dev,
				attaching: step.attaching,
				undo: step.undo,
				regions,
				swMsi,
				conflict,
				env: step.undo === true ? outside.rollbackEnv() : outside.env,
			} as Step;
		}
		case "iopt.add":
			return {
				shape: x.domainOf(step.dom).shape,
				...memory(x, contextOf(step.to as HwptId), step.undo),
				...step,
			} as Step;
		case "iopt.remove":
		case "ioas.destroy":
			return { ...memory(x, contextOf(step.to as HwptId)), ...step } as Step;
		default:
			return step;
	}
}
