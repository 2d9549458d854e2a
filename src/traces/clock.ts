/**
 * Are the calls on the trace's clock? The kernel's lines of a call lie between its begin and its end (src/traces/clock-pairs.ts says which lines
 * belong to which call), so each call allows a range of offsets, and all of them together a narrow one. Calls are moved only where zero is
 * not in it. A clock that runs at another speed shows as ranges that a slanted line goes through and no level one.
 */

/** A call's time and the first and last line of the kernel inside it, in ns, each on its own clock. */
export interface Pair {
	readonly t: number;
	readonly tEnd: number;
	readonly first: number;
	readonly last: number;
	/** When the program wrote that the call had ended, if it did. */
	readonly told?: number;
}

/**
 * What was found. `one`: nothing contradicts one clock. `corrected`: the calls were moved. `apart`: no clock brings calls and trace together, the
 * calls are not used. `unmeasured`: too little to tell (no calls, no lines of theirs, a live source): taken as one clock.
 */
export interface ClockReport {
	state: "one" | "corrected" | "apart" | "unmeasured";
	/** Calls measured, from the beginning of the recording. */
	calls: number;
	/** How many of them contradict one clock. */
	against: number;
	/** What was added to the calls' times, in ns at `at`, and how much more with each second since. */
	offsetNs: number;
	driftPpm: number;
	at: number;
	/** Half the width of the range of offsets that fit as well, in ns. */
	marginNs: number;
	/** Why the calls are not used. */
	why?: string;
}

/** Trace times are rounded to microseconds (kernel/trace/trace_output.c). */
export const ROUNDING_NS = 500;
/** Fewer calls than this prove nothing. */
const PAIRS_MIN = 3;
/** Damaged traces have lines in wrong places: an offset that brings this share of calls into line is believed. */
const SHARE = 0.8;
/** Two clocks of one machine differ by less: 0.1 %. */
const DRIFT_MAX = 1e-3;
/** Offsets that fit equally well and are farther apart than this are a guess. */
const APART_NS = 1e6;

/** A range of offsets, and for how many it fits. */
export interface Range {
	readonly low: number;
	readonly high: number;
	readonly count: number;
	/** From the first to the last offset for which as many fit. */
	readonly spread: number;
}

/** The range of offsets inside the most of the ranges [lows[i], highs[i]]; of several the one nearest to zero. */
export function mostOverlap(lows: Float64Array, highs: Float64Array): Range {
	const starts = lows.toSorted();
	const ends = highs.toSorted();
	let count = 0;
	let best = { low: 0, high: 0, count: 0 };
	let [least, most] = [0, 0];
	const distance = (low: number, high: number): number =>
		Math.max(low, -high, 0);
	for (let i = 0, j = 0; i < starts.length; ) {
		if ((starts[i] as number) > (ends[j] as number)) {
			count--;
			j++;
			continue;
		}
		count++;
		const low = starts[i++] as number;
		const high = ends[j] as number;
		if (count < best.count || (starts[i] ?? Number.POSITIVE_INFINITY) <= high)
			continue;
		if (count > best.count) [least, most] = [low, high];
		else [least, most] = [Math.min(least, low), Math.max(most, high)];
		if (
			count > best.count ||
			distance(low, high) < distance(best.low, best.high)
		)
			best = { low, high, count };
	}
	return { ...best, spread: most - least };
}

/** Nothing was measured. */
export const unmeasured = (): ClockReport => ({
	state: "unmeasured",
	calls: 0,
	against: 0,
	offsetNs: 0,
	driftPpm: 0,
	at: 0,
	marginNs: 0,
});

/** The call has begun before its first line, and has ended before the program says so. */
const highOf = ({ t, tEnd, first, told = Number.POSITIVE_INFINITY }: Pair) =>
	Math.min(first - t, told - tEnd);

