/** Logs of a page table entry by entry, for tests of the exact projection: a VT-d table of 4 levels, of which tests use the first gigabyte. */
import { applyRecord } from "../../src/world/apply.ts";
import { createWorld } from "../../src/world/create.ts";
import type { World } from "../../src/world/types.ts";
import {
	fact,
	type LogRecord,
	type RecordData,
	type RecordType,
} from "../../src/vocabulary/records.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { DEV1, header, UNIT } from "../world/build.ts";

/** The domain and its id; tables 1, 2 lead to table 3, whose entries cover 2 MiB each. */
export const D = "domain:3" as const;
export const DID = 5;
/** An entry that points to a table, a page, a 2 MiB block; frames. */
export const pointer = (table: number): number => table * 4096 + 3;
export const page = (pa: number): number => pa * 4096 + 3;
export const block = (pa: number): number => pa * 4096 + 0x83;

/** A world that grows by records. */
export class Exact {
	readonly world: World;
	readonly records: LogRecord[] = [];
	#inv = 0;

	constructor(
		switches: Record<string, boolean | string | readonly string[]> = {},
		more: Partial<LogHeader> = {},
	) {
		this.world = createWorld(
			header({ origin: "run", fidelity: "L2", switches, ...more }),
		);
		this.add("dom.created", { dom: D, kind: "unmanaged" });
		this.add("did.assigned", { iommu: UNIT, did: DID, dom: D });
		this.add("ctx.entry.set", {
			iommu: UNIT,
			sid: 0x100,
			dom: D,
			did: DID,
			dev: DEV1,
		});
		this.add("ctx.entry.set", { iommu: UNIT, sid: 0x101, dom: D, did: DID });
		this.add("hw.attach", { dev: DEV1, dom: D });
		this.add("table.rooted", { dom: D, table: 1, levels: 4, format: "vtd" });
		for (const [table, level] of [
			[1, 4],
			[2, 3],
			[3, 2],
		] as const)
			this.table(table, level);
		this.write(1, 0, pointer(2));
		this.write(2, 0, pointer(3));
	}

	add<T extends RecordType>(type: T, data: RecordData<T>): number {
		const seq = this.records.length + 1;
		const record = {
			...fact(type, D, data),
			seq,
			t: seq,
			op: 0,
		} as unknown as unknown as LogRecord;
		this.records.push(record);
		applyRecord(this.world, record);
		return seq;
	}
	table(table: number, level: number): void {
		this.add("table.allocated", { dom: D, table, level });
	}
	write(table: number, slot: number, word: number): void {
		if (word === 0) this.add("slot.cleared", { dom: D, table, slot, n: 1 });
		else this.add("slot.written", { dom: D, table, slot, word, n: 1 });
	}
	issue(fields: Partial<RecordData<"inv.issued">>): number {
		this.#inv++;
		this.add("inv.issued", {
			iommu: UNIT,
			inv: this.#inv,
			kind: "iotlb",
			gran: "domain",
			did: DID,
			...fields,
		});
		return this.#inv;
	}
	complete(inv = this.#inv): void {
		this.add("inv.completed", { iommu: UNIT, inv });
	}
	flush(fields: Partial<RecordData<"inv.issued">>): void {
		this.complete(this.issue(fields));
	}
}
