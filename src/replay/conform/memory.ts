/**
 * User memory as a recording tells it: mmap, munmap, fork, exit (corpus page §3). Gives every page a page frame, so that what was pinned
 * can be told from what is mapped now. What a recording does not show (stack, program image, malloc) counts as readable and writable.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { PinAnswer } from "../../../machines/iopt-pages.ts";

const PAGE = 4096n;
/** Frames of a 2 MiB huge page. */
const HUGE_FRAMES = 512;
/** Highest user address + 1 on x86-64 with four levels (TASK_SIZE_MAX). */
const USER_END = 0x7fff_ffff_f000n;
/** Where a static program image and its heap lie. */
const IMAGE: readonly [bigint, bigint] = [0x40_0000n, 0x1000_0000n];
/** Where the stack and unrecorded anonymous memory lie (norandmaps). */
const TOP: readonly [bigint, bigint] = [0x7fff_0000_0000n, USER_END];

/** Everything user space could have mapped: for recordings that do not show mmap at all. */
export const ALL_USER: readonly [bigint, bigint] = [0x1_0000n, USER_END];
/** Frames of unrecorded pages start here, apart a process; recorded ones stay below. */
const OTHER_PFN = 2 ** 36;

interface Region {
	readonly start: bigint;
	readonly end: bigint;
	readonly writable: boolean;
	readonly readable: boolean;
	readonly hugetlb: boolean;
	readonly pfn: number;
}

/** A mapping call. `prot`: 1 read, 2 write. */
export interface Mapping {
	readonly addr: bigint;
	readonly length: bigint;
	readonly prot: number;
	readonly hugetlb: boolean;
}

/** The memory of all processes of a recording. */
export class UserMemory {
	#procs = new Map<number, readonly Region[]>([[0, []]]);
	#holes = new Map<number, readonly (readonly [bigint, bigint])[]>([[0, []]]);
	#nextPfn = HUGE_FRAMES;
	readonly #assumed: readonly (readonly [bigint, bigint])[];

	/** `assumed`: address ranges that count as mapped although no record says so. */
	constructor(assumed: readonly (readonly [bigint, bigint])[] = [IMAGE, TOP]) {
		this.#assumed = assumed;
	}

	/** Maps new pages, over whatever was there. */
	map(proc: number, m: Mapping): void {
		this.unmap(proc, m.addr, m.length);
		const frames = Number((m.length + PAGE - 1n) / PAGE);
		if (m.hugetlb)
			this.#nextPfn = Math.ceil(this.#nextPfn / HUGE_FRAMES) * HUGE_FRAMES;
		const region: Region = {
			start: m.addr,
			end: m.addr + BigInt(frames) * PAGE,
			readable: (m.prot & 3) !== 0,
			writable: (m.prot & 2) !== 0,
			hugetlb: m.hugetlb,
			pfn: this.#nextPfn,
		};
		this.#nextPfn += frames + 1;
		this.#procs.set(proc, [...this.#regions(proc), region]);
	}

	/** Takes pages away. */
	unmap(proc: number, addr: bigint, length: bigint): void {
		const end = addr + ((length + PAGE - 1n) / PAGE) * PAGE;
		const rest = this.#regions(proc).flatMap((r) => {
			if (r.end <= addr || r.start >= end) return [r];
			const parts: Region[] = [];
			if (r.start < addr) parts.push({ ...r, end: addr });
			if (r.end > end) {
				const skipped = Number((end - r.start) / PAGE);
				parts.push({ ...r, start: end, pfn: r.pfn + skipped });
			}
			return parts;
		});
		this.#procs.set(proc, rest);
		const holes = this.#holes.get(proc) ?? [];
		this.#holes.set(proc, [...holes, [addr, end]]);
	}

	/** Process `child` starts with the memory of `parent`. */
	fork(parent: number, child: number): void {
		this.#procs.set(child, this.#regions(parent));
		this.#holes.set(child, this.#holes.get(parent) ?? []);
	}
	/** A process is gone: its memory cannot be pinned any more. */
	exit(proc: number): void {
		this.#procs.delete(proc);
	}

	/** Whether a process still has its memory (mmget_not_zero). */
	alive(proc: number): boolean {
		return this.#procs.has(proc);
	}

	#regions(proc: number): readonly Region[] {
		return this.#procs.get(proc) ?? [];
	}

	/** The region or the unrecorded page that holds `va`. */
	#find(
		proc: number,
		va: bigint,
	): { pfn: number; n: number; writable: boolean } | undefined {
		const regions = this.#procs.get(proc);
		if (regions === undefined || va >= USER_END) return undefined;
		for (const r of regions)
			if (va >= r.start && va < r.end) {
				if (!r.readable) return undefined;
				const skip = Number((va - r.start) / PAGE);
				const n = Number((r.end - r.start) / PAGE) - skip;
				return { pfn: r.pfn + skip, n, writable: r.writable };
			}
		const around = this.#assumed.find(([a, b]) => va >= a && va < b);
		const holes = this.#holes.get(proc) ?? [];
		if (around === undefined || holes.some(([a, b]) => va >= a && va < b))
			return undefined;
		const ends = [...regions.map((r) => r.start), ...holes.map(([a]) => a)];
		const end = ends.reduce((e, a) => (a > va && a < e ? a : e), around[1]);
		return {
			pfn: OTHER_PFN * (proc + 1) + Number(va / PAGE),
			n: Number((end - va + PAGE - 1n) / PAGE),
			writable: true,
		};
	}

	/** Pins pages: consecutive frames from `va`, or EFAULT. */
	pin(proc: number, va: bigint, n: number, write: boolean): PinAnswer {
		const found = this.#find(proc, va);
		if (found === undefined || (write && !found.writable))
			return { errno: "EFAULT" };
		return { pfn: found.pfn, n: Math.min(n, found.n) };
	}

	/** Reads or writes without pinning: EFAULT when a page is out of reach. */
	touch(
		proc: number,
		va: bigint,
		length: bigint,
		write: boolean,
	): ErrnoName | undefined {
		let at = va;
		const end = va + length;
		while (at < end) {
			const found = this.#find(proc, at);
			if (found === undefined || (write && !found.writable)) return "EFAULT";
			at = (at / PAGE + BigInt(found.n)) * PAGE;
		}
		return undefined;
	}

	/** Whether the page at `va` is part of a huge one. */
	isHuge(proc: number, va: bigint): boolean {
		return this.#regions(proc).some(
			(r) => r.hugetlb && va >= r.start && va < r.end,
		);
	}
	/** The page frame under an address, or EFAULT. */
	frameAt(proc: number, va: bigint): number | { readonly errno: ErrnoName } {
		return this.#find(proc, va)?.pfn ?? { errno: "EFAULT" };
	}
}