/** Judges the pairs of a recording. */
export function judgeClock(pairs: readonly Pair[]): ClockReport {
	const report = { ...unmeasured(), calls: pairs.length };
	const [first] = pairs;
	if (first === undefined || pairs.length < PAIRS_MIN) return report;
	const lows = Float64Array.from(pairs, (p) => p.last - p.tEnd - ROUNDING_NS);
	const highs = Float64Array.from(pairs, (p) => highOf(p) + ROUNDING_NS);
	const n = pairs.length;
	const against = lows.reduce(
		(sum, low, i) => sum + (low <= 0 && 0 <= (highs[i] as number) ? 0 : 1),
		0,
	);
	report.against = against;
	report.state = "one";
	if (against === 0) return report;
	const level = mostOverlap(lows, highs);
	const moved = (range: { low: number; high: number }, slope: number) => ({
		...report,
		state: "corrected" as const,
		offsetNs: Math.round((range.low + range.high) / 2),
		marginNs: Math.round((range.high - range.low) / 2),
		driftPpm: slope * 1e6,
		at: first.t,
	});
	if (level.count === n) return moved(level, 0);
	if (against > 1) {
		const slanted = slantedFit(pairs, first.t);
		if (slanted !== undefined) return moved(slanted, slanted.slope);
	}
	if (level.count > n - against && level.count >= SHARE * n)
		return level.spread > APART_NS ? apart(report, n) : moved(level, 0);
	return against > n / 2 ? apart(report, n - level.count) : report;
}

const apart = (report: ClockReport, against: number): ClockReport => ({
	...report,
	state: "apart",
	why: `no offset fits: ${against} of ${report.calls} calls contradict even the best one`,
});

/**
 * The line through all ranges with the most room above and below, if there is one. The room is concave in the slope: halving by thirds finds
 * its highest point.
 */
function slantedFit(
	pairs: readonly Pair[],
	t0: number,
): { low: number; high: number; slope: number } | undefined {
	const at = (slope: number): { low: number; high: number; slope: number } => {
		let low = Number.NEGATIVE_INFINITY;
		let high = Number.POSITIVE_INFINITY;
		const more = (t: number): number => slope * (t - t0);
		for (const {
			t,
			tEnd,
			first,
			last,
			told = Number.POSITIVE_INFINITY,
		} of pairs) {
			low = Math.max(low, last - tEnd - ROUNDING_NS - more(tEnd));
			high = Math.min(
				high,
				first - t + ROUNDING_NS - more(t),
				told - tEnd + ROUNDING_NS - more(tEnd),
			);
		}
		return { low, high, slope };
	};
	const room = (slope: number): number => {
		const { low, high } = at(slope);
		return high - low;
	};
	let [a, b] = [-DRIFT_MAX, DRIFT_MAX];
	for (let step = 0; step < 80; step++) {
		const third = (b - a) / 3;
		if (room(a + third) < room(b - third)) a += third;
		else b -= third;
	}
	const fit = at((a + b) / 2);
	return fit.high >= fit.low ? fit : undefined;
}

/** The trace's time of a time of the calls. */
export const onTraceClock = (clock: ClockReport, t: number): number =>
	Math.max(
		0,
		Math.round(t + clock.offsetNs + (clock.driftPpm / 1e6) * (t - clock.at)),
	);

/** What a person reads; undefined when there is nothing to say. */
export function clockText(clock: ClockReport): string | undefined {
	if (clock.state === "apart")
		return `clock: calls and trace cannot be aligned, the calls are not used: ${clock.why}`;
	if (clock.state !== "corrected") return undefined;
	const { offsetNs, driftPpm, marginNs, at } = clock;
	const way = offsetNs < 0 ? "late" : "early";
	const drift =
		driftPpm === 0
			? ""
			: `, ${Math.abs(driftPpm).toFixed(2)} µs more ${driftPpm < 0 ? "late" : "early"} each second from ${(at / 1e9).toFixed(6)} s on`;
	return `clock: calls are ${duration(Math.abs(offsetNs))} ${way} against the trace (± ${duration(marginNs)})${drift}: corrected`;
}

function duration(ns: number): string {
	if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
	return ns < 1e9
		? `${(ns / 1e6).toFixed(3)} ms`
		: `${(ns / 1e9).toFixed(6)} s`;
}
