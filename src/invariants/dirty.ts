/** DRT rows (facts iommufd §6.5): dirty tracking. */
import type { DeviceId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { lastOf } from "../world/areas.ts";
import { framesOf, presentFrames } from "../world/memory.ts";
import { hex } from "./iova-checks.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";
import { pagingDomain } from "./subjects.ts";

/** DRT-3. */
function reportedMapped(
	{ world }: Context,
	{ data, seq }: LogRecord<"dirty.read">,
): Outcome {
	const domain = world.domains.map.get(data.dom);
	if (data.ranges === undefined || domain === undefined || domain.mapped < 0)
		return SKIP;
	const { memory } = domain;
	const end = lastOf(data.iova, data.len);
	for (const [start, last] of data.ranges) {
		const inside = start >= data.iova && last <= end;
		const frame = memory === null ? -1 : framesOf(start, memory.unit);
		const n =
			memory === null ? -1 : framesOf(BigInt(last) + 1n, memory.unit) - frame;
		const mapped =
			memory !== null &&
			(frame < 0 || n <= 0 || presentFrames(memory, frame, n) === n);
		if (!inside || !mapped)
			return broken(
				`${data.dom} ${seq}`,
				`a dirty read of ${data.dom} reported ${hex(start)}-${hex(last)}, which is ${inside ? "not mapped" : "outside the range asked for"}`,
				[data.dom],
				[domain.mapSeq, domain.unmapSeq],
			);
	}
	return undefined;
}

/** DRT-4. */
function cleanStart(
	{ memory, bracket }: Context,
	{ data, seq }: LogRecord<"dirty.set">,
): Outcome {
	if (!data.on || bracket.seq === 0) return SKIP;
	return (memory.get(`DRT-4 ${data.dom}`) ?? 0) > bracket.seq
		? undefined
		: broken(
				`${data.dom} ${seq}`,
				`dirty tracking of ${data.dom} was switched on without clearing what its entries said before`,
				[data.dom],
				[bracket.seq],
			);
}

export const DIRTY: readonly Invariant[] = [
	{
		id: "DRT-1",
		when: "S",
		severity: "error",
		sentence:
			"Dirty tracking is switched on only for a domain that was allocated for it.",
		harm: "the driver has no such operations",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_set_dirty_tracking"],
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
		id: "DRT-2",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence:
			"A device attached to a domain that was made for dirty tracking can track dirty pages.",
		harm: "its writes are never reported: migration loses them",
		source: [
			"drivers/iommu/intel/iommu.c:prepare_domain_attach_device",
			"drivers/iommu/iommufd/selftest.c:mock_domain_nop_attach",
		],
		test: (world, id) => {
			const device = world.devices.map.get(id as DeviceId);
			if (device?.hwpt === undefined || device.dirty === undefined) return SKIP;
			const domain = pagingDomain(world, device);
			if (domain?.dirtyOps !== true) return SKIP;
			// The selftest's driver looks at the domain that is attached, not at the one below it; VT-d looks below.
			const nested = world.hwpts.map.get(device.hwpt)?.parent !== undefined;
			if (nested && domain.driver === "mock") return SKIP;
			return device.dirty
				? undefined
				: broken(
						id,
						`${id} cannot track dirty pages and is attached to ${device.hwpt}, whose domain was made for it`,
						[device.id, device.hwpt],
						[device.since, domain.createdSeq],
					);
		},
	},
	{
		id: "DRT-3",
		when: "O",
		severity: "error",
		sentence:
			"A dirty read reports only pages that are mapped and inside the range asked for.",
		harm: "a migration copies what is not the guest's memory",
		source: [
			"drivers/iommu/iommufd/io_pagetable.c:__iommu_read_and_clear_dirty",
		],
		on: { "dirty.read": reportedMapped },
	},
	{
		id: "DRT-4",
		when: "O",
		severity: "error",
		sentence: "Switching dirty tracking on clears every dirty bit from before.",
		harm: "the snapshot is not clean: old writes are reported as new",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_set_dirty_tracking"],
		on: {
			"dirty.cleared": ({ memory }, { data, seq }) => {
				memory.set(`DRT-4 ${data.dom}`, seq);
				return SKIP;
			},
			"dirty.set": cleanStart,
		},
	},
	{
		id: "DRT-5",
		when: "O",
		severity: "warning",
		sentence: "Dirty tracking is not switched on twice.",
		harm: "the bits gathered so far are lost (A3): migration loses writes",
		source: ["facts iommufd §2.10, §9 A3"],
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
];
