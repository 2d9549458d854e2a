/**
 * What a trace covers and what it does not: events the recorder lost, buffers that were overwritten, calls from before its first line
 * or after its last, lines that are not in the order of events. All of it becomes `trace.lost` records, so that nothing is concluded
 * from the absence of an event (DESIGN §5): `from` says which records before it may already lack events, `open` that more are
 * missing until the next one.
 */
import type { Call } from "./call.ts";
import type { RecordData } from "../vocabulary/records.ts";
import type { Output } from "./output.ts";
import type { ImportReport } from "./report.ts";

/** CPUs whose last line is remembered; beyond it a loss reaches back to the beginning. */
const CPUS_MAX = 8192;
/** Lines whose place is remembered, to find where lines belong that come too late. A power of two. */
const LINES_KEPT = 1 << 14;

/** Calls that move devices: each session of a program leaves lines of them in every trace that covers it, whatever its probes. */
const MOVING: ReadonlySet<string> = new Set([
	"VFIO_DEVICE_BIND_IOMMUFD",
	"VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	"VFIO_DEVICE_DETACH_IOMMUFD_PT",
	"CLOSE_CDEV",
	"VFIO_SET_IOMMU",
]);

/** Keeps the account of one import. */
export class Coverage {
	private readonly out: Output;
	private readonly report: ImportReport;
	/** A trace is part of the recording. */
	private readonly traced: boolean;
	private readonly lastOfCpu = new Float64Array(CPUS_MAX);
	private readonly times = new Float64Array(LINES_KEPT);
	private readonly places = new Float64Array(LINES_KEPT);
	private lines = 0;
	private first = Number.NaN;
	/** The latest time seen. */
	private latest = 0;
	/** In a stretch of lines that come too late: the place it reaches back to; NaN when in order. */
	private disorder = Number.NaN;
	private phase: "before" | "inside" | "after" = "before";
	private outside = false;
	/** Behind a marker of lost events, before the next line. */
	hole = false;
	private markers = false;
	private witnessMisplaced = false;
	/** Calls that have begun and not ended, and among them those that move devices. */
	private running = 0;
	private moving = 0;

	/** Called where the lines before and after do not belong together. */
	onBreak: (() => void) | undefined;

	constructor(out: Output, report: ImportReport, traced: boolean) {
		this.out = out;
		this.report = report;
		this.traced = traced;
	}

	/** A line of the trace, before anything is made of it. */
	line(t: number, cpu: number): void {
		if (t < this.latest) this.late(t, cpu);
		else {
			if (!Number.isNaN(this.disorder)) this.inOrder(t);
			this.latest = t;
		}
		const { written } = this.out;
		const slot = this.lines++ & (LINES_KEPT - 1);
		this.times[slot] = t;
		this.places[slot] = written;
		// Plus one: 0 means that the CPU was never seen.
		if (cpu < CPUS_MAX) this.lastOfCpu[cpu] = written + 1;
	}

	/** A marker of the program: its calls leave lines, all of them. */
	marker(): void {
		this.markers = true;
	}

	/** The first line of the trace. `opens`: it says itself that a call of the program begins, so nothing of that call is missing. */
	begin(t: number, opens: boolean): void {
		this.phase = "inside";
		this.first = t;
		this.latest = t;
		if (this.outside)
			this.write(t, "the trace begins here: calls came before it", {
				open: false,
			});
		else if (this.running > 0 && !opens)
			this.write(t, "the trace begins inside a call");
		this.outside = false;
	}

	/** The recorder says that it lost `n` events (0: unknown) of a CPU: from the last line of that CPU on they may be missing. */
	lost(t: number, n: number, cpu: number | undefined, why: string): void {
		const { lost } = this.report;
		lost.markers++;
		lost.events += n;
		if (n === 0) lost.unknown++;
		this.onBreak?.();
		const seen = cpu === undefined ? 0 : (this.lastOfCpu[cpu] ?? 0);
		const from = Math.max(1, seen);
		this.out.emit(
			t,
			"trace.lost",
			"host",
			{ n, ...(cpu === undefined ? {} : { cpu }), why, from, open: true },
			undefined,
		);
		this.hole = true;
	}

	/** The first line behind a hole, and behind the calls that lie inside it. */
	resume(t: number): void {
		this.hole = false;
		this.write(t, "the trace goes on", { open: false });
	}

	/** A line from before the latest: what was judged since lacked it. */
	private late(t: number, cpu: number): void {
		this.report.backwards++;
		const from = this.reaches(t, cpu);
		if (from >= this.disorder) return;
		if (Number.isNaN(this.disorder)) this.onBreak?.();
		this.disorder = from;
		this.write(t, "times go back: lines are not in the order of events", {
			from,
			open: true,
		});
	}

	/** The first record that a line of time `t` should have come before. */
	private reaches(t: number, cpu: number): number {
		// The same CPU, from its beginning: another recording follows, the first one was whole.
		const again = (this.lastOfCpu[cpu] ?? 0) > 0 && t <= this.first;
		if (again) return this.out.written + 1;
		const oldest = Math.max(0, this.lines - LINES_KEPT);
		for (let at = this.lines - 1; at >= oldest; at--)
			if ((this.times[at & (LINES_KEPT - 1)] as number) <= t)
				return (this.places[at & (LINES_KEPT - 1)] as number) + 1;
		return 1;
	}

	private inOrder(t: number): void {
		this.onBreak?.();
		this.disorder = Number.NaN;
		this.write(t, "lines are in the order of events again", { open: false });
	}

	/** The whole trace has no line of an event that it ought to have. */
	missing(event: string): void {
		const why = `no ${event} line in the whole trace`;
		this.write(this.latest, why, { event });
	}

	/** The emulator's log has other commands than the trace: where its lines belong is not certain. */
	misplaced(): void {
		if (this.witnessMisplaced) return;
		this.witnessMisplaced = true;
		this.write(
			this.latest,
			"the emulator's log and the trace do not have the same commands",
			{ event: "witness" },
		);
	}

	/** The trace has no more lines. */
	end(): void {
		this.phase = "after";
		if (this.moving > 0 || (this.markers && this.running > 0))
			this.beyond(this.latest);
	}

	/** Something is told of a time that the trace does not cover any more. */
	beyond(t: number): void {
		if (this.outside) return;
		this.outside = true;
		this.write(t, "the trace ends here: other parts of the recording go on", {
			open: true,
		});
	}

	/** The last time that the trace covers; undefined while it still goes on. */
	get ended(): number | undefined {
		return this.phase === "after" ? this.latest : undefined;
	}

	/** A call of the program begins. */
	callBegins(call: Call): void {
		this.running++;
		if (MOVING.has(call.name)) this.moving++;
		if (this.phase !== "after" || !this.traced || this.outside) return;
		if (!this.leavesLines(call)) return;
		this.beyond(call.t);
	}

	/** A call of the program has ended. */
	callEnds(call: Call): void {
		this.running--;
		if (MOVING.has(call.name)) this.moving--;
		if (this.phase !== "before" || !this.traced || this.outside) return;
		if (call.errno !== 0 || !MOVING.has(call.name)) return;
		this.outside = true;
		this.write(call.t, "these calls came before the trace", { open: true });
	}

	private leavesLines(call: Call): boolean {
		return this.markers || (call.errno === 0 && MOVING.has(call.name));
	}

	private write(
		t: number,
		why: string,
		more: Omit<RecordData<"trace.lost">, "n" | "why"> = {},
	): void {
		this.out.emit(t, "trace.lost", "host", { n: 0, why, ...more }, undefined);
	}
}
