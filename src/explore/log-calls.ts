/**
 * The operations of a counterexample's log: each thread is one, and within it the calls whose beginning and end the scenario names (`begin`,
 * `done`), as iommu_map and iommu_unmap on the pages' addresses. So the judge knows what was promised, and when nothing is under way.
 */
import type { ErrnoName } from "../vocabulary/errno.ts";
import { isErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import { hexOf } from "../vocabulary/fields.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import { LOG_DOMAIN, iovaOf, spanBytes, targetAddress } from "./log-places.ts";
import type { Step } from "./scenario-schema.ts";
import { MOVE, type TableSystem, kindOf, processOf } from "./table-system.ts";

type Progress = Extract<Step, { verb: "done" }>["args"];
/** A call that a thread has begun. */
interface OpenCall {
	readonly seq: number;
	pages: readonly number[];
}

const pagesOf = (args: Progress): readonly number[] =>
	("map" in args ? args.map : "unmap" in args ? args.unmap : args.fail).map(
		Number,
	);

/** The calls of all threads while a log is written. */
export class ThreadCalls {
	readonly #system: TableSystem;
	/** Appends a record to an operation (0 none, -1 begins one); returns its seq. */
	readonly #add: (f: Fact, op: number) => number;
	/** Per thread: its own operation (0: ended), and the calls it has begun. */
	readonly #threads: { op: number; calls: OpenCall[] }[] = [];

	constructor(system: TableSystem, add: (f: Fact, op: number) => number) {
		this.#system = system;
		this.#add = add;
	}

	/** Begins an operation for every thread. */
	start(s: Uint8Array): void {
		for (const thread of this.#system.model.threads) {
			const actor: ActorId = `task:${thread.name}`;
			const begin = fact("op.begin", actor, {
				op: "explore.thread",
				args: { thread: thread.name },
				task: thread.name,
			});
			this.#threads.push({ op: this.#add(begin, -1), calls: [] });
		}
		this.#system.model.threads.forEach((_, number) => this.#leave(number, s));
	}

	/** The operation that the records of a move belong to. */
	current(move: number): number {
		const thread = this.#threads[processOf(move)];
		return thread?.calls.at(-1)?.seq ?? thread?.op ?? 0;
	}

	/** Before the records of a move: a call that it begins. */
	begin(move: number, before: Uint8Array): void {
		const step = this.#stepOf(move, before);
		if (step?.verb !== "begin") return;
		this.#open(processOf(move), step.args);
	}

	/** After the records of a move: a call that it ends, and the thread itself. */
	end(move: number, before: Uint8Array, after: Uint8Array): void {
		const number = processOf(move);
		const step = this.#stepOf(move, before);
		if (step?.verb === "done") this.#close(number, step, before);
		if (this.#threads[number] !== undefined) this.#leave(number, after);
	}

	#stepOf(move: number, before: Uint8Array): Step | undefined {
		const thread = this.#system.model.threads[processOf(move)];
		if (thread === undefined || kindOf(move) !== MOVE.step) return undefined;
		const program = this.#system.programs[processOf(move)];
		return program?.[before[thread.pc] as number]?.source;
	}

	#open(number: number, args: Progress): OpenCall {
		const { model } = this.#system;
		const pages = pagesOf(args);
		const actor: ActorId = `task:${model.threads[number]?.name}`;
		const seq = this.#add(
			fact("op.begin", actor, {
				op: "unmap" in args ? "iommu_unmap" : "iommu_map",
				args: { dom: LOG_DOMAIN, ranges: this.#ranges(pages, args) },
			}),
			-1,
		);
		const call = { seq, pages };
		this.#threads[number]?.calls.push(call);
		return call;
	}

	#ranges(pages: readonly number[], args: Progress): Json {
		const { model } = this.#system;
		const target =
			"map" in args && args.to !== undefined
				? model.targets.indexOf(args.to)
				: -1;
		return pages.map((page) => {
			const iova = iovaOf(model, 1, page);
			const where = { iova: hexOf(iova), len: hexOf(spanBytes(1)) };
			return target < 0
				? where
				: { ...where, pa: hexOf(targetAddress(target, iova)) };
		});
	}

	#close(
		number: number,
		step: Extract<Step, { verb: "done" }>,
		before: Uint8Array,
	): void {
		const { args } = step;
		const thread = this.#threads[number];
		if (thread === undefined) return;
		const pages = pagesOf(args);
		const isSame = (call: OpenCall): boolean =>
			call.pages.length === pages.length &&
			pages.every((page) => call.pages.includes(page));
		const call = thread.calls.find(isSame) ?? this.#open(number, args);
		thread.calls = thread.calls.filter((one) => one !== call);
		const actor: ActorId = `task:${this.#system.model.threads[number]?.name}`;
		if ("fail" in args) {
			const errno = this.#errnoAfter(number, before);
			this.#add(fact("op.fail", actor, { errno, step: "map_pages" }), call.seq);
			return;
		}
		const result: Json = { ranges: this.#ranges(pages, args) };
		this.#add(fact("op.commit", actor, { result }), call.seq);
	}

	/** What a failing call returns: the next `return` of its thread says it. */
	#errnoAfter(number: number, before: Uint8Array): ErrnoName {
		const thread = this.#system.model.threads[number];
		const program = this.#system.programs[number] ?? [];
		for (
			let pc = before[thread?.pc ?? 0] as number;
			pc < program.length;
			pc++
		) {
			const source = program[pc]?.source;
			if (source?.verb !== "return") continue;
			const name = String(source.args).replace(/^-/, "");
			if (isErrnoName(name)) return name;
		}
		return "EINVAL";
	}

	/** Ends a thread's operation when it has nothing left to do. */
	#leave(number: number, s: Uint8Array): void {
		const { model, programs, results } = this.#system;
		const thread = model.threads[number];
		const mine = this.#threads[number];
		if (thread === undefined || mine === undefined || mine.op === 0) return;
		if ((s[thread.pc] as number) < (programs[number]?.length ?? 0)) return;
		const actor: ActorId = `task:${thread.name}`;
		const returned = results[s[thread.result] as number] ?? "";
		this.#add(
			fact("op.commit", actor, returned === "" ? {} : { result: { returned } }),
			mine.op,
		);
		mine.op = 0;
	}
}
