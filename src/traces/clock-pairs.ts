/**
 * Which lines of the trace belong to which call, on a bounded piece from the beginning: by the program's markers, which number its calls, or,
 * without them, by thread and kind (`hwpt_alloc_ret` lies in an IOMMU_HWPT_ALLOC), at the offset where most lines find a call.
 */
import type { ByteSource } from "./bytes.ts";
import { pullLines } from "./bytes.ts";
import type { ClockReport, Pair, Range } from "./clock.ts";
import { judgeClock, mostOverlap, ROUNDING_NS, unmeasured } from "./clock.ts";
import { LineSplitter } from "./lines.ts";
import { parseCall } from "./call.ts";
import type { Peek } from "./peek.ts";
import { TraceLine } from "./trace-line.ts";

/** Calls that are looked at. */
const CALLS_MAX = 4000;
/** Lines of one kind and thread that are compared with all calls. */
const LINES_MAX = 128;
/** Lines of the trace that are looked at. */
const TRACE_MAX = 20_000;
/** An offset that is known without markers is known this well. */
const SPREAD_NS = 10_000;
/** Fewer own lines than this, and nothing is said about clocks. */
const OWN_MIN = 3;

/** Lines of these kinds come from such calls alone. */
const KINDS: { readonly [event: string]: RegExp } = {
	iopt_map_ret: /^IOMMU_IOAS_(?:MAP|COPY)$/,
	iopt_unmap_ret: /^IOMMU_IOAS_UNMAP$/,
	ioas_destroy_in: /^IOMMU_DESTROY$|^CLOSE_/,
	hwpt_alloc_ret: /^IOMMU_HWPT_ALLOC$|_ATTACH_/,
	ifd_bind_ret: /_BIND_IOMMUFD$/,
	ifd_attach_ret: /_ATTACH_IOMMUFD_PT$/,
	ifd_replace_ret: /_ATTACH_IOMMUFD_PT$/,
	ifd_detach_ret: /_DETACH_IOMMUFD_PT$|^CLOSE_/,
	ifd_unbind_in: /^CLOSE_/,
	claim_dev_owner_in: /_BIND_IOMMUFD$/,
	claim_group_owner_in: /_SET_CONTAINER$|_BIND_IOMMUFD$/,
	setup_default_domain_in: /^SYSFS_WRITE$/,
	t1_attach_group: /_SET_IOMMU$|_SET_CONTAINER$/,
	t1_remove_dma: /_UNMAP_DMA$|_UNSET_CONTAINER$|^CLOSE_/,
	map: /_MAP(?:_DMA)?$|_COPY$|_ALLOC$|_ATTACH_|_SET_/,
	unmap: /_UNMAP(?:_DMA)?$|_DESTROY$|_DETACH_|_UNSET_|^CLOSE_/,
};
/** Lines of the DMA API: a program leaves them at any time, by its files. */
const DMA_API = /^(?:dma|fq)_|_iova(?:_ret)?$/;
/** Lines that only calls of iommufd and VFIO leave. */
const OF_CALLS = /^(?:ifd|hwpt|iopt|ioas)_/;

interface Call {
	readonly t: number;
	readonly tEnd: number;
	readonly tid: number;
	readonly name: string;
	readonly seq: number;
}
interface Line {
	readonly t: number;
	readonly tid: number;
	readonly name: string;
}
/** What the markers say: a call, and the kernel's lines inside. */
interface Marked {
	readonly key: string;
	first: number;
	last: number;
	told: number;
}

/** Measures the clocks of a recording, from what was looked at of its trace and the beginning of its calls. */
export async function measureClock(
	looked: Peek,
	source: ByteSource | undefined,
): Promise<ClockReport> {
	if (source?.again !== true) return unmeasured();
	const look = new Look();
	for (const chunk of looked.chunks) look.feed(chunk);
	if (look.marked.length + look.lines.length < OWN_MIN) return unmeasured();
	const calls = await firstCalls(source);
	if (calls.length === 0) return unmeasured();
	if (calls.length < CALLS_MAX && look.isForeignTo(calls))
		return {
			...unmeasured(),
			calls: calls.length,
			state: "apart",
			why: "no call of theirs is one that the trace shows",
		};
	if (look.markers > 0) return judgeClock(byMarkers(look.marked, calls));
	return byKinds(look.lines, calls);
}

