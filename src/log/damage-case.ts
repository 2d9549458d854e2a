/** A damaged place in a log, laid out for the explanations of damage.ts. */
import type { Hash } from "node:crypto";
import type { Deviation } from "./deviation.ts";
import { type Damage, LogError, type LogErrorCode } from "./error.ts";
import type { LooseLine } from "./loose-lines.ts";
import type { Head } from "./seal.ts";

/** The place where a log stops being whole. */
export interface DamagedPlace {
	/** The last good seal line, without newline; empty at the start of the log. */
	readonly previous: string;
	/** The hash over everything up to and with it. */
	readonly sum: Hash;
	/** Everything behind it, as far as kept. */
	readonly rest: Buffer;
	/** Offset of `rest` in the log. */
	readonly offset: number;
	readonly head: Head;
	/** Number of the first line of `rest`. */
	readonly line: number;
	/** What the reader stumbled over. */
	readonly first: LogError | undefined;
}

/** The place with what was found out about it at once. */
export interface Case extends DamagedPlace {
	readonly lines: readonly LooseLine[];
	readonly deviation: Deviation | undefined;
	readonly damage: Damage;
}

/** An error at line `index` of the place. */
export const errorAt = (
	found: Case,
	code: LogErrorCode,
	message: string,
	index: number,
	seq: number,
	hint: string,
): LogError =>
	new LogError(code, message, {
		line: found.line + index,
		seq,
		hint,
		damage: found.damage,
		cause: found.first,
	});
