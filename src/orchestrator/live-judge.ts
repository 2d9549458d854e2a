/** Invariants judged while a system runs: the same judge as verify's, fed record by record. */
import { Observable, Subject } from "rxjs";
import { createJudge, type Judge } from "../invariants/judge.ts";
import type { Violation } from "../invariants/verdicts.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** A judge that starts when somebody wants to know. */
export class LiveJudge {
	readonly #header: LogHeader;
	readonly #found = new Subject<Violation>();
	#judge: Judge | undefined;

	constructor(header: LogHeader) {
		this.#header = header;
	}

	/** It has started. */
	get judging(): boolean {
		return this.#judge !== undefined;
	}
	/** The judge, started. */
	get judge(): Judge {
		if (this.#judge === undefined) {
			this.#judge = createJudge(this.#header);
			this.#judge.verdicts.onViolation = (violation, what) => {
				if (what === "found") this.#found.next(violation);
			};
		}
		return this.#judge;
	}
	/** Errors and warnings found so far, in order of their records. */
	get findings(): readonly Violation[] {
		const { violations, warnings } = this.judge.verdicts;
		return [...violations, ...warnings].toSorted((a, b) => a.seq - b.seq);
	}
	next(record: LogRecord): void {
		this.judge.next(record);
	}
	/** What was found so far, then what will be. `past` feeds a judge that has not started; `seq` is the last record there is. */
	watch(past: readonly LogRecord[], seq: number): Observable<Violation> {
		if (!this.judging) {
			if (past.length !== seq)
				throw new RangeError(
					"violations$ needs every record since the start: do not set keep to false",
				);
			for (const record of past) this.next(record);
		}
		return new Observable((subscriber) => {
			for (const finding of this.findings) subscriber.next(finding);
			return this.#found.subscribe(subscriber);
		});
	}
	complete(): void {
		this.#found.complete();
	}
}
