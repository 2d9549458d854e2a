/**
 * One line of ftrace `trace`/`trace_pipe` or `trace-cmd report` text, parsed in place over its bytes.
 *
 *     TASK-PID (TGID) [CPU] FLAGS SECONDS.FRACTION: EVENT: TEXT
 *
 * TASK may hold `-`, `/`, `:` and spaces, so the line is anchored at the first ` [digits]` that follows `-digits`
 * (facts/trace-formats.md §2). The TGID column and FLAGS may be missing (older trace-cmd). One object is reused for all
 * lines: nothing is allocated on the hot path but the strings a handler asks for.
 */
import type { U64 } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";
import { hashStep, SLOTS, slotOfHash } from "./keys.ts";

const SPACE = 32;
const QUOTE = 34;
const OPEN = 40;
const CLOSE = 41;
const DASH = 45;
const DOT = 46;
const ZERO = 48;
const COLON = 58;
const EQUALS = 61;
const LEFT = 91;
const RIGHT = 93;
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 57;
/** Nanoseconds of one unit in the last place of a fraction with that many digits. */
const FRACTION_NS = [1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 100, 10, 1];
const TWO_32 = 4294967296;

/** Value of a hex digit's byte, or -1. */
const HEX = new Int8Array(256).fill(-1);
for (const [value, digit] of [..."0123456789abcdef"].entries()) {
	HEX[digit.charCodeAt(0)] = value;
	HEX[digit.toUpperCase().charCodeAt(0)] = value;
}

/** Interrupt context of a line (facts §2: nesting is per PID and context). */
export const CONTEXT = { task: 0, softirq: 1, hardirq: 2, nmi: 3 } as const;

function contextOf(flag: number): number {
	switch (flag) {
		case 115: // s
			return CONTEXT.softirq;
		case 104: // h
		case 72: // H
			return CONTEXT.hardirq;
		case 122: // z
		case 90: // Z
			return CONTEXT.nmi;
		default:
			return CONTEXT.task;
	}
}

const INTERNED_MAX = 10_000;

function sameText(
	buf: Uint8Array,
	start: number,
	end: number,
	text: string,
): boolean {
	if (text.length !== end - start) return false;
	for (let i = 0; i < text.length; i++)
		if (buf[start + i] !== text.charCodeAt(i)) return false;
	return true;
}

/** The reusable parsed line. `parse` fills the head; `tokenize` finds the fields; the getters read single values. */
export class TraceLine {
	buf: Uint8Array = new Uint8Array(0);
	/** Nanoseconds since boot. */
	t = 0;
	cpu = 0;
	pid = 0;
	context = 0;
	/** Hash and bounds of the event name; start of its text; end of the line. */
	nameHash = 0;
	nameStart = 0;
	nameEnd = 0;
	textStart = 0;
	end = 0;
	private taskStart = 0;
	private taskEnd = 0;
	private column = 2;
	private stamp = 0;
	private readonly interned = new Map<number, string>();
	private readonly stamps = new Int32Array(SLOTS);
	private readonly starts = new Int32Array(SLOTS);
	private readonly ends = new Int32Array(SLOTS);

	/** Parses the head of the line in buf[start, end). Returns false when it is not a trace line. */
	parse(buf: Uint8Array, start: number, end: number): boolean {
		this.buf = buf;
		this.end = end;
		let at = this.parseTask(buf, start, end);
		if (at < 0) return false;
		while (at < end && buf[at] === SPACE) at++;
		this.context = CONTEXT.task;
		if (!isDigit(buf[at] as number)) {
			if (at + 2 < end) this.context = contextOf(buf[at + 2] as number);
			while (at < end && buf[at] !== SPACE) at++;
			while (at < end && buf[at] === SPACE) at++;
		}
		at = this.parseTime(buf, at, end);
		if (at < 0) return false;
		while (at < end && buf[at] === SPACE) at++;
		this.nameStart = at;
		let hash = 0;
		while (at < end) {
			const byte = buf[at] as number;
			if (byte === COLON) break;
			if (byte === SPACE) return false;
			hash = hashStep(hash, byte);
			at++;
		}
		if (at >= end || at === this.nameStart) return false;
		this.nameHash = hash;
		this.nameEnd = at++;
		while (at < end && buf[at] === SPACE) at++;
		this.textStart = at;
		return true;
	}

