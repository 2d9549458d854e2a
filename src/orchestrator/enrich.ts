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

/** The event to send for a step; spread last, which V8 does a hundred times faster than adding to a spread. */
export function enrich(x: Executor, step: Step): { readonly type: string } {
	const { outside } = x.parts;
	switch (step.type) {
		case "hw.attach": {
			const dev = step.to as DeviceId;
			const names =
				outside.switches.refuse.length > 0 ? namesOf(x, dev, step.dom) : [];
			return {
				verdict: outside.verdict(dev, step.dom, names, step.undo),
				...step,
			} as Step;
		}
		case "dom.create":
			return { shape: x.newShape, ...step } as Step;
		case "hwpt.build":
			return outside.wishesParent
				? ({ nestParent: true, ...step } as Step)
				: step;
		case "resv.add":
			return {
				env: step.undo === true ? outside.rollbackEnv() : outside.env,
				...outside.device(step.dev).regions,
				...step,
			} as Step;
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