async function firstCalls(source: ByteSource): Promise<Call[]> {
	const calls: Call[] = [];
	const pull = pullLines(source);
	while (calls.length < CALLS_MAX) {
		const lines = await pull();
		if (lines === undefined) break;
		for (const text of lines) {
			const call = parseCall(text);
			if (call === undefined || call === "note") continue;
			const { seq } = JSON.parse(text) as { seq?: unknown };
			calls.push({ ...call, seq: typeof seq === "number" ? seq : Number.NaN });
			if (calls.length >= CALLS_MAX) break;
		}
	}
	return calls.sort((a, b) => a.t - b.t);
}

const keyOf = (tid: number, seq: number | string, name: string): string =>
	`${tid} ${seq} ${name}`;

/** Reads the piece of the trace. */
class Look {
	markers = 0;
	private seen = 0;
	readonly marked: Marked[] = [];
	readonly lines: Line[] = [];
	private readonly open = new Map<number, Marked>();
	private readonly threads = new Set<number>();
	private readonly line = new TraceLine();
	private readonly splitter = new LineSplitter();

	feed(chunk: Uint8Array): void {
		this.splitter.feed(chunk, (buf, start, end) => {
			if (++this.seen > TRACE_MAX) return;
			// Behind a marker of lost events nothing is known to be in a call.
			if (!this.line.parse(buf, start, end)) this.open.clear();
			else if (this.line.context === 0) this.take();
		});
	}

	private take(): void {
		const { line } = this;
		const { pid: tid, t } = line;
		const name = line.eventName();
		if (name === "tracing_mark_write" || name === "print") {
			this.marker(tid, t);
			return;
		}
		const open = this.open.get(tid);
		if (open !== undefined) {
			open.first = Math.min(open.first, t);
			open.last = Math.max(open.last, t);
		}
		if (DMA_API.test(name)) return;
		if (OF_CALLS.test(name)) this.threads.add(tid);
		this.lines.push({ t, tid, name });
	}

	private marker(tid: number, t: number): void {
		const { buf, textStart, end } = this.line;
		const text = Buffer.from(
			buf.subarray(textStart, Math.min(end, textStart + 256)),
		).toString("latin1");
		const found = /lab: ([BE]) seq=(\d{1,15}) call=(\w{1,100})/.exec(text);
		if (found === null) return;
		const [, letter, seq = "", name = ""] = found;
		const key = keyOf(tid, seq, name);
		this.markers++;
		this.threads.add(tid);
		const open = this.open.get(tid);
		this.open.delete(tid);
		if (letter === "B")
			this.open.set(tid, {
				key,
				first: Number.POSITIVE_INFINITY,
				// The marker itself: the call had not ended yet.
				last: t,
				told: 0,
			});
		else if (open?.key === key) this.marked.push({ ...open, told: t });
	}

	/** The trace shows calls of programs, and none of these. */
	isForeignTo(calls: readonly Call[]): boolean {
		if (this.threads.size === 0) return false;
		if (!calls.some(({ tid }) => this.threads.has(tid))) return true;
		if (this.marked.length < OWN_MIN) return false;
		const keys = new Set(calls.map((c) => keyOf(c.tid, c.seq, c.name)));
		return !this.marked.some(({ key }) => keys.has(key));
	}
}

function byMarkers(marked: readonly Marked[], calls: readonly Call[]): Pair[] {
	const byKey = new Map(calls.map((c) => [keyOf(c.tid, c.seq, c.name), c]));
	const pairs: Pair[] = [];
	for (const { key, first, last, told } of marked) {
		const call = byKey.get(key);
		// One call, one pair: a trace may hold itself twice.
		byKey.delete(key);
		if (call !== undefined)
			pairs.push({ t: call.t, tEnd: call.tEnd, first, last, told });
	}
	return pairs.sort((a, b) => a.t - b.t);
}

/**
 * Without markers: the offset at which most lines lie in a call of their kind, made narrower by all lines of these threads. An offset that is
 * not told within SPREAD_NS is no measure: the calls are then not used.
 */
function byKinds(lines: readonly Line[], calls: readonly Call[]): ClockReport {
	const threads = byThread(calls);
	const own = lines.filter(({ tid }) => threads.has(tid));
	if (sampled(own).length < OWN_MIN) return unmeasured();
	const zero = pairsAt(own, threads, 0);
	const range = located(own, threads);
	const judged = { ...unmeasured(), calls: zero.pairs.length };
	if (range.count > 0 && zero.inside >= range.count && zero.between === 0)
		return { ...judged, state: "one" };
	const outside = own.length - range.count;
	if (outside > 0 || range.spread > SPREAD_NS)
		return {
			...judged,
			against: own.length - zero.inside,
			state: "apart",
			why:
				outside > 0
					? `${outside} of ${own.length} lines lie outside of calls at every offset`
					: "several offsets fit equally well",
		};
	return judgeClock(pairsAt(own, threads, (range.low + range.high) / 2).pairs);
}

