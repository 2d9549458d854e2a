/**
 * Page-table memory and the life of its pages: linking, unlinking, freeing (facts pagetable-semantics.md §4), with the
 * violations that these acts themselves can be. Reading a freed page gives garbage, as in the explorer of facts §6.
 */
import { type Caches } from "./caches.ts";
import {
	EMPTY,
	GARBAGE,
	LEAF,
	type Model,
	STATUS,
	TABLE,
	type Table,
	isLeaf,
	isTable,
	valueText,
} from "./model.ts";

/** Takes a violation. Message and witness are asked for only when the id is new: a red system raises the same thing very often. */
export type Raise = (
	id: string,
	message: () => string,
	witness?: () => number,
) => void;

/**
 * What software does with page-table memory; for logs. `value`: of a store, what was freed, or (`stray`: it used something else as
 * a table) what it took for a pointer.
 */
export interface Act {
	readonly act: "load" | "store" | "free" | "stray";
	readonly table: number;
	readonly index: number;
	readonly value: number;
}

export interface Memory {
	/** Takes every act, while a log is written. */
	watch: ((act: Act) => void) | undefined;
	/** What a CPU reads from a slot. */
	load(s: Uint8Array, table: number, index: number, reader: string): number;
	/** Writes a slot; links and unlinks tables as that does. */
	store(s: Uint8Array, table: number, index: number, value: number): void;
	/** Thread number `by` gives the page behind a value back. */
	free(s: Uint8Array, value: number, by: number): void;
	/** A freed page is handed out again as data. */
	recycle(s: Uint8Array, value: number, by: number): void;
	/** The slot that links a table: [table, index], or undefined. */
	parentOf(s: Uint8Array, table: number): readonly [number, number] | undefined;
	/** Readers inside a section now, as a mask by thread. */
	openReaders(s: Uint8Array): number;
}

