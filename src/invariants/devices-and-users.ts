/** PIN, ACC, DRT, NST, FLT and VFT rows that records decide (facts iommufd §6.4-6.6). */
import { PINS } from "./pins.ts";
import type { CtxId, DeviceId, HwptId } from "../vocabulary/ids.ts";
import { areaMeeting, lastOf } from "../world/areas.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";

const TRACKING: readonly Invariant[] = [
	{
		id: "DRT-1",
		when: "S",
		severity: "error",
		sentence:
			"Dirty tracking is switched on only for a domain that was allocated for it.",
		harm: "the driver has no such operations",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_set_dirty_tracking"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"dirty.set": ({ world }, { data, seq }) => {
				const domain = world.domains.map.get(data.dom);
				if (domain === undefined || domain.createdSeq === 0 || !data.on)
					return SKIP;
				return domain.dirtyOps
					? undefined
					: broken(
							`${data.dom} ${seq}`,
							`dirty tracking was switched on for ${data.dom}, which was not allocated for it`,
							[data.dom],
							[domain.createdSeq],
						);
			},
		},
	},
	{
		id: "DRT-5",
		when: "O",
		severity: "warning",
		sentence: "Dirty tracking is not switched on twice.",
		harm: "the bits gathered so far are lost (A3): migration loses writes",
		source: ["facts iommufd §2.10, §9 A3"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"dirty.set": ({ memory }, { data, seq }) => {
				const key = `DRT-5 ${data.dom}`;
				const before = memory.get(key) ?? 0;
				memory.set(key, data.on ? seq : 0);
				if (!data.on) return SKIP;
				return before === 0
					? undefined
					: broken(
							`${data.dom} ${seq}`,
							`dirty tracking of ${data.dom} was switched on again: what was gathered since #${before} is lost`,
							[data.dom],
							[before],
						);
			},
		},
	},
	{
		id: "DRT-6",
		when: "O",
		severity: "warning",
		sentence:
			"A dirty read that reports success covered all of its range with tracking on.",
		harm: "the bitmap lacks pages and nobody is told (A2)",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iommu_read_and_clear_dirty"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"dirty.read": ({ world }, { data, seq }) => {
				const on = world.domains.map.get(data.dom)?.dirtyOn === true;
				if (data.walkErr === undefined && on) return undefined;
				return broken(
					`${data.dom} ${seq}`,
					`a dirty read of ${data.dom} succeeded ${on ? `although the walk ended in ${data.walkErr}` : "although tracking is off"}`,
					[data.dom],
					[],
				);
			},
		},
	},
	{
		id: "NST-1",
		when: "S",
		severity: "error",
		aspect: "hwpt",
		sentence:
			"The parent of a nested hwpt is a paging one, made as a nesting parent, not automatic.",
		harm: "a guest's first stage on a table that is not its own",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_nested_alloc"],
		brokenBy: "record sequence in test/invariants",
		test: (world, id) => {
			const hwpt = world.hwpts.map.get(id as HwptId);
			if (
				hwpt === undefined ||
				hwpt.state !== "live" ||
				hwpt.parent === undefined
			)
				return SKIP;
			const parent = world.hwpts.map.get(hwpt.parent);
			if (parent === undefined) return SKIP;
			if (parent.state === "gone")
				return broken(
					id,
					`${id} lives on although its parent ${hwpt.parent} is gone`,
					[hwpt.id, hwpt.parent],
					[hwpt.liveSeq],
				);
			const right =
				parent.kind !== "NESTED" && parent.nestParent && !parent.auto;
			return right
				? undefined
				: broken(
						id,
						`${id} is nested on ${hwpt.parent}, which is not a nesting parent`,
						[hwpt.id, hwpt.parent],
						[parent.liveSeq, hwpt.liveSeq],
					);
		},
	},
	{
		id: "NST-5",
		when: "S",
		severity: "error",
		sentence:
			"An invalidation handles at most what was asked, and all of it when it succeeds.",
		harm: "the guest believes its caches are clean",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_invalidate"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"hwpt.invalidated": (_, { data, seq }) => {
				const right =
					data.done <= data.asked &&
					(data.errno !== undefined || data.done === data.asked);
				return right
					? undefined
					: broken(
							`${data.hwpt} ${seq}`,
							`${data.hwpt}: ${data.done} of ${data.asked} invalidations were handled${data.errno === undefined ? " and success was reported" : ""}`,
							[data.hwpt],
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
		brokenBy: "record sequence in test/invariants",
		test: (world, id) => {
			const hwpt = world.hwpts.map.get(id as HwptId);
			if (
				hwpt === undefined ||
				hwpt.state !== "live" ||
				hwpt.fault === undefined
			)
				return SKIP;
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
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
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

const TYPE1: readonly Invariant[] = [
	{
		id: "VFT-1",
		when: "O",
		severity: "error",
		sentence: "Entries of a legacy container never overlap.",
		harm: "two owners for one IOVA",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"type1.entry.added": ({ world }, { data, seq }) => {
				const type1 = world.ctxs.map.get(data.ctx as CtxId)?.type1;
				if (type1 === undefined) return SKIP;
				const other = areaMeeting(
					type1.entries,
					data.iova,
					lastOf(data.iova, data.len),
					type1.newest,
				);
				return other === undefined
					? undefined
					: broken(
							`${data.ctx} ${seq}`,
							`the entry at 0x${data.iova.toString(16)} of ${data.ctx} overlaps one at 0x${other.start.toString(16)}`,
							[data.ctx],
							[other.seq],
						);
			},
		},
	},
	{
		id: "VFT-4",
		when: "O",
		severity: "error",
		sentence: "A legacy container never holds more entries than its limit.",
		harm: "its limit on kernel memory is bypassed",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_remove_dma"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"type1.entry.added": ({ world }, { data, seq }) => {
				const type1 = world.ctxs.map.get(data.ctx as CtxId)?.type1;
				if (type1?.limit === undefined) return SKIP;
				return type1.entries.count <= type1.limit
					? undefined
					: broken(
							`${data.ctx} ${seq}`,
							`${data.ctx} holds ${type1.entries.count} entries; its limit is ${type1.limit}`,
							[data.ctx],
							[],
						);
			},
		},
	},
];

export const DEVICES_AND_USERS: readonly Invariant[] = [
	...PINS,
	...TRACKING,
	...TYPE1,
];
