/** A log that is open: its index and everything that is answered about it. No DOM, no messages: tests use it as it is. */
import { csv } from "../export/csv.ts";
import { perfettoTrace } from "../export/perfetto.ts";
import { GapFinder } from "../model/gaps.ts";
import { LogIndex } from "../model/log-index.ts";
import { matcherOf, parseQuery } from "../model/query.ts";
import { Spans } from "../model/spans.ts";
import { timelinePicture } from "../model/timeline.ts";
import type { DomainId } from "../../vocabulary/ids.ts";
import type { World } from "../../world/types.ts";
import { differences, factsOf } from "../model/diff.ts";
import { type IotlbPicture, iotlbOf, staleRangesOf } from "../model/iotlb.ts";
import { domainsWithTables, pageTableOf } from "../model/page-table.ts";
import { judgementOf, violationMarks, violationNear } from "./judgement.ts";
import { ForeignHistory } from "./foreign-history.ts";
import { StaleHistory } from "./stale-history.ts";
import { domainsWithSteps, stepTablesOf } from "../model/step-tables.ts";
import { ALIGNED_MAX, likeness, partners } from "../model/unlike.ts";
import { topologyOf } from "../model/topology.ts";
import { ChartPlaces } from "./chart-places.ts";
import type { Calls, Neighbour, Place, Row, Summary } from "./protocol.ts";
import { StateHistory } from "./state-history.ts";
import { WorldTrack } from "./world-track.ts";

/** Rows of one operation that are given out at most; a drawing of more helps nobody. */
export const OPERATION_ROWS_MAX = 2000;
/** Stale windows given out at most for one drawing. */
const WINDOWS_SHOWN_MAX = 2000;
/** Records matched between two looks at the message queue. */
const FILTER_SLICE = 1 << 15;

/** Lets waiting messages in. */
export type Pause = () => Promise<void>;

/** An open log. */
export class Session {
	readonly index: LogIndex;
	readonly spans: Spans;
	readonly track: WorldTrack;
	readonly foreign: ForeignHistory;
	readonly #pause: Pause;
	readonly #charts: ChartPlaces;
	readonly #stales: StaleHistory;
	#filterRun = 0;

