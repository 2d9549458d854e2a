/**
 * The writing end: gives records their dense `seq` in trace order. A fact that is known to have happened but whose data
 * comes a few lines later (the kernel's own `unmap` line has no domain; the return of the call names it) takes a place in
 * the queue and is settled later; what comes behind it waits. The wait is bounded: past HELD_MAX records the oldest open
 * place is given up and reported.
 */
import type { ActorId } from "../vocabulary/ids.ts";
import type {
	LogRecord,
	RecordData,
	RecordType,
} from "../vocabulary/records.ts";

/** How many records may wait behind an unsettled place: some milliseconds of a busy machine. */
export const HELD_MAX = 16_384;

/** Takes the records of an import, in order of `seq`. */
export type Sink = (record: LogRecord) => void;

/** An operation under way: `seq` of its op.begin once that is written. */
export interface OpRef {
	seq: number;
}

/** A place in the queue; `open` until settled. A settled place without type is dropped. */
export interface Place {
	t: number;
	type: RecordType | undefined;
	actor: ActorId;
	data: unknown;
	op: OpRef | undefined;
	begins: boolean;
	open: boolean;
	/** Called when the place is given up because too much waits behind it. */
	abandon: (() => void) | undefined;
}

/** Numbers records and hands them to the sink. */
export class Output {
	private readonly sink: Sink;
	private queue: Place[] = [];
	private head = 0;
	private seq = 0;
	/** Records written so far. */
	get written(): number {
		return this.seq;
	}

	constructor(sink: Sink) {
		this.sink = sink;
	}

	/** Appends one fact. */
	emit<T extends RecordType>(
		t: number,
		type: T,
		actor: ActorId,
		data: RecordData<T>,
		op: OpRef | undefined,
	): void {
		if (this.head === this.queue.length) {
			this.write(t, type, actor, data, op === undefined ? 0 : op.seq);
			return;
		}
		this.push(t, type, actor, data, op, false);
	}

	/** Appends an op.begin; `op.seq` is set when it is written. */
	begin(
		t: number,
		actor: ActorId,
		data: RecordData<"op.begin">,
		op: OpRef,
	): void {
		if (this.head === this.queue.length) {
			op.seq = this.seq + 1;
			this.write(t, "op.begin", actor, data, op.seq);
			return;
		}
		this.push(t, "op.begin", actor, data, op, true);
	}

	/** Takes a place for a fact whose data comes later. */
	reserve(
		t: number,
		actor: ActorId,
		op: OpRef | undefined,
		abandon?: () => void,
	): Place {
		const place: Place = {
			t,
			type: undefined,
			actor,
			data: undefined,
			op,
			begins: false,
			open: true,
			abandon,
		};
		this.queue.push(place);
		if (this.queue.length - this.head > HELD_MAX) this.giveUp();
		return place;
	}

	/** Fills a place. */
	settle<T extends RecordType>(
		place: Place,
		type: T,
		actor: ActorId,
		data: RecordData<T>,
	): void {
		place.type = type;
		place.actor = actor;
		place.data = data;
		place.open = false;
		this.drain();
	}

	/** Gives a place back unused. */
	drop(place: Place): void {
		place.open = false;
		this.drain();
	}

	private push(
		t: number,
		type: RecordType,
		actor: ActorId,
		data: unknown,
		op: OpRef | undefined,
		begins: boolean,
	): void {
		this.queue.push({
			t,
			type,
			actor,
			data,
			op,
			begins,
			open: false,
			abandon: undefined,
		});
		if (this.queue.length - this.head > HELD_MAX) this.giveUp();
	}

	private giveUp(): void {
		const place = this.queue[this.head] as Place;
		place.open = false;
		place.abandon?.();
		this.drain();
	}

	/** Writes what is settled at the front. */
	private drain(): void {
		const { queue } = this;
		while (this.head < queue.length) {
			const place = queue[this.head] as Place;
			if (place.open) break;
			this.head++;
			if (place.type === undefined) continue;
			if (place.begins && place.op !== undefined) place.op.seq = this.seq + 1;
			const op = place.op === undefined ? 0 : place.op.seq;
			this.write(place.t, place.type, place.actor, place.data, op);
		}
		if (this.head === queue.length) {
			queue.length = 0;
			this.head = 0;
		} else if (this.head > 4096 && this.head * 2 > queue.length) {
			this.queue = queue.slice(this.head);
			this.head = 0;
		}
	}

	/** Gives up every open place: at the end of the trace. */
	flush(): void {
		while (this.head < this.queue.length) this.giveUp();
	}

	private write(
		t: number,
		type: RecordType,
		actor: ActorId,
		data: unknown,
		op: number,
	): void {
		this.sink({ seq: ++this.seq, t, type, actor, op, data } as LogRecord);
	}
}