export function buildMemory(
	model: Model,
	caches: Caches,
	raise: Raise,
): Memory {
	const { tables, threads } = model;
	const name = (table: number): string => tables[table]?.name ?? "?";

	function openReaders(s: Uint8Array): number {
		let mask = 0;
		threads.forEach((thread, i) => {
			if (s[thread.reader] !== 0) mask |= 1 << i;
		});
		return mask;
	}

	function parentOf(
		s: Uint8Array,
		table: number,
	): readonly [number, number] | undefined {
		for (let t = 0; t < tables.length; t++) {
			const parent = tables[t];
			if (parent === undefined || s[parent.status] !== STATUS.linked) continue;
			for (let i = 0; i < parent.size; i++)
				if (s[parent.slots + i] === TABLE + table) return [t, i];
		}
		return undefined;
	}

	function setLinked(s: Uint8Array, table: number): void {
		const t = tables[table];
		if (t === undefined) return;
		s[t.status] = STATUS.linked;
		for (let i = 0; i < t.size; i++) {
			const value = s[t.slots + i] as number;
			if (isTable(value)) setLinked(s, value - TABLE);
		}
	}

	function setUnlinked(s: Uint8Array, table: number): void {
		const t = tables[table];
		if (t === undefined || s[t.status] !== STATUS.linked) return;
		s[t.status] = STATUS.unlinked;
		s[t.readers] = openReaders(s);
		s[t.missed] = 0;
		for (let i = 0; i < t.size; i++) {
			const value = s[t.slots + i] as number;
			if (isTable(value)) setUnlinked(s, value - TABLE);
		}
	}

	function link(
		s: Uint8Array,
		table: number,
		parent: Table,
		index: number,
	): void {
		const t = tables[table];
		if (t === undefined) return;
		const into = `${parent.name}[${index}]`;
		if (t.level !== parent.level - 1)
			raise(
				"PT-2",
				() =>
					`${into}, an entry of level ${parent.level}, points to ${t.name}, whose entries are of level ${t.level}`,
			);
		const status = s[t.status] as number;
		if (status === STATUS.linked)
			raise("PT-1", () => `${t.name} is linked a second time, by ${into}`);
		if (status >= STATUS.freed) {
			raise("PT-2", () => `${into} points to ${t.name}, which is freed`);
			raise("PT-26", () => `hardware may walk ${t.name}, which is freed`);
		} else setLinked(s, table);
	}

	function store(
		s: Uint8Array,
		table: number,
		index: number,
		value: number,
	): void {
		const t = tables[table];
		if (t === undefined) return;
		memory.watch?.({ act: "store", table, index, value });
		const status = s[t.status] as number;
		if (status >= STATUS.freed) {
			raise(
				"PT-28",
				() => `a write to ${t.name}[${index}] after ${t.name} was freed`,
			);
			return;
		}
		if (status >= STATUS.unlinked)
			raise(
				"PT-28",
				() =>
					`${valueText(model, value)} was written to ${t.name}[${index}], but ${t.name} is unlinked: the write is lost`,
			);
		const old = s[t.slots + index] as number;
		s[t.slots + index] = value;
		if (old === value || status !== STATUS.linked) return;
		if (isTable(old) && parentOf(s, old - TABLE) === undefined)
			setUnlinked(s, old - TABLE);
		if (isTable(value)) link(s, value - TABLE, t, index);
	}

	function free(s: Uint8Array, value: number, by: number): void {
		if (value === EMPTY) return;
		memory.watch?.({ act: "free", table: -1, index: -1, value });
		if (isLeaf(value) || value === GARBAGE) {
			raise(
				"PT-4",
				() =>
					`freed as a table: ${value === GARBAGE ? "an address read from a freed page" : `the memory that leaf ${model.targets[(value - LEAF) >> 1]} points to`}`,
			);
			return;
		}
		const table = value - TABLE;
		const t = tables[table];
		if (t === undefined) return;
		const status = s[t.status] as number;
		if (status >= STATUS.freed)
			raise("PT-53", () => `${t.name} is freed twice`);
		if (status === STATUS.linked)
			raise("PT-24", () => `${t.name} is freed while it is linked`);
		if (s[t.readers] !== 0)
			raise(
				"PT-27",
				() =>
					`${t.name} is freed while ${readerNames(s[t.readers] as number)}, inside since before the unlink, may still read it`,
			);
		if (status === STATUS.unlinked && (s[t.missed] as number) & (1 << by))
			raise(
				"PT-30",
				() =>
					`${t.name} leaves the freelist in a sync whose flushed range does not cover it`,
			);
		s[t.status] = STATUS.freed;
		const bit = caches.holder(s, table);
		if (bit < 0) return;
		const how = caches.directory ? "cached" : "in the middle of a walk";
		raise(
			"PT-25",
			() =>
				`${t.name} is freed before an invalidation that covers it has completed (pointer ${how})`,
			() => bit,
		);
		raise(
			"PT-26",
			() => `hardware may walk ${t.name}, which is freed`,
			() => bit,
		);
	}

	const readerNames = (mask: number): string =>
		threads
			.filter((_, i) => (mask & (1 << i)) !== 0)
			.map((t) => t.name)
			.join(", ");

	const memory: Memory = {
		watch: undefined,
		load(s, table, index, reader) {
			const t = tables[table];
			if (t === undefined) return GARBAGE;
			memory.watch?.({ act: "load", table, index, value: EMPTY });
			if ((s[t.status] as number) < STATUS.freed)
				return s[t.slots + index] as number;
			const inside = threads.some(
				(x) => x.name === reader && s[x.reader] !== 0,
			);
			raise(
				inside ? "PT-27" : "PT-28",
				() =>
					`${reader} reads ${name(table)}[${index}] after ${name(table)} was freed`,
			);
			return GARBAGE;
		},
		store,
		free,
		recycle(s, value, by) {
			if (!isTable(value)) return;
			const t = tables[value - TABLE];
			if (t === undefined) return;
			if ((s[t.status] as number) < STATUS.freed) free(s, value, by);
			s[t.status] = STATUS.recycled;
		},
		parentOf,
		openReaders,
	};
	return memory;
}
