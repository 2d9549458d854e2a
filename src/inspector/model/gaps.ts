/** What others did between the records of one operation: the place where a race shows. */
import type { LogIndex } from "./log-index.ts";
import type { Spans } from "./spans.ts";

/** Records of others between two records of an operation. */
export interface Gap {
	/** The operation's record after it: a number among its rows. */
	readonly before: number;
	/** Position of the first one. */
	readonly at: number;
	readonly count: number;
	/** `unmap (seq 46): 6 · of no operation: 4`. */
	readonly text: string;
}

/** Operations named in one gap at most. */
const NAMED_MAX = 3;

/** Collects the gaps of one operation while its records are walked in order. */
export class GapFinder {
	readonly gaps: Gap[] = [];
	readonly #index: LogIndex;
	readonly #spans: Spans;
	#counts = new Map<number, number>();
	#first = -1;

	constructor(index: LogIndex, spans: Spans) {
		this.#index = index;
		this.#spans = spans;
	}

	/** A record of somebody else. */
	note(at: number): void {
		if (this.#first < 0) this.#first = at;
		const number = this.#spans.numberOfOp(this.#index.op[at] as number);
		this.#counts.set(number, (this.#counts.get(number) ?? 0) + 1);
	}

	/** The operation goes on with its row of that number. */
	close(before: number): void {
		if (this.#first < 0) return;
		const counts = [...this.#counts];
		this.gaps.push({
			before,
			at: this.#first,
			count: counts.reduce((sum, [, n]) => sum + n, 0),
			text: this.#textOf(counts),
		});
		this.#counts = new Map();
		this.#first = -1;
	}

	#textOf(counts: readonly [number, number][]): string {
		const named = counts
			.filter(([number]) => number >= 0)
			.sort((a, b) => b[1] - a[1]);
		const parts = named.slice(0, NAMED_MAX).map(([number, n]) => {
			const { name, op } = this.#spans.span(number);
			return `${name} (seq ${op}): ${n}`;
		});
		if (named.length > NAMED_MAX)
			parts.push(`${named.length - NAMED_MAX} more operations`);
		const loose = this.#counts.get(-1) ?? 0;
		if (loose > 0) parts.push(`of no operation: ${loose}`);
		return parts.join(" · ");
	}
}
