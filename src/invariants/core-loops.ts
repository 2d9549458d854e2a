/** PT-11, PT-20, PT-21, PT-22, PT-39, PT-40: the core's loops, its gathers, its look-ups, and callers that go on by its answers (facts §3, §4.2, §5.3). */
import { pageCount, pageSizeIndex } from "../pagetable/core.ts";
import { subtract } from "../iotlb/state.ts";
import { leafAt } from "../iotlb/table-walk.ts";
import { hexOfFrame, showFrames } from "../vocabulary/address.ts";
import { type LogRecord } from "../vocabulary/records.ts";
import { resultFrames } from "../world/calls.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";
import { atReturn, fault, type Part } from "./returning.ts";

/** PT-20: a caller goes on where its last unmap ended. */
export function advances(
	{ world, memory }: Context,
	record: LogRecord<"op.begin">,
): Outcome {
	if (world.calls.size === 0) return SKIP;
	const call = world.calls.get(record.seq);
	const [range] = call?.ranges ?? [];
	if (call?.name !== "iommu_unmap" || range === undefined) return SKIP;
	const key = `PT-20 ${call.dom} ${call.actor}`;
	const asked = memory.get(`${key} asked`);
	const reported = memory.get(`${key} reported`) ?? 0;
	if (asked === undefined) return SKIP;
	if (range.start !== asked || reported <= asked) return undefined;
	return broken(
		`${call.dom} ${range.start} ${record.seq}`,
		`${call.actor} goes on at ${hexOfFrame(range.start)}, where it had asked to stop, but its last unmap reported everything up to ${hexOfFrame(reported)}`,
		[call.actor, call.dom],
		[memory.get(`${key} seq`) ?? 0],
	);
}
/** What PT-20 must remember of an unmap that returned. */
export function remember(
	{ world, memory }: Context,
	record: LogRecord<"op.commit">,
): Outcome {
	if (world.calls.size === 0) return SKIP;
	const call = world.calls.get(record.op);
	const [range] = call?.ranges ?? [];
	if (call?.name !== "iommu_unmap" || range === undefined) return SKIP;
	const key = `PT-20 ${call.dom} ${call.actor}`;
	const reported = resultFrames(record.data.result, "unmapped");
	memory.set(`${key} asked`, range.start + range.n);
	memory.set(`${key} reported`, reported < 0 ? 0 : range.start + reported);
	memory.set(`${key} seq`, call.seq);
	return SKIP;
}

/** PT-21, of an unmap or a map that returned. */
export const loopRight = (name: "iommu_map" | "iommu_unmap") =>
	atReturn(name, (returning) => {
		const { call, record } = returning;
		if (call.driverCalls === 0) return SKIP;
		const reported = resultFrames(record.data.result, "unmapped");
		const problem = call.driverLate
			? "called the driver again after all was done or a call had done nothing"
			: record.type === "op.commit" && !call.driverEnded
				? `stopped after ${call.driverDone} page(s), before all was done and although no call had done nothing`
				: name === "iommu_unmap" &&
						reported >= 0 &&
						reported !== call.driverDone
					? `reported ${reported} page(s), but its driver calls add up to ${call.driverDone}`
					: undefined;
		return problem === undefined
			? undefined
			: fault(returning, call.ranges[0]?.start ?? 0, problem);
	});

/** PT-22: size and count of a driver call. */
export function sizeChosen(
	{ world }: Context,
	{ data, op, seq }: LogRecord<"drv.mapped" | "drv.unmapped">,
): Outcome {
	const call = world.calls.size === 0 ? undefined : world.calls.get(op);
	const tables =
		call === undefined ? undefined : world.iotlb.tables.get(call.dom);
	if (call === undefined || tables === undefined) return SKIP;
	const [range] = call.ranges;
	if (range === undefined || call.ranges.length > 1) return SKIP;
	const iova = Math.floor(Number(data.iova) / 4096);
	const pa = "pa" in data ? Math.floor(Number(data.pa) / 4096) : iova;
	const size = Math.floor(Number(data.pgsize) / 4096);
	const left = range.start + range.n - iova;
	const { pageSizes } = tables.config;
	const index = pageSizeIndex(pageSizes, iova, pa, left);
	const best = pageSizes[index];
	if (
		index >= 0 &&
		size === best &&
		data.count <= pageCount(pageSizes, index, iova, pa, left)
	)
		return undefined;
	const problem = !pageSizes.includes(size)
		? `${size} page(s), which is no configured size`
		: size * data.count > left
			? `${data.count} times ${size} page(s), more than the ${left} that are left`
			: best !== undefined && best > size
				? `${size} page(s), although ${best} fit there`
				: `${data.count} times ${size} page(s), past the place where a larger size can start`;
	return broken(
		`${call.dom} ${iova} ${seq}`,
		`the core asked the driver at ${hexOfFrame(iova)} for ${problem}`,
		[call.dom],
		[call.seq],
	);
}

/** PT-39: the commands of a flush cover what was asked. */
export function encodedEnough(
	{ world }: Context,
	{ op, seq, data }: LogRecord<"inv.completed">,
): Outcome {
	const call = world.calls.size === 0 ? undefined : world.calls.get(op);
	if (call?.asked === undefined || call.commands.length === 0) return SKIP;
	const left = call.commands.reduce<readonly Part[]>(
		(parts, { start, n }) => subtract(parts, start, n),
		[call.asked],
	);
	const [first] = left;
	if (first === undefined) return undefined;
	return broken(
		`${call.dom} ${first.start} ${seq}`,
		`the driver was asked to flush ${showFrames(call.asked.start, call.asked.n)} of ${call.dom}, but its commands do not reach ${showFrames(first.start, first.n)}`,
		[call.dom, data.iommu],
		[call.seq],
	);
}

/** PT-40. */
export function gatherFilled(
	{ world }: Context,
	{ op, seq, data }: LogRecord<"gather.synced">,
): Outcome {
	const call = world.calls.size === 0 ? undefined : world.calls.get(op);
	if (call === undefined) return SKIP;
	const problem =
		data.iova !== undefined && data.last !== undefined && data.iova > data.last
			? `runs from 0x${data.iova.toString(16)} to 0x${data.last.toString(16)}`
			: data.iova === undefined && call.syncedOver > 0
				? `is empty, although ${call.syncedOver} page(s) were changed since the last one`
				: undefined;
	if (problem === undefined) return undefined;
	return broken(
		`${call.dom} ${seq}`,
		`the gather that ${call.dom} was asked to flush ${problem}`,
		[call.dom],
		[call.seq],
	);
}

/** PT-11. */
export const lookedUp = atReturn("iommu_iova_to_phys", (returning) => {
	const { tables, ranges, record } = returning;
	const [range] = ranges;
	if (range === undefined) return SKIP;
	const leaf = leafAt(tables, range.start);
	// Physical 0 and "no translation" are one answer.
	const memory = leaf === undefined ? 0 : leaf.pa + (range.start - leaf.start);
	const answer = Math.max(0, resultFrames(record.data.result, "pa"));
	return answer === memory
		? undefined
		: fault(
				returning,
				range.start,
				`answered ${hexOfFrame(answer)}, but memory says ${leaf === undefined ? "nothing" : hexOfFrame(memory)}`,
			);
});
