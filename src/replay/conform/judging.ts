/**
 * Judges what the model did while a recording was played: the facts of each operation become records of a `run` log, and the judge of src/invariants
 * reads them. Nothing is written to disk.
 */
import { createJudge, type Judge } from "../../invariants/judge.ts";
import {
	MODEL_VERSION,
	type LogHeader,
	type Topology,
} from "../../vocabulary/header.ts";
import type { Fact, LogRecord } from "../../vocabulary/records.ts";

/** Something the judge objects to. */
export interface JudgedViolation {
	readonly sequence: string;
	readonly id: string;
	readonly message: string;
	/** Number of the record, in the order of the sequence's facts. */
	readonly seq: number;
}

/** The header of a judged conformance run. */
export function conformHeader(topology: Topology): LogHeader {
	return {
		format: "iommu-ledger",
		version: 1,
		model: MODEL_VERSION,
		origin: "run",
		fidelity: "L2",
		clock: "run",
		seed: 0,
		kernel: "model",
		iommu: { strict: true, cachingMode: "unknown", scalable: "unknown" },
		topology,
		switches: {},
	};
}

/** Numbers facts as records and judges them. */
export class ConformJudge {
	readonly #judge: Judge;
	readonly #sequence: string;
	#seq = 0;

	constructor(sequence: string, topology: Topology) {
		this.#sequence = sequence;
		this.#judge = createJudge(conformHeader(topology));
	}

	/** The facts of one operation, op.begin and op.commit or op.fail included. */
	next(facts: readonly Fact[]): void {
		let op = 0;
		for (const f of facts) {
			this.#seq += 1;
			if (f.type === "op.begin") op = this.#seq;
			this.#judge.next({
				seq: this.#seq,
				t: this.#seq,
				op,
				...f,
				data: f.data,
			} as LogRecord);
			if (f.type === "op.commit" || f.type === "op.fail") op = 0;
		}
	}

	/** How often each invariant of the catalogue was checked so far, in its order. */
	get checked(): readonly number[] {
		return this.#judge.verdicts.checked;
	}

	/** The sequence ends; what was violated. */
	finish(): JudgedViolation[] {
		this.#judge.finish();
		return this.#judge.verdicts.violations.map(({ id, message, seq }) => ({
			sequence: this.#sequence,
			id,
			message,
			seq,
		}));
	}
}
