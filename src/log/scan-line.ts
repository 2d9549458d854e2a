/**
 * The fast path: reads canonical record lines from bytes, without making a string of the line. A line that is not canonical in
 * any way (blanks, other key order, escapes it does not expect, 16-digit numbers, a broken schema) is not judged here: `decode`
 * gives undefined and the caller takes the general path (record-line.ts), which accepts or explains it.
 *
 * Not checked here: that free-form `json` values have sorted keys. They decode to the same value either way; `log check`
 * reports them.
 */
import { type LogRecord, RECORD_FIELDS } from "../vocabulary/records.ts";
import { literal } from "./byte-text.ts";
import { FAIL, LineReader } from "./line-reader.ts";
import { type TypePlan, typePlan } from "./type-plan.ts";

const SEQ = literal('{"seq":');
const T = literal(',"t":');
const TYPE = literal(',"type":"');

/**
 * Decodes canonical lines out of a window of bytes. The records it gives are reused: one object per record type and set of present
 * fields, overwritten by the next record of that kind, and free-form values in them are parsed when first read, from bytes that must
 * still be there. Use `copyRecord` to keep one.
 */
export class LineDecoder {
	readonly #reader = new LineReader();
	readonly #types = new Map<string, TypePlan>();
	readonly #compiled: boolean;
	#previous: TypePlan | undefined;

	/** `compiled`: false reads by a loop over the tables instead of generated code. */
	constructor(compiled = true) {
		this.#compiled = compiled;
	}

	/** Reads from these bytes from now on, up to `end`. */
	use(bytes: Uint8Array, end: number): void {
		this.#reader.use(bytes, end);
	}

	/** After a decode: the position behind the line's newline. */
	get position(): number {
		return this.#reader.position;
	}

	/** The record in the line that starts at `start`, or undefined when the line is not a canonical record. */
	decode(start: number): LogRecord | undefined {
		const reader = this.#reader;
		reader.position = start;
		if (!reader.take(SEQ)) return undefined;
		const seq = reader.count();
		if (seq === FAIL || !reader.take(T)) return undefined;
		const t = reader.count();
		if (t === FAIL || !reader.take(TYPE)) return undefined;
		const plan = this.#type();
		// What `read` fills is a record of the type by its table; TypeScript cannot follow that.
		return plan?.read(reader, seq, t) as unknown as LogRecord | undefined;
	}

	/** The type's name up to and with `","actor":`. The successor seen last is tried first. */
	#type(): TypePlan | undefined {
		const reader = this.#reader;
		const guess = this.#previous?.successor;
		if (guess !== undefined && reader.take(guess.head)) {
			this.#previous = guess;
			return guess;
		}
		const name = reader.names.at(reader, reader.position - 1);
		if (name === undefined) return undefined;
		let plan = this.#types.get(name.text);
		if (plan === undefined) {
			if (!Object.hasOwn(RECORD_FIELDS, name.text)) return undefined;
			plan = typePlan(name.text, this.#compiled);
			this.#types.set(name.text, plan);
		}
		if (!reader.take(plan.head)) return undefined;
		if (this.#previous !== undefined) this.#previous.successor = plan;
		this.#previous = plan;
		return plan;
	}
}

/** A record of its own with the content of a reused one. Nested values are never reused, so they are shared. */
export function copyRecord<T extends LogRecord>(record: T): T {
	return { ...record, data: { ...record.data } };
}