	/** TASK-PID (TGID) [CPU]: returns the position behind `]`, or -1. */
	private parseTask(buf: Uint8Array, start: number, end: number): number {
		// The column hardly ever changes: try where it was.
		let at = start + this.column;
		if (at + 2 >= end || buf[at] !== LEFT || buf[at - 1] !== SPACE)
			at = start + 2;
		for (; at + 2 < end; at++) {
			if (buf[at] !== LEFT || buf[at - 1] !== SPACE) continue;
			let cpu = 0;
			let close = at + 1;
			while (close < end && isDigit(buf[close] as number))
				cpu = cpu * 10 + (buf[close++] as number) - ZERO;
			if (close === at + 1 || buf[close] !== RIGHT) continue;
			let back = skipSpacesBack(buf, at - 1, start);
			if (buf[back] === CLOSE) {
				while (back > start && buf[back] !== OPEN) back--;
				back = skipSpacesBack(buf, back - 1, start);
			}
			let pid = 0;
			let scale = 1;
			const pidEnd = back;
			while (back > start && isDigit(buf[back] as number)) {
				pid += ((buf[back--] as number) - ZERO) * scale;
				scale *= 10;
			}
			if (back === pidEnd || buf[back] !== DASH || !Number.isSafeInteger(pid))
				continue;
			this.pid = pid;
			this.cpu = cpu;
			this.taskStart = start;
			this.taskEnd = back;
			this.column = at - start;
			return close + 1;
		}
		return -1;
	}

	private parseTime(buf: Uint8Array, start: number, end: number): number {
		let at = start;
		let seconds = 0;
		while (at < end && isDigit(buf[at] as number))
			seconds = seconds * 10 + (buf[at++] as number) - ZERO;
		if (at === start) return -1;
		let t = seconds;
		if (buf[at] === DOT) {
			at++;
			let fraction = 0;
			const from = at;
			while (at < end && at - from < 9 && isDigit(buf[at] as number))
				fraction = fraction * 10 + (buf[at++] as number) - ZERO;
			t = seconds * 1e9 + fraction * (FRACTION_NS[at - from] as number);
		}
		if (buf[at] !== COLON || !Number.isSafeInteger(t)) return -1;
		this.t = t;
		return at + 1;
	}

	/**
	 * Finds the `key=value` fields of the text from `from` on. A leading `(caller)` is skipped; words without `=` are too. Stops
	 * behind the field `until` when that is given: what comes after it is not needed.
	 */
	tokenize(from = this.textStart, until = -1): void {
		const { buf, end } = this;
		this.stamp++;
		let at = from;
		if (buf[at] === OPEN) {
			const close = buf.indexOf(CLOSE, at);
			at = close < 0 || close >= end ? end : close + 1;
		}
		while (at < end) {
			while (at < end && buf[at] === SPACE) at++;
			let hash = 0;
			let byte = 0;
			while (at < end) {
				byte = buf[at] as number;
				if (byte === EQUALS || byte === SPACE) break;
				hash = hashStep(hash, byte);
				at++;
			}
			if (byte !== EQUALS || at >= end) continue;
			at++;
			let valueStart = at;
			let valueEnd: number;
			if (buf[at] === QUOTE) {
				valueStart = ++at;
				while (at < end && buf[at] !== QUOTE) at++;
				valueEnd = at++;
			} else {
				while (at < end && buf[at] !== SPACE) at++;
				valueEnd = at;
			}
			const slot = slotOfHash(hash);
			if (slot >= 0 && this.stamps[slot] !== this.stamp) {
				this.stamps[slot] = this.stamp;
				this.starts[slot] = valueStart;
				this.ends[slot] = valueEnd;
				if (slot === until) return;
			}
		}
	}

	/** Whether the field is there. */
	has(slot: number): boolean {
		return this.stamps[slot] === this.stamp;
	}

	/** The field as text ("" when absent). Short texts are interned, so that no large buffer is kept alive. */
	text(slot: number): string {
		if (!this.has(slot)) return "";
		return this.slice(this.starts[slot] as number, this.ends[slot] as number);
	}

