/**
 * `iommu-ledger/machines`: every statechart as a plain definition, and the engines that run one (docs/machines.md).
 *
 * @example
 * ```ts
 * import { createActor } from "xstate";
 * import { replace, toXState } from "iommu-ledger/machines";
 *
 * const actor = createActor(toXState(replace)).start();
 * console.log(actor.getSnapshot().value); // "Idle"
 * ```
 */
export { attach } from "./attach.ts";
export { attach2023 } from "./attach-2023.ts";
export { attachPt } from "./attach-pt.ts";
export { autoDomain } from "./auto-domain.ts";
export { bind } from "./bind.ts";
export { close } from "./close.ts";
export {
	type CompiledMachine,
	compileMachine,
	type Stepped,
	stepCompiled,
} from "./compile.ts";
export {
	type AnyDefinition,
	type Definition,
	definitionProblems,
	type Edge,
	type MachineEvent,
	type StateNode,
	toXState,
} from "./define.ts";
export { destroy } from "./destroy.ts";
export { detach } from "./detach.ts";
export { detach2023 } from "./detach-2023.ts";
export { device } from "./device.ts";
export { evacuate } from "./evacuate.ts";
export { domain } from "./domain.ts";
export { groupSwitch } from "./group-switch.ts";
export { host } from "./host.ts";
export { hwpt } from "./hwpt.ts";
export { hwptAlloc } from "./hwpt-alloc.ts";
export { hwptAllocIoctl } from "./hwpt-alloc-ioctl.ts";
export { hwptFree } from "./hwpt-free.ts";
export { hwptPut } from "./hwpt-put.ts";
export { ioas } from "./ioas.ts";
export { ioasAlloc } from "./ioas-alloc.ts";
export { iommuGroup } from "./iommu-group.ts";
export { iommufdCtx } from "./iommufd-ctx.ts";
export { moveAll } from "./move-all.ts";
export { moveGroup } from "./move-group.ts";
export { replace } from "./replace.ts";
export { replaceDetachAttach } from "./replace-detach-attach.ts";
export { replaceDeviceForced } from "./replace-device-forced.ts";
export { replaceDeviceLagging } from "./replace-device-lagging.ts";
export { replacePostedV2 } from "./replace-posted-v2.ts";
export { unbind } from "./unbind.ts";
