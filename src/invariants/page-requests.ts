/** FLT rows (facts iommufd §6.5): page requests and the queues they go to. */
import type { DeviceId, FaultQueueId } from "../vocabulary/ids.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";
import { liveHwpt } from "./subjects.ts";

/** Whether the handle stored in the group of `dev` leads to this queue. */
function leadsTo(world: World, dev: string, fq: string): boolean {
	const id = world.devices.map.get(dev as DeviceId)?.group;
	const group = id === undefined ? undefined : world.groups.map.get(id);
	return (
		group?.handles.some(({ dom }) => {
			const hwpt = world.domains.map.get(dom)?.hwpt;
			return hwpt !== undefined && world.hwpts.map.get(hwpt)?.fault === fq;
		}) === true
	);
}

export const PAGE_REQUESTS: readonly Invariant[] = [
	{
		id: "FLT-4",
		when: "O",
		severity: "error",
		aspect: "faultQueue",
		kernels: "6.12",
		sentence:
			"An unanswered fault group in a queue came through a handle that is still installed in the device's group.",
		harm: "the answer goes through a freed handle",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_auto_response_faults"],
		test: (world, id) => {
			const queue = world.faultQueues.map.get(id as FaultQueueId);
			if (queue === undefined || queue.open.length === 0 || !world.seen.handles)
				return SKIP;
			const stray = queue.open.find(
				(key) => !leadsTo(world, key.slice(0, key.lastIndexOf(" ")), id),
			);
			return stray === undefined
				? undefined
				: broken(
						id,
						`${id} holds the unanswered fault group ${stray}, whose group has no handle that leads here any more`,
						[queue.id],
						[],
					);
		},
	},
	{
		id: "FLT-5",
		when: "O",
		severity: "error",
		sentence:
			"A fault queue is destroyed empty, and what the kernel answers by itself is INVALID.",
		harm: "a device waits for ever, or is told to go on with a page it never got",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_fault_destroy"],
		on: {
			"obj.gone": ({ world }, { data, seq }) => {
				const queue = world.faultQueues.map.get(data.obj as FaultQueueId);
				if (queue === undefined) return SKIP;
				return queue.open.length === 0
					? undefined
					: broken(
							`${data.obj} ${seq}`,
							`${data.obj} is gone with ${queue.open.length} fault group(s) unanswered`,
							[queue.id],
							[],
						);
			},
			"fault.answered": (_, { data, seq }) => {
				if (data.by === "user") return SKIP;
				return data.code === "INVALID"
					? undefined
					: broken(
							`${data.fq} ${seq}`,
							`${data.fq}: the kernel answered a fault by itself (${data.by}) with ${data.code}`,
							[data.fq],
							[],
						);
			},
		},
	},
	{
		id: "FLT-1",
		when: "S",
		severity: "error",
		aspect: "hwpt",
		kernels: "6.12",
		sentence: "Only nested hwpts carry a fault queue (lifted in 6.13).",
		harm: "6.12 refuses it at allocation",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_alloc"],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.fault === undefined) return SKIP;
			return hwpt.kind === "NESTED"
				? undefined
				: broken(
						id,
						`${id} is ${hwpt.kind} and carries ${hwpt.fault}`,
						[hwpt.id, hwpt.fault],
						[hwpt.liveSeq],
					);
		},
	},
	{
		id: "FLT-2",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence:
			"Page requests are on for a device at most once and only while its group is on a fault-capable hwpt.",
		harm: "a counter underflows on one device and leaks on another (A4)",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_fault_iopf_enable"],
		test: (world, id) => {
			const device = world.devices.map.get(id as DeviceId);
			if (
				device === undefined ||
				(device.iopf === 0 && device.hwpt === undefined)
			)
				return SKIP;
			if (device.iopf === 0) return undefined;
			const group =
				device.group === undefined
					? undefined
					: world.groups.map.get(device.group);
			const onQueue = group?.members.some((dev) => {
				const hwpt = world.devices.map.get(dev)?.hwpt;
				return (
					hwpt !== undefined && world.hwpts.map.get(hwpt)?.fault !== undefined
				);
			});
			return device.iopf === 1 && onQueue === true
				? undefined
				: broken(
						id,
						`page requests of ${id} are counted ${device.iopf} times while its group is ${onQueue === true ? "" : "not "}on a fault-capable hwpt`,
						[device.id],
						[device.since],
					);
		},
	},
	{
		id: "FLT-3",
		when: "S",
		severity: "error",
		sentence: "Every fault group is answered exactly once.",
		harm: "the device hangs, or gets an answer it did not ask for",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_auto_response_faults"],
		on: {
			"fault.queued": ({ memory }, { data }) => {
				const key = `FLT-3 ${data.fq}`;
				memory.set(key, (memory.get(key) ?? 0) + 1);
				return SKIP;
			},
			"fault.answered": ({ memory }, { data, seq }) => {
				const key = `FLT-3 ${data.fq}`;
				const open = (memory.get(key) ?? 0) - 1;
				memory.set(key, open);
				return open >= 0
					? undefined
					: broken(
							`${data.fq} ${seq}`,
							`${data.fq} answered a fault that was not open`,
							[data.fq],
							[],
						);
			},
		},
	},
];
