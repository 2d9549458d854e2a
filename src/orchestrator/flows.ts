/** Which statecharts carry out attach, detach and replace in each flow, and all the others. */
import { attach } from "../../machines/attach.ts";
import { attach2023 } from "../../machines/attach-2023.ts";
import { attachPt } from "../../machines/attach-pt.ts";
import { autoDomain } from "../../machines/auto-domain.ts";
import { bind } from "../../machines/bind.ts";
import { close } from "../../machines/close.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import { destroy } from "../../machines/destroy.ts";
import { detach } from "../../machines/detach.ts";
import { detach2023 } from "../../machines/detach-2023.ts";
import { groupSwitch } from "../../machines/group-switch.ts";
import { hwptAlloc } from "../../machines/hwpt-alloc.ts";
import { hwptAllocIoctl } from "../../machines/hwpt-alloc-ioctl.ts";
import { hwptFree } from "../../machines/hwpt-free.ts";
import { hwptPut } from "../../machines/hwpt-put.ts";
import { ioasAlloc } from "../../machines/ioas-alloc.ts";
import { replace } from "../../machines/replace.ts";
import { replaceDetachAttach } from "../../machines/replace-detach-attach.ts";
import { replaceDeviceForced } from "../../machines/replace-device-forced.ts";
import { replaceDeviceLagging } from "../../machines/replace-device-lagging.ts";
import { replacePostedV2 } from "../../machines/replace-posted-v2.ts";
import { unbind } from "../../machines/unbind.ts";
import type { Flow } from "./switches.ts";

/** The transactions by role. */
export interface Transactions {
	readonly switch: AnyDefinition;
	readonly attach: AnyDefinition;
	readonly detach: AnyDefinition;
	readonly replace: AnyDefinition;
	readonly put: AnyDefinition;
	readonly free: AnyDefinition;
	readonly alloc: AnyDefinition;
	readonly allocIoctl: AnyDefinition;
	readonly auto: AnyDefinition;
	readonly attachPt: AnyDefinition;
	readonly bind: AnyDefinition;
	readonly unbind: AnyDefinition;
	readonly ioasAlloc: AnyDefinition;
	readonly destroy: AnyDefinition;
	readonly close: AnyDefinition;
}
/** The name of a role. */
export type Role = keyof Transactions;

/** Who holds the attachment: the group (merged kernel), or each device (2023). */
export const ownsByGroup = (flow: Flow): boolean => flow === "group-owned";

const merged: Transactions = {
	switch: groupSwitch,
	attach,
	detach,
	replace,
	put: hwptPut,
	free: hwptFree,
	alloc: hwptAlloc,
	allocIoctl: hwptAllocIoctl,
	auto: autoDomain,
	attachPt,
	bind,
	unbind,
	ioasAlloc,
	destroy,
	close,
};

const REPLACE_2023: {
	readonly [F in Exclude<Flow, "group-owned">]: AnyDefinition;
} = {
	"detach-attach": replaceDetachAttach,
	"posted-v2": replacePostedV2,
	"device-lagging": replaceDeviceLagging,
	"device-forced": replaceDeviceForced,
};

/** The statecharts of a flow. */
export const transactionsOf = (flow: Flow): Transactions =>
	flow === "group-owned"
		? merged
		: {
				...merged,
				attach: attach2023,
				detach: detach2023,
				replace: REPLACE_2023[flow],
			};
