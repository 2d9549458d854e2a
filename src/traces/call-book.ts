/**
 * The user program's calls on the trace's clock. calls.ndjson is written in order of completion, so it is read ahead of the
 * trace by a fixed stretch of time; begins and ends then come due in order of time. Trace times are rounded to
 * microseconds (kernel/trace/trace_output.c), so a begin is due half a microsecond early and an end as much late: every
 * event of the call lies between them.
 */
import type { Call } from "./call.ts";
import { parseCall } from "./call.ts";
import { beginCall, endCall, mapAreaNow } from "./call-ops.ts";
import { Heap } from "./heap.ts";
import type { Ioas } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import type { Op } from "./ops.ts";
import type { ImportReport } from "./report.ts";
import type { State } from "./state.ts";
import type { Witness } from "./witness.ts";

/** How far calls are read ahead, in ns: longer calls may begin too late, and are counted. */
export const LOOK_AHEAD_NS = 10e9;
/** At most this many calls are held in memory. */
export const HELD_CALLS_MAX = 200_000;
const ROUNDING_NS = 500;

/** A source of text lines, pulled when needed. */
export type LinePull = () => Promise<readonly string[] | undefined>;

/** Reads a line as a call; "note": understood, but no call. */
export type CallParser = (text: string) => Call | "note" | undefined;

interface Due {
	readonly call: Call;
	readonly isEnd: boolean;
}

/** Calls in order of time, and the programs' open files. */
export class CallBook {
	private readonly due = new Heap<Due>();
	private readonly running = new Map<number, Call>();
	private pull: LinePull | undefined;
	private readTo = Number.NEGATIVE_INFINITY;
	private reached = Number.NEGATIVE_INFINITY;
	private readonly report: ImportReport;
	private readonly parse: CallParser;
	private lines = 0;
	/** Names a line that is no call. */
	onBad: ((line: number) => void) | undefined;
	/** The emulator's log, when there is one: it is merged by the same clock. */
	witness: Witness | undefined;
	/** Bus name of the device behind an open file of the calling program. */
	readonly deviceOfFd = new Map<number, string>();

	/** `parse` reads one line; a line that is no call is handed to `onBad` with its number. */
	constructor(
		report: ImportReport,
		pull: LinePull | undefined,
		parse: CallParser = parseCall,
	) {
		this.report = report;
		this.pull = pull;
		this.parse = parse;
	}

	/** Reads calls up to `t` and the look-ahead beyond. */
	async ensure(t: number): Promise<void> {
		while (
			this.pull !== undefined &&
			this.readTo < t + LOOK_AHEAD_NS &&
			this.due.size < HELD_CALLS_MAX
		) {
			const lines = await this.pull();
			if (lines === undefined) {
				this.pull = undefined;
				break;
			}
			for (const line of lines) this.add(line);
		}
	}

	/** Reads on when nothing is at hand. Returns up to when all calls are known. */
	async known(): Promise<number> {
		await this.ensure(this.due.size === 0 ? this.readTo : this.due.next);
		if (this.pull !== undefined && this.due.size === 0)
			await this.ensure(Number.MAX_SAFE_INTEGER);
		if (this.pull === undefined) return Number.POSITIVE_INFINITY;
		return Math.max(this.readTo - LOOK_AHEAD_NS, this.due.next);
	}

	private add(text: string): void {
		this.lines++;
		if (text.trim() === "") return;
		const call = this.parse(text);
		if (call === undefined) {
			this.report.calls.bad++;
			this.onBad?.(this.lines);
			return;
		}
		if (call === "note") return;
		this.report.calls.read++;
		if (call.t - ROUNDING_NS < this.reached) this.report.calls.late++;
		this.readTo = Math.max(this.readTo, call.tEnd);
		this.due.push(call.t - ROUNDING_NS, { call, isEnd: false });
	}

	/** When the next begin or end is due. */
	get next(): number {
		return this.due.next;
	}

	/** More calls may come. */
	get more(): boolean {
		return this.pull !== undefined || this.due.size > 0;
	}

	/** Lets what is due next happen. */
	step(state: State): void {
		this.reached = Math.max(this.reached, this.due.next);
		const entry = this.due.pop();
		if (entry === undefined) return;
		const { call, isEnd } = entry;
		if (isEnd) this.end(state, call);
		else this.begin(state, call);
	}

	private begin(state: State, call: Call): void {
		const open = this.running.get(call.tid);
		if (open !== undefined) this.end(state, open);
		this.running.set(call.tid, call);
		state.coverage.callBegins(call);
		beginCall(state, call);
		this.due.push(call.tEnd + ROUNDING_NS, { call, isEnd: true });
	}

	private end(state: State, call: Call): void {
		if (this.running.get(call.tid) !== call) return;
		this.running.delete(call.tid);
		state.coverage.callEnds(call);
		endCall(state, call);
	}

	/** A `lab: B` marker: the call's outcome is not known yet. */
	markBegin(state: State, call: Call): void {
		const open = this.running.get(call.tid);
		if (open !== undefined) {
			this.running.delete(open.tid);
			const lane = state.lanes.of(open.tid, 0, 0);
			if (lane.op !== undefined) {
				state.undecided("call whose end is not in the trace");
				state.emit(lane, "trace.lost", "host", {
					n: 1,
					why: "the end of a call is not in the trace",
				});
			}
			if (lane.op?.area !== undefined) state.out.drop(lane.op.area);
			for (const { place } of lane.op?.draining ?? [])
				if (place.open) state.out.drop(place);
			lane.op = undefined;
			lane.frames.length = 0;
		}
		this.running.set(call.tid, call);
		beginCall(state, call);
	}

	/** A `lab: E` marker. */
	markEnd(state: State, tid: number, ret: number, errno: number): void {
		const call = this.running.get(tid);
		if (call === undefined) {
			state.undecided("call whose begin is not in the trace");
			return;
		}
		this.running.delete(tid);
		call.ret = ret;
		call.errno = errno;
		endCall(state, call, state.line.t);
	}

	/** iopt_map_user_pages returned inside this operation: the area is complete. */
	areaMapped(state: State, lane: Lane, op: Op, ioas: Ioas): void {
		mapAreaNow(state, lane, op, ioas);
	}
}
