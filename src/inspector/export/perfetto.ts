/**
 * The timeline in Chrome's trace event format, which ui.perfetto.dev opens. Operations overlap, so they are async events (b/e): a
 * complete event (X) must nest. One process per group or context, a thread per actor, counters for mapped bytes per domain.
 */
import type { LogIndex } from "../model/log-index.ts";
import type { Spans } from "../model/spans.ts";
import { actorKind } from "../model/timeline.ts";

/** Instants written at most; a larger trace is of operations and counters alone. */
const INSTANTS_MAX = 500_000;

/** Nanoseconds as the format's microseconds. */
const micros = (t: number): number => t / 1000;

/** Yields the file in pieces. */
export function* perfettoTrace(
	index: LogIndex,
	spans: Spans,
): Generator<string> {
	const tracks = new Tracks(index.actors.names);
	yield '{"displayTimeUnit":"ns","traceEvents":[\n';
	yield tracks
		.names()
		.map((event) => JSON.stringify(event))
		.join(",\n");
	yield* operations(index, spans, tracks);
	if (index.count <= INSTANTS_MAX) yield* instants(index, tracks);
	yield* mappedBytes(index);
	yield "\n]}\n";
}

class Tracks {
	readonly #pids = new Map<string, number>();
	readonly #names: readonly string[];

	constructor(names: readonly string[]) {
		this.#names = names;
	}

	/** Process and thread of an actor: actors of one kind are one process. */
	of(actor: number): { pid: number; tid: number } {
		const kind = actorKind(this.#names[actor] as string);
		let pid = this.#pids.get(kind);
		if (pid === undefined) {
			pid = this.#pids.size + 1;
			this.#pids.set(kind, pid);
		}
		return { pid, tid: actor + 1 };
	}

	names(): object[] {
		const threads = this.#names.map((name, actor) => ({
			ph: "M",
			name: "thread_name",
			...this.of(actor),
			args: { name },
		}));
		const processes = [...this.#pids].map(([kind, pid]) => ({
			ph: "M",
			name: "process_name",
			pid,
			args: { name: kind },
		}));
		return [...processes, ...threads];
	}
}

function* operations(
	index: LogIndex,
	spans: Spans,
	tracks: Tracks,
): Generator<string> {
	for (let number = 0; number < spans.begin.length; number++) {
		const { name, op, begin, end, outcome } = spans.span(number);
		const common = {
			cat: "operation",
			name,
			id: op,
			...tracks.of(index.actor[begin] as number),
		};
		const events = [
			{
				ph: "b",
				...common,
				ts: micros(index.t[begin] as number),
				args: { seq: op },
			},
			{
				ph: "e",
				...common,
				ts: micros(index.t[end] as number),
				args: { outcome },
			},
		];
		yield events.map((event) => `,\n${JSON.stringify(event)}`).join("");
	}
}

function* instants(index: LogIndex, tracks: Tracks): Generator<string> {
	for (let at = 0; at < index.count; at++) {
		const event = {
			ph: "i",
			s: "t",
			name: index.types.names[index.type[at] as number],
			ts: micros(index.t[at] as number),
			...tracks.of(index.actor[at] as number),
			args: { seq: index.seq[at] },
		};
		yield `,\n${JSON.stringify(event)}`;
	}
}

/** Counters from the records' own claims; a domain that was alive before the log starts at 0. */
function* mappedBytes(index: LogIndex): Generator<string> {
	const map = index.types.names.indexOf("dom.map");
	const unmap = index.types.names.indexOf("dom.unmap");
	const bytes = new Map<string, number>();
	for (let at = 0; at < index.count; at++) {
		const type = index.type[at];
		if (type !== map && type !== unmap) continue;
		const { data } = JSON.parse(index.textAt(at)) as {
			data: { dom?: unknown; len?: unknown; unmapped?: unknown };
		};
		const dom = String(data.dom);
		const size = Number(type === map ? data.len : data.unmapped);
		if (!Number.isFinite(size)) continue;
		const now = Math.max(
			0,
			(bytes.get(dom) ?? 0) + (type === map ? size : -size),
		);
		bytes.set(dom, now);
		const event = {
			ph: "C",
			name: `mapped bytes ${dom}`,
			pid: 0,
			ts: micros(index.t[at] as number),
			args: { bytes: now },
		};
		yield `,\n${JSON.stringify(event)}`;
	}
}
