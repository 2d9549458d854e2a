/**
 * EDU_DMA: a real DMA of an emulated device (facts/trace-formats.md §2). The device reads `len` bytes at src_iova and writes them to
 * dst_iova: two accesses. What arrived says whether they went through; its text is kept for people and read by nothing else.
 */
import { countOf, textOf, wideOf } from "./call.ts";
import type { CallScope } from "./call-ops.ts";

/** The read delivered nothing: zeroes arrived. */
const READ_BLOCKED = "ZERO_READ_BLOCKED";
/** Neither access went through. */
const WRITE_BLOCKED = "WRITE_BLOCKED";

/** End of EDU_DMA. Without `seen` (a marker) nothing is known and nothing recorded. */
export function dmaDone({ state, lane, call, device }: CallScope): void {
	const src = wideOf(call.args, "src_iova");
	const dst = wideOf(call.args, "dst_iova");
	const len = countOf(call.args, "len");
	const seen = textOf(call.out, "seen");
	if (
		call.errno !== 0 ||
		device === undefined ||
		src === undefined ||
		dst === undefined ||
		Number.isNaN(len) ||
		seen === ""
	)
		return;
	const writeBlocked = seen.startsWith(WRITE_BLOCKED);
	const readBlocked = writeBlocked || seen.startsWith(READ_BLOCKED);
	const where = textOf(call.out, "seen_where");
	const what = where === "" ? seen : `${seen} in ${where}`;
	// What somebody else reads elsewhere: whether the device's write changed it is not in the recording.
	const told = where === "";
	const common = { dev: device.id, len, what, from: call.t };
	state.emit(lane, "dma.done", device.id, {
		...common,
		iova: src,
		write: false,
		outcome: !told ? "unknown" : readBlocked ? "blocked" : "done",
	});
	state.emit(lane, "dma.done", device.id, {
		...common,
		iova: dst,
		write: true,
		outcome: !told ? "unknown" : writeBlocked ? "blocked" : "done",
	});
}
