/**
 * A counterexample as a native log (origin `explore`), so that `verify` and `inspect` open it: page-table memory in micro records,
 * invalidations with issue and completion, readers, hardware's fills, and last the DMA that shows the harm. The records say what
 * happened, not that it is wrong: the judge finds that again.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import { FORMAT_VERSION, MODEL_VERSION } from "../vocabulary/header.ts";
import { groupId } from "../vocabulary/ids.ts";
import type { Fact, LogRecord } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import { type Counterexample, replay } from "./counterexample.ts";
import { ThreadCalls } from "./log-calls.ts";
import { startFacts, stepFacts, streamFacts } from "./log-facts.ts";
import {
	LOG_DEVICE,
	LOG_IOMMU,
	entryIova,
	iovaOf,
	spanBytes,
	tableNumber,
	targetAddress,
} from "./log-places.ts";
import { processOf } from "./table-system.ts";

const DRIVERS = {
	generic: "vtd",
	vtd: "vtd",
	smmuv3: "smmu-v3",
	amd: "amd-vi",
} as const;

/** A log in memory. */
export interface ExploreLog {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
}

/** Writes a counterexample as a log. */
export function toLog(example: Counterexample): ExploreLog {
	const { scenario } = example.system.model;
	const { driver, ...parameters } = scenario.personality;
	const header: LogHeader = {
		format: "iommu-ledger",
		version: FORMAT_VERSION,
		model: MODEL_VERSION,
		origin: "explore",
		fidelity: "L2",
		clock: "run",
		seed: 0,
		kernel: "model",
		iommu: {
			strict: true,
			cachingMode: scenario.personality.cachingMode,
			scalable: false,
		},
		topology: {
			known: "complete",
			groups: [
				{
					group: groupId(1),
					driver: DRIVERS[driver],
					members: [{ dev: LOG_DEVICE, resv: [] }],
				},
			],
		},
		switches: {
			...parameters,
			hardware: scenario.hardware,
			...scenario.switches,
			scenario: scenario.name,
			counterexample: example.id,
		},
	};
	return { header, records: new Writer(example).run() };
}

class Writer {
	readonly #example: Counterexample;
	readonly #records: LogRecord[] = [];
	readonly #calls: ThreadCalls;
	/** Invalidation commands so far, and the last one of each thread: a wait completes up to that. */
	#inv = 1;
	readonly #lastInv: number[];

	constructor(example: Counterexample) {
		this.#example = example;
		const { model } = example.system;
		this.#lastInv = model.threads.map(() => 1);
		this.#calls = new ThreadCalls(example.system, (f, op) => this.#add(f, op));
	}

	run(): readonly LogRecord[] {
		const { system, moves } = this.#example;
		const trail = replay(
			system,
			moves.filter((m) => m.fill < 0).map((m) => m.move),
		);
		for (const f of startFacts(system)) this.#add(f);
		this.#flushOnce();
		for (const f of streamFacts(system.model)) this.#add(f);
		this.#calls.start(trail[0] as Uint8Array);
		let at = 0;
		for (const move of moves) {
			if (move.fill >= 0) this.#fill(move.fill);
			else {
				this.#move(
					move.move,
					trail[at] as Uint8Array,
					trail[at + 1] as Uint8Array,
				);
				at++;
			}
		}
		this.#harm();
		return this.#records;
	}

	/** Appends a record; `op`: the operation it belongs to, 0 for none, -1 for one that it begins. Returns its seq. */
	#add(f: Fact, op = 0): number {
		const seq = this.#records.length + 1;
		const { type, actor, data } = f;
		this.#records.push({
			seq,
			t: seq,
			type,
			actor,
			op: op < 0 ? seq : op,
			data,
		} as LogRecord);
		return seq;
	}

	/** Translation was switched on with one global flush (intel/iommu.c:init_dmars), so the log speaks about flushes. */
	#flushOnce(): void {
		this.#add(
			fact("inv.issued", LOG_IOMMU, {
				iommu: LOG_IOMMU,
				inv: 1,
				kind: "iotlb",
				gran: "global",
			}),
		);
		this.#add(fact("inv.completed", LOG_IOMMU, { iommu: LOG_IOMMU, inv: 1 }));
	}

	#move(move: number, before: Uint8Array, after: Uint8Array): void {
		const { system } = this.#example;
		const thread = processOf(move);
		const facts = stepFacts(system, move, before, after, {
			next: () => {
				this.#lastInv[thread] = ++this.#inv;
				return this.#inv;
			},
			last: () => this.#lastInv[thread] ?? 1,
		});
		this.#calls.begin(move, before);
		const op = this.#calls.current(move);
		for (const f of facts) this.#add(f, f.type.startsWith("dma.") ? 0 : op);
		this.#calls.end(move, before, after);
	}

	#fill(bit: number): void {
		const { model, caches } = this.#example.system;
		const entry = caches.entries[bit];
		if (entry === undefined) return;
		const iova = entryIova(model, entry);
		const real = entry.kind !== "walk" && entry.to < model.targets.length;
		this.#add(
			fact("hw.filled", LOG_IOMMU, {
				iommu: LOG_IOMMU,
				did: 1,
				kind: entry.kind === "walk" ? "directory" : entry.kind,
				iova,
				level: entry.level,
				...(entry.kind === "walk"
					? { table: tableNumber(model, entry.to) }
					: {}),
				...(real ? { pa: targetAddress(entry.to, iova) } : {}),
			}),
		);
	}

	/**
	 * The device uses the leaf entry that should not be there. A pointer into a freed page is not used here: what a walk through it
	 * would reach is anything.
	 */
	#harm(): void {
		const { system, witness } = this.#example;
		const { model, caches } = system;
		const entry = caches.entries[witness];
		if (entry === undefined || entry.kind === "walk") return;
		if (entry.to >= model.targets.length) return;
		const page = 31 - Math.clz32(entry.pages & -entry.pages);
		const iova = iovaOf(model, 1, page);
		this.#add(
			fact("dma.done", LOG_DEVICE, {
				dev: LOG_DEVICE,
				iova,
				len: spanBytes(1),
				write: false,
				outcome: "done",
				pa: targetAddress(entry.to, iova),
				what: model.targets[entry.to] ?? "",
			}),
		);
	}
}
