/**
 * A seeded generator of large logs for tests and the benchmark: groups with devices, hwpts on IOASes, and a long run of map,
 * unmap and replace operations with the records of iommufd-semantics §2.17. Text is built directly, so that a million records take
 * a second or two.
 */

/** What to generate. */
export interface GenerateOptions {
	readonly records: number;
	readonly seed?: number;
	readonly groups?: number;
	readonly devicesPerGroup?: number;
	/** Text put into device names, for hostile logs. */
	readonly nameSuffix?: string;
}

/** A small generator of numbers (mulberry32): the same seed gives the same numbers. */
export function randomOf(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return (below) => {
		state = (state + 0x6d2b79f5) >>> 0;
		let z = Math.imul(state ^ (state >>> 15), state | 1);
		z = (z + Math.imul(z ^ (z >>> 7), z | 61)) ^ z;
		return ((z ^ (z >>> 14)) >>> 0) % below;
	};
}

/** Yields the log in pieces of some hundred kilobytes. */
export function* generateLog(options: GenerateOptions): Generator<string> {
	const writer = new Writer(options);
	yield `${JSON.stringify(writer.header())}\n`;
	for (let group = 1; group <= writer.groups; group++) {
		writer.setUpGroup(group);
		if (writer.text.length > PIECE_LENGTH) yield writer.take();
	}
	while (writer.seq < options.records) {
		writer.operation();
		if (writer.text.length > PIECE_LENGTH) yield writer.take();
	}
	yield writer.take();
}

/** The whole log as text. */
export const generatedLog = (options: GenerateOptions): string =>
	[...generateLog(options)].join("");

const PIECE_LENGTH = 1 << 18;
const PAGE = 4096;
const NS_PER_RECORD = 400;
const MAPPED_KEPT_MAX = 4000;
/** Records of the longest operation, without those for each device of a group. */
const LONGEST = 10;

interface Mapped {
	readonly group: number;
	readonly iova: number;
	readonly bytes: number;
	readonly pages: number;
}

class Writer {
	seq = 0;
	text = "";
	readonly groups: number;
	readonly #devices: number;
	readonly #suffix: string;
	readonly #seed: number;
	readonly #random: (below: number) => number;
	readonly #mapped: Mapped[] = [];
	readonly #onSecond: boolean[] = [];
	readonly #users = new Map<string, number>();
	readonly #freed = new Map<string, number[]>();
	#t = 1_000_000;
	#op = 0;
	#pages = 0;
	#nextIova: number[] = [];
	readonly #limit: number;

	constructor(options: GenerateOptions) {
		this.groups = options.groups ?? 4;
		this.#devices = options.devicesPerGroup ?? 3;
		this.#suffix = options.nameSuffix ?? "";
		this.#seed = options.seed ?? 1;
		this.#random = randomOf(this.#seed);
		this.#limit = options.records;
	}

	take(): string {
		const text = this.text;
		this.text = "";
		return text;
	}

	header(): object {
		const groups = [];
		for (let group = 1; group <= this.groups; group++)
			groups.push({
				driver: "vtd",
				group: `group:${group}`,
				members: this.#members(group).map((dev) => ({ dev, resv: [] })),
			});
		return {
			format: "iommu-ledger",
			version: 1,
			model: "0.1.0",
			origin: "run",
			fidelity: "L2",
			clock: "run",
			seed: this.#seed,
			kernel: "model",
			iommu: { strict: true, cachingMode: false, scalable: false },
			topology: { groups, known: "complete" },
			switches: {},
		};
	}

	#members(group: number): string[] {
		return Array.from(
			{ length: this.#devices },
			(_, i) =>
				`device:0000:${group.toString(16).padStart(2, "0")}:00.${i}${this.#suffix}`,
		);
	}

	#put(type: string, actor: string, data: object): void {
		if (this.seq >= this.#limit) return;
		this.seq++;
		this.#t += 1 + this.#random(NS_PER_RECORD);
		this.text += `{"seq":${this.seq},"t":${this.#t},"type":"${type}","actor":${JSON.stringify(actor)},"op":${this.#op},"data":${JSON.stringify(data)}}\n`;
	}

