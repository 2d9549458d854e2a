/** One pass over a recording: the trace, with the user program's calls and the emulator's log merged in by their clocks. */
import { u64 } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import { pullLines } from "./bytes.ts";
import type { ByteSource } from "./bytes.ts";
import type { CallParser, LinePull } from "./call-book.ts";
import { CallBook } from "./call-book.ts";
import type { GroupEntry } from "./groups.ts";
import { Coverage } from "./coverage.ts";
import { LineSplitter } from "./lines.ts";
import { advanceTo } from "./merge.ts";
import type { Sink } from "./output.ts";
import { Output } from "./output.ts";
import type { Peek } from "./peek.ts";
import type { ImportReport } from "./report.ts";
import { State } from "./state.ts";
import { TraceImport } from "./trace-import.ts";
import { TraceLine } from "./trace-line.ts";
import { Witness } from "./witness.ts";

/** What counts.json tells about the recorder: missed probe hits, the spread of the emulator's clock. No answer is read from it. */
export interface RecorderCounts {
	readonly missed: number;
	readonly spreadNs: number | undefined;
}

/** Reads counts.json; anything unreadable counts as not told. */
export function parseCounts(json: string): RecorderCounts {
	let value: unknown;
	try {
		value = JSON.parse(json === "" ? "{}" : json);
	} catch {
		value = {};
	}
	const fields = (value ?? {}) as Record<string, unknown>;
	const missed = fields["kprobe_missed"];
	const spread = fields["qemu_offset_spread_us"];
	const high = Array.isArray(spread) ? spread[1] : undefined;
	return {
		missed: Number.isSafeInteger(missed) ? Math.max(0, missed as number) : 0,
		spreadNs:
			typeof high === "number" && high >= 0 && high < 1e9
				? high * 1000
				: undefined,
	};
}

/** Where calls come from and how a line of them is read. */
export interface CallInput {
	readonly pull: LinePull;
	readonly parse: CallParser;
}

/** What one pass works on. */
export interface RunInput {
	readonly trace: Peek | undefined;
	readonly calls: CallInput | undefined;
	readonly witness: ByteSource | undefined;
	readonly header: LogHeader;
	readonly groups: readonly GroupEntry[] | undefined;
	readonly counts: RecorderCounts;
}

/** kprobes miss hits inside interrupts, nowhere else (facts/trace-formats.md §8): src/invariants/untold.ts knows what that feeds. */
const MISSED_IN_INTERRUPTS = "missed in interrupts";

/** One pass over a recording. */
export class Run {
	private readonly state: State;
	private readonly trace: TraceImport;
	private readonly splitter = new LineSplitter();
	private readonly probe = new TraceLine();
	private readonly looked: Peek | undefined;
	private readonly report: ImportReport;
	private readonly witness: Witness | undefined;

	constructor(input: RunInput, report: ImportReport, sink: Sink) {
		const { header, counts, calls } = input;
		this.looked = input.trace;
		this.report = report;
		const book = new CallBook(report, calls?.pull, calls?.parse);
		const out = new Output(sink);
		this.state = new State(
			out,
			report,
			book,
			new Coverage(out, report, input.trace !== undefined),
			header.iommu.scalable,
			header.fidelity !== "L0",
		);
		this.state.shown.callFile = calls !== undefined;
		book.onBad = (line) => this.state.unexplained("not a call", "calls", line);
		seedTopology(this.state, header);
		seedReserved(this.state, input.groups ?? []);
		this.witness =
			input.witness && this.looked !== undefined
				? new Witness(report, pullLines(input.witness), counts.spreadNs)
				: undefined;
		this.witness?.bind(this.state);
		book.witness = this.witness;
		this.trace = new TraceImport(this.state);
		if (report.clock.state === "apart")
			out.emit(
				0,
				"trace.lost",
				"host",
				{
					n: 0,
					why: `calls and trace cannot be aligned, the calls are not used: ${report.clock.why}`,
					event: "calls",
				},
				undefined,
			);
		if (counts.missed > 0)
			out.emit(
				0,
				"trace.lost",
				"host",
				{
					n: counts.missed,
					why: "probe hits missed since boot (recorder's count)",
					event: MISSED_IN_INTERRUPTS,
				},
				undefined,
			);
	}

	/** Works through the recording; yields the bytes read so far after each piece. */
	async *steps(): AsyncGenerator<number> {
		const { report, looked } = this;
		if (looked !== undefined) {
			for (const chunk of looked.chunks) {
				await this.chunk(chunk);
				yield report.bytes;
			}
			for (;;) {
				const next = await looked.rest.next();
				if (next.done === true) break;
				await this.chunk(next.value);
				yield report.bytes;
			}
			this.splitter.finish(this.trace.take);
			this.trace.finish();
		}
		yield* this.tail();
		this.state.out.flush();
		report.records = this.state.out.written;
	}

	private async chunk(chunk: Uint8Array): Promise<void> {
		this.report.bytes += chunk.length;
		const { calls } = this.state;
		if (calls.more || this.witness !== undefined) {
			const t = this.lastTime(chunk);
			if (t !== undefined) {
				await calls.ensure(t);
				await this.witness?.ensure(t);
			}
		}
		this.splitter.feed(chunk, this.trace.take);
	}

	/** The time of the last whole line of a chunk that has one. */
	private lastTime(chunk: Uint8Array): number | undefined {
		let end = chunk.lastIndexOf(10);
		for (let tries = 0; end > 0 && tries < 100; tries++) {
			const start = chunk.lastIndexOf(10, end - 1) + 1;
			if (this.probe.parse(chunk, start, end)) return this.probe.t;
			end = start - 1;
		}
		return undefined;
	}

	/** What is left of calls and of the emulator's log when the trace has ended, or was never there. */
	private async *tail(): AsyncGenerator<number> {
		const { calls } = this.state;
		for (;;) {
			const until = await calls.known();
			if (!calls.more) break;
			advanceTo(this.state, until);
			yield this.report.bytes;
		}
		const { witness } = this;
		while (witness?.more === true) {
			await witness.ensure(Number.POSITIVE_INFINITY);
			witness.finish();
			yield this.report.bytes;
		}
	}
}

/** The names of the header's topology, so that they are not learned again. */
function seedTopology(state: State, header: LogHeader): void {
	for (const { group: id, members } of header.topology.groups) {
		const group = state.ids.group(Number(id.slice(6)));
		for (const member of members) {
			const device = state.ids.device(member.dev.slice(7));
			device.group = group;
			group.members.add(device);
		}
	}
}

/** What iommufd reserves for each device: all but "direct-relaxable" (iopt_table_enforce_dev_resv_regions). */
function seedReserved(state: State, groups: readonly GroupEntry[]): void {
	for (const { members, resv } of groups)
		for (const { name } of members)
			state.ids.device(name).reserved = resv
				.filter(({ kind }) => kind !== "direct-relaxable")
				.map(({ start, last }) => [u64(BigInt(start)), u64(BigInt(last))]);
}
