/** Writes the steps of a table run as records (table-run.ts). */
import { coreMap, coreUnmap, type CoreCall } from "../pagetable/core.ts";
import type { Edit } from "../pagetable/edit.ts";
import type { Effect, Step } from "../pagetable/events.ts";
import { newGather, syncGather } from "../pagetable/gather.ts";
import { createEdit, lookup, settleConfig } from "../pagetable/table.ts";
import { wordSum } from "../pagetable/word-sum.ts";
import { errnoName, type ErrnoName } from "../vocabulary/errno.ts";
import { hexOf, u64, type Json } from "../vocabulary/fields.ts";
import { fact, type Fact, type LogRecord } from "../vocabulary/records.ts";

import {
	DEV,
	DOM,
	PAGE,
	REQUESTER,
	TASK,
	UNIT,
	TableFlushes,
} from "./table-flushes.ts";
import { RECORDER_FAULTS, type TableCall, type TableRun } from "./table-run.ts";

/** An array that hands on what is pushed. */
class Tap<T> extends Array<T> {
	#to: (item: T) => void = () => {};
	static into<T>(to: (item: T) => void): Tap<T> {
		const tap = new Tap<T>();
		tap.#to = to;
		return tap;
	}
	override push(...items: T[]): number {
		for (const item of items) this.#to(item);
		return 0;
	}
}

/** One run while it is written. */
export class TableWriter {
	readonly #run: TableRun;
	readonly #edit: Edit;
	readonly #records: LogRecord[] = [];
	readonly #flushes: TableFlushes;
	#op = 0;
	#calls: Tap<CoreCall> | null = null;

	constructor(run: TableRun) {
		this.#run = run;
		this.#flushes = new TableFlushes(run, (f) => void this.#add(f));
		this.#edit = createEdit(settleConfig(run.request, run.policy));
	}

	records(): readonly LogRecord[] {
		this.#start();
		this.#edit.steps = Tap.into<Step>((step) => this.#step(step));
		this.#edit.effects = Tap.into<Effect>((effect) =>
			this.#flushes.effect(effect),
		);
		for (const call of this.#run.calls) this.#call(call);
		return this.#records;
	}

	#add(f: Fact, op = this.#op): number {
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