	/** A piece of the line as an interned latin1 string: the same text is made once. */
	slice(start: number, end: number): string {
		const { buf } = this;
		let hash = 0;
		for (let at = start; at < end; at++)
			hash = hashStep(hash, buf[at] as number);
		const known = this.interned.get(hash);
		if (known !== undefined && sameText(buf, start, end, known)) return known;
		let text = "";
		for (let at = start; at < end; at++)
			text += String.fromCharCode(buf[at] as number);
		if (this.interned.size > INTERNED_MAX) this.interned.clear();
		this.interned.set(hash, text);
		return text;
	}

	/** The name of the task, without its PID. */
	taskName(): string {
		let task = this.taskStart;
		while (this.buf[task] === SPACE) task++;
		return this.slice(task, this.taskEnd);
	}

	/** The event's name. */
	eventName(): string {
		return this.slice(this.nameStart, this.nameEnd);
	}

	/** The number at [start, end): hex with 0x or decimal with sign; NaN when it is no number or above 64 bits. Exact below 2^53. */
	numberAt(start: number, end: number): number {
		const { buf } = this;
		if (end - start > 2 && buf[start] === ZERO && buf[start + 1] === 120) {
			if (end - start > 18) return Number.NaN;
			let value = 0;
			for (let at = start + 2; at < end; at++) {
				const digit = HEX[buf[at] as number] as number;
				if (digit < 0) return Number.NaN;
				value = value * 16 + digit;
			}
			return value;
		}
		let at = start;
		const negative = buf[at] === DASH;
		if (negative) at++;
		if (at >= end || end - at > 20) return Number.NaN;
		let value = 0;
		for (; at < end; at++) {
			const byte = buf[at] as number;
			if (!isDigit(byte)) return Number.NaN;
			value = value * 10 + byte - ZERO;
		}
		return negative ? -value : value;
	}

	/** The field as a number: exact below 2^53, NaN when absent, unreadable or `(fault)`. */
	num(slot: number): number {
		if (!this.has(slot)) return Number.NaN;
		return this.numberAt(
			this.starts[slot] as number,
			this.ends[slot] as number,
		);
	}

	/** The field as a 64-bit value, or undefined when it is no unsigned number. */
	u64(slot: number): U64 | undefined {
		const value = this.num(slot);
		if (!(value >= 0)) return undefined;
		if (value <= Number.MAX_SAFE_INTEGER) return value;
		return this.wide(slot);
	}

	private wide(slot: number): U64 | undefined {
		const text = this.text(slot);
		const value = BigInt(text);
		return value > 0xffff_ffff_ffff_ffffn ? undefined : u64(value);
	}

	/**
	 * The field as the key of a kernel pointer: its low 53 bits as an exact number. Kernel pointers differ there
	 * (the bits above repeat the sign), so keys are unique, and `dom = dmar + 0xa0` stays plain arithmetic. NaN when absent
	 * or unreadable.
	 */
	pointer(slot: number): number {
		if (!this.has(slot)) return Number.NaN;
		const { buf } = this;
		const start = (this.starts[slot] as number) + 2;
		const end = this.ends[slot] as number;
		if (end - start > 16 || end <= start || buf[start - 1] !== 120)
			return this.num(slot);
		const split = end - 8;
		let high = 0;
		let low = 0;
		for (let at = start; at < end; at++) {
			const digit = HEX[buf[at] as number] as number;
			if (digit < 0) return Number.NaN;
			if (at < split) high = high * 16 + digit;
			else low = low * 16 + digit;
		}
		return (high & 0x1fffff) * TWO_32 + low;
	}

	/** A return value that is a count or a negative errno, also where the probe printed it as unsigned 64 bits. NaN when absent. */
	signed(slot: number): number {
		const value = this.num(slot);
		if (value < 2 ** 63) return value;
		const wide = this.wide(slot);
		return wide === undefined
			? Number.NaN
			: Number(BigInt.asIntN(64, BigInt(wide)));
	}
}

function skipSpacesBack(buf: Uint8Array, from: number, start: number): number {
	let at = from;
	while (at > start && buf[at] === SPACE) at--;
	return at;
}