type Threads = ReadonlyMap<number, readonly Call[]>;

function byThread(calls: readonly Call[]): Threads {
	const threads = new Map<number, Call[]>();
	for (const call of calls) {
		const own = threads.get(call.tid);
		if (own === undefined) threads.set(call.tid, [call]);
		else own.push(call);
	}
	return threads;
}

/** At most LINES_MAX lines of a kind and thread. */
function sampled(lines: readonly Line[]): Line[] {
	const seen = new Map<string, number>();
	return lines.filter(({ tid, name }) => {
		if (KINDS[name] === undefined) return false;
		const key = `${tid} ${name}`;
		const n = (seen.get(key) ?? 0) + 1;
		seen.set(key, n);
		return n <= LINES_MAX;
	});
}

/** The offset at which most lines lie in a call of their thread and kind. */
function voted(lines: readonly Line[], threads: Threads): Range {
	const lows: number[] = [];
	const highs: number[] = [];
	for (const { t, tid, name } of sampled(lines))
		for (const call of threads.get(tid) ?? []) {
			if (KINDS[name]?.test(call.name) !== true) continue;
			lows.push(t - call.tEnd);
			highs.push(t - call.t);
		}
	return mostOverlap(Float64Array.from(lows), Float64Array.from(highs));
}

/** The same, by all lines and the calls that this range allows: the narrower one. */
function located(lines: readonly Line[], threads: Threads): Range {
	const range = voted(lines, threads);
	const lows: number[] = [];
	const highs: number[] = [];
	for (const { t, tid } of lines) {
		const calls = threads.get(tid) ?? [];
		// Calls that begin before the line at one end of the range, and end after it at the other.
		for (let at = before(calls, t - range.low); at > 0; at--) {
			const { t: begin, tEnd } = calls[at - 1] as Call;
			if (tEnd < t - range.high) break;
			lows.push(Math.max(range.low, t - tEnd - ROUNDING_NS));
			highs.push(Math.min(range.high, t - begin + ROUNDING_NS));
		}
	}
	const narrow = mostOverlap(Float64Array.from(lows), Float64Array.from(highs));
	// Where the kinds fit far away just as well, the lines of this place do not tell more.
	return range.spread > range.high - range.low
		? { ...narrow, spread: range.spread }
		: narrow;
}

/** The call that a line lies in at an offset. */
function callAt(
	threads: Threads,
	{ t, tid }: Line,
	offset: number,
): Call | undefined {
	const calls = threads.get(tid) ?? [];
	const at = t - offset;
	const call = calls[before(calls, at + ROUNDING_NS) - 1];
	return call !== undefined && at <= call.tEnd + ROUNDING_NS ? call : undefined;
}

/** How many calls of a thread begin at or before a time of their clock. */
function before(calls: readonly Call[], at: number): number {
	let [low, high] = [0, calls.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((calls[middle] as Call).t <= at) low = middle + 1;
		else high = middle;
	}
	return low;
}

/** Calls with the lines that lie in them at the offset, how many lines these are, and how many lie between two calls of their thread. */
function pairsAt(
	lines: readonly Line[],
	threads: Threads,
	offset: number,
): { pairs: Pair[]; inside: number; between: number } {
	const found = new Map<Call, { first: number; last: number }>();
	let [inside, between] = [0, 0];
	for (const line of lines) {
		const call = callAt(threads, line, offset);
		if (call === undefined) {
			const calls = threads.get(line.tid) ?? [];
			const nth = before(calls, line.t - offset);
			if (nth > 0 && nth < calls.length) between++;
			continue;
		}
		inside++;
		const { first, last } = found.get(call) ?? { first: line.t, last: line.t };
		found.set(call, {
			first: Math.min(first, line.t),
			last: Math.max(last, line.t),
		});
	}
	const pairs = [...found]
		.map(([{ t, tEnd }, ends]) => ({ t, tEnd, ...ends }))
		.sort((a, b) => a.t - b.t);
	return { pairs, inside, between };
}