	#start(): void {
		const { config, root } = this.#edit;
		const { request } = this.#run;
		const page = this.#edit.page(root);
		this.#add(
			fact("dom.created", DOM, { dom: DOM, kind: "unmanaged", dirty: true }),
		);
		this.#add(fact("did.assigned", UNIT, { iommu: UNIT, did: 1, dom: DOM }));
		this.#add(
			fact("tag.assigned", UNIT, {
				iommu: UNIT,
				did: 1,
				dom: DOM,
				dev: DEV,
				ref: 1,
			}),
		);
		this.#add(
			fact("ctx.entry.set", UNIT, {
				iommu: UNIT,
				sid: REQUESTER,
				dom: DOM,
				did: 1,
				dev: DEV,
			}),
		);
		this.#add(fact("hw.attach", DEV, { dev: DEV, dom: DOM }));
		if (this.#run.calls.some((call) => call.do === "sweep"))
			this.#add(fact("dirty.set", DOM, { dom: DOM, on: true }));
		this.#add(
			fact("table.rooted", DOM, {
				dom: DOM,
				table: root,
				levels: this.#edit.mode,
				format: config.format,
				...(request.pageSizes === undefined
					? {}
					: { pgsizes: u64(request.pageSizes) }),
				...(request.ias === undefined ? {} : { ias: request.ias }),
				...(request.oas === undefined ? {} : { oas: request.oas }),
			}),
		);
		this.#add(
			fact("table.allocated", DOM, {
				dom: DOM,
				table: root,
				level: page.level,
				slots: 2 ** page.bits,
			}),
		);
		this.#flushes.send([{ start: 0, mask: 0, all: true, ih: false, ttl: 0 }]);
	}

	#call(call: TableCall): void {
		switch (call.do) {
			case "map":
				return this.#map(call);
			case "unmap":
				return this.#unmap(call);
			case "lookup":
				return this.#lookup(call.iova);
			case "sweep":
				return this.#sweep(call);
			case "write": {
				this.#edit.config.driver.hardwareWrite(this.#edit, call.iova);
				this.#add(
					fact("dma.done", DEV, {
						dev: DEV,
						iova: call.iova * PAGE,
						len: PAGE,
						write: true,
						outcome: "done",
					}),
					0,
				);
			}
		}
	}

	#begin(op: string, args: Record<string, Json>): void {
		this.#op = this.#add(
			fact("op.begin", TASK, { op, args: { dom: DOM, ...args } }),
			-1,
		);
	}

	#end(result: Json | undefined, errno?: ErrnoName): void {
		if (errno === undefined)
			this.#add(
				fact("op.commit", TASK, result === undefined ? {} : { result }),
			);
		else
			this.#add(
				fact("op.fail", TASK, {
					errno,
					step: "map_pages",
					...(result === undefined ? {} : { result }),
				}),
			);
		this.#op = 0;
		this.#sum();
	}

	/** What this table holds, for replay to compare. A kernel with a defect holds what its records say, which this table does not. */
	#sum(): void {
		const { fault } = this.#run;
		if (fault !== undefined && !RECORDER_FAULTS.includes(fault)) return;
		const { entries, sum, tables } = wordSum(this.#edit);
		this.#add(fact("table.summed", DOM, { dom: DOM, tables, entries, sum }), 0);
	}

	#map(call: Extract<TableCall, { do: "map" }>): void {
		const { iova, pa, size, prot = 3 } = call;
		this.#begin("iommu_map", {
			iova: hexOf(iova * PAGE),
			len: hexOf(size * PAGE),
			pa: hexOf(pa * PAGE),
			prot,
			...(call.replaces === true ? { replaces: true } : {}),
		});
		this.#watchCore(iova, pa);
		const ret = coreMap(this.#edit, iova, pa, size, prot, this.#calls);
		this.#end(undefined, ret === 0 ? undefined : (errnoName(-ret) ?? "EINVAL"));
	}

	/** Driver calls of the core's loops, as records. */
	#watchCore(iova: number, pa: number): void {
		let done = 0;
		let undone = 0;
		this.#calls = Tap.into<CoreCall>((call) => {
			const [kind, size, count] = call;
			const common = { dom: DOM, pgsize: size * PAGE, count };
			if (kind === "m") {
				const [, , , ret, mapped] = call;
				this.#add(
					fact("drv.mapped", DOM, {
						...common,
						iova: (iova + done) * PAGE,
						pa: (pa + done) * PAGE,
						mapped: mapped * PAGE,
						...(ret === 0 ? {} : { errno: errnoName(-ret) ?? "EINVAL" }),
					}),
				);
				done += mapped;
			} else {
				this.#add(
					fact("drv.unmapped", DOM, {
						...common,
						iova: (iova + undone) * PAGE,
						unmapped: call[3] * PAGE,
					}),
				);
				undone += call[3];
			}
		});
	}

	#unmap({ iova, size }: Extract<TableCall, { do: "unmap" }>): void {
		this.#begin("iommu_unmap", {
			iova: hexOf(iova * PAGE),
			len: hexOf(size * PAGE),
		});
		this.#watchCore(iova, 0);
		const done = this.#unmapBy(iova, size);
		this.#end({ unmapped: hexOf(done * PAGE) });
	}

	/** __iommu_unmap, or the loop of a core with a fault. */
	#unmapBy(iova: number, size: number): number {
		const { fault } = this.#run;
		const { driver, pageSizes } = this.#edit.config;
		if (fault !== "core-ignores-sizes" && fault !== "core-stops-after-one-call")
			return coreUnmap(this.#edit, iova, size, newGather(), this.#calls);
		const gather = newGather();
		const pgsize = pageSizes[0] as number;
		let done = 0;
		while (done < size) {
			const part = driver.unmap(this.#edit, iova + done, pgsize, 1, gather);
			this.#calls?.push(["u", pgsize, 1, part]);
			if (part === 0) break;
			done += part;
			if (fault === "core-stops-after-one-call") break;
		}
		syncGather(this.#edit, gather);
		return done;
	}

	#lookup(iova: number): void {
		this.#begin("iommu_iova_to_phys", {
			iova: hexOf(iova * PAGE),
			len: hexOf(PAGE),
		});
		const pa = lookup(this.#edit, iova);
		this.#end({ pa: hexOf(Math.max(0, pa) * PAGE) });
	}

	#sweep({ iova, size }: Extract<TableCall, { do: "sweep" }>): void {
		this.#begin("iommu_read_and_clear_dirty", {
			iova: hexOf(iova * PAGE),
			len: hexOf(size * PAGE),
		});
		this.#edit.config.driver.sweep(
			this.#edit,
			iova,
			size,
			false,
			(at, n) =>
				void this.#add(
					fact("dirty.read", DOM, {
						dom: DOM,
						iova: at * PAGE,
						len: n * PAGE,
						cleared: true,
						bits: n,
					}),
				),
		);
		this.#flushes.range({ start: iova, last: iova + size - 1 }, true);
		this.#end(undefined);
		this.#add(fact("dirty.reported", DOM, { dom: DOM }), 0);
	}

	#step(step: Step): void {
		const { fault } = this.#run;
		const { codec } = this.#edit.config;
		const common = { dom: DOM, table: step.table };
		switch (step.type) {
			case "table.allocated":
				this.#add(
					fact("table.allocated", DOM, {
						...common,
						level: step.level,
						slots: 2 ** step.bits,
					}),
				);
				return;
			case "table.linked":
				if (fault !== "unlogged-link")
					this.#add(
						fact("slot.written", DOM, {
							dom: DOM,
							table: step.parent,
							slot: step.slot,
							word: u64(codec.raw(step.word)),
							n: 1,
							cas: true,
						}),
					);
				this.#add(
					fact("table.linked", DOM, {
						...common,
						parent: step.parent,
						slot: step.slot,
					}),
				);
				return;
			case "slot.written":
				this.#written(step);
				return;
			case "slot.cleared": {
				const n = fault === "unmap-leaves-last" ? step.count - 1 : step.count;
				if (n > 0)
					this.#add(
						fact("slot.cleared", DOM, { ...common, slot: step.slot, n }),
					);
				return;
			}
			case "table.rooted":
				if (step.table !== 0)
					this.#add(
						fact("table.rooted", DOM, { ...common, levels: step.mode }),
					);
				return;
			default:
				if (fault !== "table-forgotten")
					this.#add(fact(step.type, DOM, common));
		}
	}

	#written(step: Extract<Step, { type: "slot.written" }>): void {
		const { fault } = this.#run;
		const { codec } = this.#edit.config;
		if (fault === "unlogged-sweep" && this.#inSweep()) return;
		const page = this.#edit.page(step.table);
		const isRoot = step.table === this.#edit.nextTable - 1 && step.slot === 0;
		if (fault === "growth-without-link" && isRoot && page.level > 2) return;
		let first = codec.raw(step.word);
		if (fault === "misaligned-superpage" && page.level > 1)
			first += BigInt(PAGE);
		if (fault === "stray-bits") first += 1n << 56n;
		if (fault === "sweep-takes-rights" && this.#inSweep()) first -= 2n;
		const stride =
			step.stride === 0
				? 0n
				: codec.raw(step.word + step.stride) - codec.raw(step.word);
		const n =
			fault === "torn-series" && step.count > 1 ? step.count - 1 : step.count;
		// A device's write sets a bit: hardware did it.
		const actor = this.#op === 0 ? UNIT : DOM;
		this.#add(
			fact("slot.written", actor, {
				dom: DOM,
				table: step.table,
				slot: step.slot,
				word: u64(first),
				n,
				stride: u64(stride),
			}),
		);
	}

	#inSweep(): boolean {
		const begin = this.#records[this.#op - 1];
		return (
			begin?.type === "op.begin" &&
			begin.data.op === "iommu_read_and_clear_dirty"
		);
	}
}
