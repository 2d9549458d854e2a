/** The statecharts that the inspector knows without being told: those of machines/. */
import { type Role, transactionsOf } from "../../orchestrator/flows.ts";
import { FLOWS, type Flow } from "../../orchestrator/switches.ts";
import { attach } from "../../../machines/attach.ts";
import { attachPt } from "../../../machines/attach-pt.ts";
import { autoDomain } from "../../../machines/auto-domain.ts";
import { bind } from "../../../machines/bind.ts";
import { close } from "../../../machines/close.ts";
import type { AnyDefinition } from "../../../machines/define.ts";
import { destroy } from "../../../machines/destroy.ts";
import { detach } from "../../../machines/detach.ts";
import { device } from "../../../machines/device.ts";
import { domain } from "../../../machines/domain.ts";
import { groupSwitch } from "../../../machines/group-switch.ts";
import { host } from "../../../machines/host.ts";
import { hwpt } from "../../../machines/hwpt.ts";
import { hwptAlloc } from "../../../machines/hwpt-alloc.ts";
import { hwptAllocIoctl } from "../../../machines/hwpt-alloc-ioctl.ts";
import { hwptFree } from "../../../machines/hwpt-free.ts";
import { hwptPut } from "../../../machines/hwpt-put.ts";
import { ioas } from "../../../machines/ioas.ts";
import { ioasAlloc } from "../../../machines/ioas-alloc.ts";
import { iommuGroup } from "../../../machines/iommu-group.ts";
import { iommufdCtx } from "../../../machines/iommufd-ctx.ts";
import { attach2023 } from "../../../machines/attach-2023.ts";
import { detach2023 } from "../../../machines/detach-2023.ts";
import { evacuate } from "../../../machines/evacuate.ts";
import { moveAll } from "../../../machines/move-all.ts";
import { moveGroup } from "../../../machines/move-group.ts";
import { replaceDetachAttach } from "../../../machines/replace-detach-attach.ts";
import { replaceDeviceForced } from "../../../machines/replace-device-forced.ts";
import { replaceDeviceLagging } from "../../../machines/replace-device-lagging.ts";
import { replacePostedV2 } from "../../../machines/replace-posted-v2.ts";
import { replace } from "../../../machines/replace.ts";
import { unbind } from "../../../machines/unbind.ts";

/** Machines of things that live. */
export const ENTITY_MACHINES: readonly AnyDefinition[] = [
	iommuGroup,
	device,
	hwpt,
	domain,
	ioas,
	iommufdCtx,
	host,
];
/** Machines of operations, one state a step, and of what user space does with them (sagas). */
export const TRANSACTION_MACHINES: readonly AnyDefinition[] = [
	attach,
	detach,
	replace,
	groupSwitch,
	attachPt,
	autoDomain,
	bind,
	unbind,
	hwptAllocIoctl,
	hwptAlloc,
	hwptFree,
	hwptPut,
	ioasAlloc,
	destroy,
	close,
	attach2023,
	detach2023,
	replaceDetachAttach,
	replacePostedV2,
	replaceDeviceLagging,
	replaceDeviceForced,
	moveGroup,
	moveAll,
	evacuate,
];

const ALL = new Map(
	[...ENTITY_MACHINES, ...TRANSACTION_MACHINES].map((machine) => [
		machine.id,
		machine,
	]),
);

/** The machine with that id; machines of a flow come from the flow. */
export function machineOf(
	id: string,
	flow: unknown = "",
): AnyDefinition | undefined {
	const ofFlow = Object.values(transactionsOf(flowOf(flow))) as AnyDefinition[];
	return ofFlow.find((machine) => machine.id === id) ?? ALL.get(id);
}

/** The role that an operation's name means (orchestrator commands and importer alike). */
const ROLES: Readonly<Record<string, Role>> = {
	attach: "attach",
	detach: "detach",
	replace: "replace",
	bind: "bind",
	unbind: "unbind",
	ioasalloc: "ioasAlloc",
	hwptalloc: "allocIoctl",
	destroy: "destroy",
	close: "close",
};

/** The machine that runs an operation under a flow, by the name in `op.begin` (`hwptAlloc`, `hwpt_alloc` and `hwpt.alloc` alike). */
export function machineOfOperation(
	name: string,
	flow: unknown,
): AnyDefinition | undefined {
	const role = ROLES[name.toLowerCase().replace(/[^a-z]/g, "")];
	if (role === undefined) return undefined;
	return transactionsOf(flowOf(flow))[role];
}

const SAGAS: Readonly<Record<string, AnyDefinition>> = {
	moveGroup,
	moveAll,
	evacuate,
};

/** The statechart of a saga, by the name in `saga.begun`. */
export const machineOfSaga = (name: string): AnyDefinition | undefined =>
	Object.hasOwn(SAGAS, name) ? SAGAS[name] : undefined;

/** A flow's name as one; what is none is the merged kernel's. */
export const flowOf = (flow: unknown): Flow =>
	isFlow(flow) ? flow : "group-owned";

const isFlow = (flow: unknown): flow is Flow =>
	(FLOWS as readonly unknown[]).includes(flow);