	constructor(pause: Pause, sizeHintBytes?: number) {
		this.index = new LogIndex(sizeHintBytes);
		this.spans = new Spans(this.index);
		this.foreign = new ForeignHistory(this.index);
		const history = new StateHistory();
		this.#stales = new StaleHistory();
		this.track = new WorldTrack(this.index, [history, this.#stales]);
		this.#charts = new ChartPlaces(this.index, this.spans, history);
		this.#pause = pause;
	}

	push(chunk: Uint8Array): void {
		this.index.push(chunk);
		this.spans.update();
		if (this.foreign.isForeign) this.foreign.update();
	}

	finish(): void {
		this.index.finish();
		this.spans.update();
		if (this.foreign.isForeign) this.foreign.update();
	}

	summary(): Summary {
		const { index } = this;
		const last = index.count - 1;
		return {
			header: index.header,
			count: index.count,
			lengthBytes: index.lengthBytes,
			seals: index.seals,
			operations: this.spans.begin.length,
			problems: index.problems,
			problemCount: index.problemCount,
			types: index.types.names,
			actors: index.actors.names,
			folded: this.track.folded,
			unreadable: this.track.unreadable,
			firstUnreadable: this.track.firstUnreadable,
			tFirst: last < 0 ? 0 : (index.t[0] as number),
			tLast: last < 0 ? 0 : (index.t[last] as number),
		};
	}

	row(at: number): Row {
		const { index } = this;
		return {
			at,
			seq: index.seq[at] as number,
			t: index.t[at] as number,
			type: index.types.names[index.type[at] as number] as string,
			actor: index.actors.names[index.actor[at] as number] as string,
			op: index.op[at] as number,
			text: index.textAt(at),
		};
	}

	/** The calls of the protocol, by name. */
	readonly calls: {
		[K in keyof Calls]: (
			argument: Calls[K][0],
		) => Calls[K][1] | Promise<Calls[K][1]>;
	} = {
		rows: ({ positions }) =>
			positions
				.filter((at) => at >= 0 && at < this.index.count)
				.map((at) => this.row(at)),
		timeline: (window) => timelinePicture(this.index, this.spans, window),
		filter: ({ query }) => this.#filter(query),
		neighbour: ({ at, direction, what }) =>
			this.#neighbour(at, direction, what),
		positionOf: ({ seq }) => this.index.positionOf(seq),
		operationAt: ({ at }) => this.#operationAt(at),
		operation: ({ op }) => this.#operation(op),
		topology: ({ at }) => this.#view(at, topologyOf),
		iotlb: ({ at }) => this.#view(at, (world) => this.#iotlbAt(world, at)),
		pageTable: (asked) =>
			this.#view(asked.at, (w) => this.#pageTable(w, asked)),
		staleWindows: ({ from, to }) => ({
			windows: this.#stales.between(from, to, WINDOWS_SHOWN_MAX),
			dropped: this.#stales.dropped,
		}),
		violations: () => judgementOf(this),
		marks: () => violationMarks(this),
		diff: async ({ from, to }) => {
			const before = await this.#view(from, factsOf);
			const after = await this.#view(to, factsOf);
			return before && after && differences(before, after);
		},
		chart: ({ at, actor, isSaga }) =>
			this.foreign.isForeign
				? this.foreign.at(at, actor)
				: this.#charts.at(at, actor, isSaga),
		charts: () => [...this.foreign.charts.values()],
		csv: ({ query }) => this.#csv(query),
		perfetto: () => [...perfettoTrace(this.index, this.spans)].join(""),
		placeOf: ({ at }) => this.#placeOf(at),
		positionOfPlace: (place) => this.#positionOfPlace(place),
	};

	async #csv(query: string): Promise<string> {
		const found = await this.#filter(query);
		const positions =
			found ?? this.index.seq.subarray(0, this.index.count).keys();
		const row = (at: number): Row => this.row(at);
		return csv(
			(function* () {
				for (const at of positions) yield row(at);
			})(),
		);
	}

	/** Folds and judges some more of the log; true when there is more to do. */
	work(): boolean {
		return this.track.foldSlice();
	}

	/** Claims are noted by the judge, who makes one pass over the log; the world at a cursor is folded alone. */
	#iotlbAt(world: World, at: number): IotlbPicture {
		const picture = iotlbOf(world);
		const stale = picture.stale.map((range) => {
			const claim = this.#stales.claimOf(range.id, at);
			if (claim < 0) return range;
			return { ...range, unflushedSeq: this.index.seq[claim] as number };
		});
		return { ...picture, stale };
	}

