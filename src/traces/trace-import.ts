/** The trace itself: lines in, facts out (one pass, no look-back). */
import type { EventKind } from "./events.ts";
import { EVENTS, EVENTS_BY_HASH } from "./events.ts";
import { missingEvents } from "./companions.ts";
import { breakLanes, settle } from "./pending.ts";
import { LINE_MAX_BYTES } from "./lines.ts";
import { advanceTo, nextDue } from "./merge.ts";
import type { State } from "./state.ts";

const HASH = 35;
const decoder = new TextDecoder("latin1");

/** Unknown event names counted one by one; hostile input may have any number. */
const NAMES_MAX = 10_000;

/** Feeds lines to the handlers and keeps the account. */
export class TraceImport {
	private readonly state: State;
	private readonly counts = new Float64Array(EVENTS.length);
	private started = false;

	constructor(state: State) {
		this.state = state;
		state.coverage.onBreak = () => breakLanes(state);
	}

	/** One line. */
	readonly take = (
		buf: Uint8Array,
		start: number,
		end: number,
		whole: boolean,
	): void => {
		const { state } = this;
		const { report, line } = state;
		report.lines++;
		if (end === start || buf[start] === HASH) {
			report.comments++;
			if (end - start > 2) this.comment(buf, start, end);
			return;
		}
		if (!line.parse(buf, start, end)) {
			line.nameStart = line.nameEnd = 0;
			this.other(buf, start, end, whole);
			return;
		}
		const { coverage } = state;
		if (coverage.hole || !this.started) {
			advanceTo(state, line.t);
			if (this.started) coverage.resume(line.t);
			else this.start(buf, end);
		}
		coverage.line(line.t, line.cpu);
		if (nextDue(state) <= line.t) advanceTo(state, line.t);
		const kind = EVENTS_BY_HASH.get(line.nameHash);
		if (kind === undefined) {
			const name =
				report.events.size < NAMES_MAX
					? line.eventName().slice(0, 64)
					: "(more names)";
			report.events.set(name, (report.events.get(name) ?? 0) + 1);
			state.unexplained("event not known", name);
			return;
		}
		this.dispatch(kind);
	};

	private start(buf: Uint8Array, end: number): void {
		this.started = true;
		const { coverage, line } = this.state;
		const text = decoder.decode(buf.subarray(line.nameStart, end));
		coverage.begin(line.t, /\blab: [BN] /.test(text));
	}

	private dispatch(kind: EventKind): void {
		const { state } = this;
		const { report, line } = state;
		(this.counts[kind.index] as number)++;
		const lane = state.lanes.of(line.pid, line.context, line.cpu);
		if (lane.open) settle(state, lane, kind.traits);
		if (kind.handle === undefined) {
			report.consumed++;
			return;
		}
		if (kind.fields) line.tokenize(line.textStart, kind.until);
		const { needs } = kind;
		for (let i = 0; i < needs.length; i++)
			if (!line.has(needs[i] as number))
				return state.unexplained("a field is missing");
		const before = report.unexplainedCount;
		kind.handle(state, lane);
		if (report.unexplainedCount === before) report.consumed++;
	}

	/** `# entries-in-buffer/entries-written: 1530/2000   #P:2`: what is missing was overwritten before the first line. */
	private comment(buf: Uint8Array, start: number, end: number): void {
		const text = decoder.decode(
			buf.subarray(start, Math.min(end, start + 256)),
		);
		// Printed for every CPU of an overrun buffer at its first event (kernel/trace/trace.c:test_cpu_buff_start).
		const begun = /^##+ CPU (\d{1,6}) buffer started/.exec(text);
		if (begun !== null) this.lost(0, Number(begun[1]), "buffer overwritten");
		if (this.started) return;
		const match = /entries-written: (\d{1,15})\/(\d{1,15})/.exec(text);
		if (match === null) return;
		const missing = Number(match[2]) - Number(match[1]);
		if (missing > 0) this.lost(missing, undefined, "buffer overwritten");
	}

	private lost(n: number, cpu: number | undefined, why: string): void {
		const { coverage, line } = this.state;
		coverage.lost(line.t, n, cpu, why);
	}

	/** Lines that are not events: lost-event markers, trace-cmd's head, damage. */
	private other(
		buf: Uint8Array,
		start: number,
		end: number,
		whole: boolean,
	): void {
		const { state } = this;
		const { report } = state;
		const text = decoder.decode(
			buf.subarray(start, Math.min(end, start + 256)),
		);
		const lost =
			/^\s*CPU:\s?(\d{1,6}) \[(?:LOST (\d{1,15}) EVENTS|LOST EVENTS|EVENTS DROPPED|(\d{1,15}) EVENTS DROPPED)\]/.exec(
				text,
			);
		if (lost !== null) {
			report.comments++;
			const n = Number(lost[2] ?? lost[3] ?? 0);
			return this.lost(n, Number(lost[1]), "events lost");
		}
		if (
			/^(?:cpus=\d+|version = \d+|\s*)$/.test(text) ||
			/^CPU \d+ is empty/.test(text)
		) {
			report.comments++;
			return;
		}
		if (!whole && end - start < LINE_MAX_BYTES) {
			report.truncated = true;
			return state.unexplained("line is cut off at the end of the input", "?");
		}
		state.unexplained(
			end - start >= LINE_MAX_BYTES
				? `line is longer than ${LINE_MAX_BYTES} bytes`
				: "not a trace line",
			"?",
		);
	}

	/** The end: what lanes left open stays undecided. Counts go to the report. */
	finish(): void {
		const { state } = this;
		breakLanes(state);
		for (const event of missingEvents(this.counts, state.rejoined))
			state.coverage.missing(event);
		state.coverage.end();
		for (const [index, n] of this.counts.entries()) {
			const name = EVENTS[index]?.name;
			if (n > 0 && name !== undefined) state.report.events.set(name, n);
		}
	}
}