	#run(op: string, actor: string, args: object, steps: () => void): void {
		if (this.seq >= this.#limit) return;
		this.#op = this.seq + 1;
		this.#put("op.begin", actor, { op, args });
		steps();
		this.#put("op.commit", actor, {});
		this.#op = 0;
	}

	setUpGroup(group: number): void {
		const name = `group:${group}`;
		const ioas = this.#ioas(group, 0);
		this.#nextIova[group] = 0x10000;
		this.#run("ioas_alloc", "ctx:1", {}, () =>
			this.#put("ioas.created", ioas, { ioas }),
		);
		this.#bind(group);
		for (const half of [0, 1]) {
			const hwpt = this.#hwpt(group, half);
			const dom = this.#domain(group, half);
			this.#run("hwpt_alloc", "ctx:1", { pt: ioas }, () => {
				this.#put("hwpt.reserved", hwpt, { hwpt });
				this.#count(ioas, "hwpt");
				this.#put("dom.created", dom, {
					dom,
					kind: "unmanaged",
					driver: "vtd",
					pgsizes: "0x40201000",
					apertureStart: "0x0",
					apertureLast: "0x7fffffffff",
				});
				this.#put("iopt.dom.added", ioas, { ioas, dom });
				this.#put("hwpt.live", hwpt, {
					hwpt,
					kind: "PAGING",
					dom,
					ioas,
					auto: false,
				});
			});
		}
		for (const [i, dev] of this.#members(group).entries())
			this.#run("attach", dev, { pt: this.#hwpt(group, 0) }, () => {
				const dom = this.#domain(group, 0);
				if (i === 0) {
					for (const member of this.#members(group))
						this.#put("hw.attach", name, { dev: member, dom });
					this.#put("grp.domain.set", name, { group: name, dom });
					this.#put("ig.hwpt.set", name, {
						ctx: "ctx:1",
						group: name,
						hwpt: this.#hwpt(group, 0),
					});
				}
				this.#count(this.#hwpt(group, 0), "attach");
				this.#put("ig.list.add", name, {
					ctx: "ctx:1",
					group: name,
					dev,
					hwpt: this.#hwpt(group, 0),
				});
				this.#count(this.#idev(group, i), "attach", 1, 2);
				this.#put("dev.attached", dev, {
					dev,
					hwpt: this.#hwpt(group, 0),
					first: i === 0,
				});
			});
	}

	/** More or fewer users of an object; it had its first ones (the id table; a bound device has two) from the beginning. */
	#count(obj: string, why: string, delta = 1, first = 1): void {
		const u = (this.#users.get(obj) ?? first) + delta;
		this.#users.set(obj, u);
		this.#put("obj.ref", obj, { obj, delta, u, why });
	}

	#bind(group: number): void {
		const name = `group:${group}`;
		for (const [i, dev] of this.#members(group).entries())
			this.#run("bind", "ctx:1", { dev }, () => {
				const ctx = "ctx:1";
				if (i === 0) this.#put("ig.created", name, { ctx, group: name });
				else this.#put("ig.ref", name, { ctx, group: name, ref: i + 1 });
				this.#put("grp.owner.claimed", name, {
					group: name,
					owner: ctx,
					ocnt: i + 1,
				});
				const idev = this.#idev(group, i);
				this.#put("dev.bound", dev, { dev, ctx, idev, cc: true });
			});
	}

	operation(): void {
		// The log ends between two operations: no longer one fits any more.
		const left = this.#limit - this.seq;
		if (left < LONGEST + this.#devices) return this.#fill(left);
		const group = 1 + this.#random(this.groups);
		const dice = this.#random(100);
		if (dice < 2) this.#replace(group);
		else if (dice < 50 && this.#mapped.length > 0) this.#unmap();
		else if (this.#mapped.length < MAPPED_KEPT_MAX) this.#map(group);
		else this.#unmap();
	}

	/** Calls that change nothing, and a flush, up to the last record. */
	#fill(left: number): void {
		const dom = this.#domain(1, 0);
		if (left % 2 === 0) this.#run("ioas_iova_ranges", "ctx:1", {}, () => {});
		else this.#put("iotlb.synced", dom, { dom, iova: "0x0", last: "0xfff" });
	}

	/** Freed ranges of the same size are used again, as an allocator does. */
	#takeIova(group: number, bytes: number): number {
		const freed = this.#freed.get(`${group} ${bytes}`)?.pop();
		if (freed !== undefined) return freed;
		const start = this.#nextIova[group] as number;
		const iova = Math.ceil(start / bytes) * bytes;
		this.#nextIova[group] = iova + bytes;
		return iova;
	}

	#map(group: number): void {
		const bytes = PAGE << this.#random(10);
		const iova = this.#takeIova(group, bytes);
		const pages = ++this.#pages;
		const ioas = this.#ioas(group, 0);
		const hex = `0x${iova.toString(16)}`;
		const name = `ctx:1/pages:${pages}`;
		this.#run(
			"map",
			"ctx:1",
			{ ioas, iova: hex, len: `0x${bytes.toString(16)}` },
			() => {
				this.#put("area.claimed", ioas, {
					ioas,
					iova: hex,
					last: `0x${(iova + bytes - 1).toString(16)}`,
					prot: 3,
					pages: name,
				});
				this.#put("pages.pinned", name, {
					pages: name,
					first: 0,
					n: bytes / PAGE,
				});
				for (const half of [0, 1])
					this.#put("dom.map", this.#domain(group, half), {
						dom: this.#domain(group, half),
						iova: hex,
						pa: `0x${(0x100000000 + iova).toString(16)}`,
						len: `0x${bytes.toString(16)}`,
						prot: 3,
					});
				this.#put("area.live", ioas, {
					ioas,
					iova: hex,
					sdom: this.#domain(group, 0),
				});
			},
		);
		this.#mapped.push({ group, iova, bytes, pages });
	}

	#unmap(): void {
		const at = this.#random(this.#mapped.length);
		const area = this.#mapped[at] as Mapped;
		this.#mapped[at] = this.#mapped.at(-1) as typeof area;
		this.#mapped.pop();
		const { group, iova, bytes, pages } = area;
		const key = `${group} ${bytes}`;
		this.#freed.set(key, [...(this.#freed.get(key) ?? []), iova]);
		const ioas = this.#ioas(group, 0);
		const hex = `0x${iova.toString(16)}`;
		const len = `0x${bytes.toString(16)}`;
		const name = `ctx:1/pages:${pages}`;
		this.#run("unmap", "ctx:1", { ioas, iova: hex, len }, () => {
			this.#put("area.draining", ioas, { ioas, iova: hex });
			for (const half of [0, 1]) {
				const dom = this.#domain(group, half);
				this.#put("dom.unmap", dom, { dom, iova: hex, len, unmapped: len });
				this.#put("iotlb.synced", dom, {
					dom,
					iova: hex,
					last: `0x${(iova + bytes - 1).toString(16)}`,
				});
			}
			this.#put("pages.unpinned", name, {
				pages: name,
				first: 0,
				n: bytes / PAGE,
			});
			this.#put("pages.freed", name, { pages: name });
			this.#put("area.gone", ioas, { ioas, iova: hex });
		});
	}

	#replace(group: number): void {
		const second = !this.#onSecond[group];
		this.#onSecond[group] = second;
		const name = `group:${group}`;
		const from = this.#hwpt(group, second ? 0 : 1);
		const hwpt = this.#hwpt(group, second ? 1 : 0);
		const dom = this.#domain(group, second ? 1 : 0);
		const dev = this.#members(group)[0] as string;
		this.#run("replace", dev, { pt: hwpt }, () => {
			for (const member of this.#members(group))
				this.#put("hw.attach", name, { dev: member, dom });
			this.#put("grp.domain.set", name, { group: name, dom });
			this.#put("ig.hwpt.set", name, { ctx: "ctx:1", group: name, hwpt, from });
			this.#count(hwpt, "replace", this.#devices);
			this.#count(from, "replace", -this.#devices);
			this.#put("dev.replaced", dev, { dev, from, hwpt });
		});
	}

	#ioas(group: number, half: number): string {
		return `ctx:1/ioas:${group * 10 + half}@1`;
	}
	#hwpt(group: number, half: number): string {
		return `ctx:1/hwpt:${group * 10 + 5 + half}@1`;
	}
	#idev(group: number, i: number): string {
		return `ctx:1/idev:${1000 + group * this.#devices + i}@1`;
	}
	#domain(group: number, half: number): string {
		return `domain:${group * 2 + half}`;
	}
}