	#pageTable(
		world: World,
		{ domain, window }: Calls["pageTable"][0],
	): NonNullable<Calls["pageTable"][1]> {
		const domains = [
			...new Set([...domainsWithTables(world), ...domainsWithSteps(world)]),
		];
		const id = (domain ?? domains[0]) as DomainId;
		const found = world.domains.map.get(id);
		const stale = staleRangesOf(world).filter(({ dom }) => dom === id);
		const picture =
			(found && pageTableOf(found, stale, window)) ?? stepTablesOf(world, id);
		return { domains, picture: picture && { ...picture, stale } };
	}

	async #view<T>(
		at: number,
		read: (world: World) => T,
	): Promise<T | undefined> {
		const world = await this.track.worldAt(at, this.#pause);
		return world === undefined ? undefined : read(world);
	}

	#placeOf(at: number): Place {
		const { spans } = this;
		const operations = spans.firstFrom(at + 1);
		const begin = spans.begin[operations - 1] ?? 0;
		const next = spans.begin[operations] ?? this.index.count;
		const keys = this.#keysOf(begin, next);
		return { operations, offset: at - begin, length: next - begin, keys };
	}

	#keysOf(begin: number, end: number): string[] {
		const keys: string[] = [];
		for (let at = begin; at < Math.min(end, begin + ALIGNED_MAX); at++) {
			const { type, actor, text } = this.row(at);
			keys.push(likeness(type, actor, text));
		}
		return keys;
	}

	/**
	 * The same operation by count; in it the partner of the same record, or of the last one before it that has a partner. In long
	 * operations, the same share of it.
	 */
	#positionOfPlace(place: Place): number {
		const { spans, index } = this;
		const { operations, offset, length, keys } = place;
		const begin = operations === 0 ? 0 : spans.begin[operations - 1];
		if (begin === undefined) return index.count - 1;
		const next = spans.begin[operations] ?? index.count;
		const isEnd = offset >= length - 1;
		if (isEnd) return Math.max(begin, next - 1);
		if (offset >= keys.length) {
			const share = offset / Math.max(1, length - 1);
			return begin + Math.round(share * Math.max(0, next - begin - 1));
		}
		let partner = 0;
		for (const [theirs, mine] of partners(keys, this.#keysOf(begin, next)))
			if (theirs <= offset) partner = mine;
		return Math.min(index.count - 1, begin + partner);
	}

	async #filter(query: string): Promise<Uint32Array | undefined> {
		const run = ++this.#filterRun;
		const conditions = parseQuery(query);
		if (conditions.length === 0) return undefined;
		const matches = matcherOf(conditions, this.index, this.spans);
		let found = new Uint32Array(1024);
		let count = 0;
		for (let at = 0; at < this.index.count; at++) {
			if (at % FILTER_SLICE === FILTER_SLICE - 1) {
				await this.#pause();
				if (run !== this.#filterRun) return undefined;
			}
			if (!matches(at)) continue;
			if (count === found.length) {
				const wider = new Uint32Array(count * 2);
				wider.set(found);
				found = wider;
			}
			found[count++] = at;
		}
		return found.slice(0, count);
	}

	#neighbour(at: number, direction: 1 | -1, what: Neighbour): number {
		const { index, spans } = this;
		if (what === "operation") {
			const here = spans.firstFrom(direction === 1 ? at + 1 : at);
			return spans.begin[direction === 1 ? here : here - 1] ?? -1;
		}
		if (what === "violation") return violationNear(this, at, direction);
		const actor = index.actor[at];
		const fail = index.types.names.indexOf("op.fail");
		for (
			let next = at + direction;
			next >= 0 && next < index.count;
			next += direction
		) {
			const isWanted =
				what === "actor"
					? index.actor[next] === actor
					: index.type[next] === fail;
			if (isWanted) return next;
		}
		return -1;
	}

	#operationAt(at: number): Calls["operationAt"][1] {
		const found = this.spans.around(at);
		if (found === undefined) return undefined;
		return { ...this.spans.span(found.number), isOwn: found.isOwn };
	}

	#operation(op: number): Calls["operation"][1] {
		const { index, spans } = this;
		const number = spans.numberOfOp(op);
		if (number < 0) return undefined;
		const span = spans.span(number);
		const rows: Row[] = [];
		const finder = new GapFinder(index, spans);
		let leftOut = 0;
		const isSaga = spans.saga[number] === -1;
		const isOwn = (at: number): boolean =>
			isSaga
				? spans.isOfSaga(op, at)
				: index.op[at] === op || index.seq[at] === op;
		for (let at = span.begin; at <= span.end; at++) {
			// The steps of a saga's steps are its own business, not a race.
			if (!isOwn(at) && isSaga) continue;
			if (!isOwn(at)) finder.note(at);
			else if (rows.length < OPERATION_ROWS_MAX) {
				finder.close(rows.length);
				rows.push(this.row(at));
			} else leftOut++;
		}
		return { span, rows, leftOut, gaps: finder.gaps };
	}
}
