/**
 * A counterexample as a native log (origin `explore`), so that `verify` and `inspect` open it: page-table memory in micro records,
 * invalidations with issue and completion, readers, hardware's fills, and last the DMA that shows the harm. The records say what
 * happened, not that it is wrong: the judge finds that again.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import { FORMAT_VERSION, MODEL_VERSION } from "../vocabulary/header.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import { groupId } from "../vocabulary/ids.ts";
import type { Fact, LogRecord } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import { type Counterexample, replay } from "./counterexample.ts";
import { startFacts, stepFacts } from "./log-facts.ts";
import {
	LOG_DEVICE,
	LOG_IOMMU,
	entryIova,
	iovaOf,
	spanBytes,
	tableNumber,
	targetAddress,
} from "./log-places.ts";
import { mask32 } from "./model.ts";
import { MOVE, kindOf, processOf } from "./table-system.ts";

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
	/** seq of each thread's open operation; 0 = none. */
	readonly #open: number[];
	/** Invalidation commands so far, and the last one of each thread: a wait completes up to that. */
	#inv = 1;
	readonly #lastInv: number[];

	constructor(example: Counterexample) {
		this.#example = example;
		this.#lastInv = example.system.model.threads.map(() => 1);
		this.#open = example.system.model.threads.map(() => 0);
	}

	run(): readonly LogRecord[] {
		const { system, moves } = this.#example;
		const trail = replay(
			system,
			moves.filter((m) => m.fill < 0).map((m) => m.move),
		);
		for (const f of startFacts(system)) this.#add(f, 0);
		this.#flushOnce();
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

	#add(f: Fact, op: number): number {
		const seq = this.#records.length + 1;
		const { type, actor, data } = f;
		this.#records.push({ seq, t: seq, type, actor, op, data } as LogRecord);
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
			0,
		);
		this.#add(
			fact("inv.completed", LOG_IOMMU, { iommu: LOG_IOMMU, inv: 1 }),
			0,
		);
	}

	#move(move: number, before: Uint8Array, after: Uint8Array): void {
		const { system } = this.#example;
		const thread = processOf(move);
		const name = system.model.threads[thread]?.name;
		const facts = stepFacts(system, move, before, after, {
			next: () => {
				this.#lastInv[thread] = ++this.#inv;
				return this.#inv;
			},
			last: () => this.#lastInv[thread] ?? 1,
		});
		if (name === undefined || kindOf(move) === MOVE.perform) {
			for (const f of facts) this.#add(f, 0);
			return;
		}
		this.#open[thread] ||= this.#begin(name);
		for (const f of facts) this.#add(f, this.#open[thread] as number);
		this.#close(thread, before, after);
	}

	#begin(name: string): number {
		const seq = this.#records.length + 1;
		const actor: ActorId = `task:${name}`;
		return this.#add(
			fact("op.begin", actor, { op: "explore", args: {}, task: name }),
			seq,
		);
	}

	#close(thread: number, before: Uint8Array, after: Uint8Array): void {
		const { model, programs } = this.#example.system;
		const variables = model.threads[thread];
		if (variables === undefined) return;
		const ended =
			(after[variables.pc] as number) >= (programs[thread]?.length ?? 0);
		const finished =
			mask32(before, variables.open) !== 0 &&
			mask32(after, variables.open) === 0;
		if (!ended && !finished) return;
		const actor: ActorId = `task:${variables.name}`;
		this.#add(fact("op.commit", actor, {}), this.#open[thread] as number);
		this.#open[thread] = 0;
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
			0,
		);
	}

	/** The device uses the entry that should not be there. */
	#harm(): void {
		const { system, witness } = this.#example;
		const { model, caches } = system;
		const entry = caches.entries[witness];
		if (entry === undefined) return;
		const page = 31 - Math.clz32(entry.pages & -entry.pages);
		const iova = iovaOf(model, 1, page);
		const garbage = entry.kind === "walk" || entry.to >= model.targets.length;
		this.#add(
			fact("dma.done", LOG_DEVICE, {
				dev: LOG_DEVICE,
				iova,
				len: spanBytes(1),
				write: false,
				outcome: "done",
				...(garbage ? {} : { pa: targetAddress(entry.to, iova) }),
				what: garbage ? "garbage" : (model.targets[entry.to] ?? ""),
			}),
			0,
		);
	}
}
