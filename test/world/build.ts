/** Builds record sequences by hand, for unit tests of folding and judging. */
import type { LogHeader, Topology } from "../../src/vocabulary/header.ts";
import type { ActorId, ObjectId } from "../../src/vocabulary/ids.ts";
import type {
	LogRecord,
	RecordData,
	RecordType,
} from "../../src/vocabulary/records.ts";

/** Three devices with an MSI window in one group. */
export const TOPOLOGY: Topology = {
	known: "complete",
	groups: [
		{
			group: "group:7",
			driver: "vtd",
			members: (["01:00.0", "01:00.1", "01:00.2"] as const).map((name) => ({
				dev: `device:0000:${name}` as const,
				resv: [
					{ start: "0xfee00000", last: "0xfeefffff", kind: "msi" as const },
				],
			})),
		},
	],
};
export const [DEV1, DEV2, DEV3] = [
	"device:0000:01:00.0",
	"device:0000:01:00.1",
	"device:0000:01:00.2",
] as const;
export const GROUP = "group:7" as const;
export const CTX = "ctx:1" as const;
export const IOAS = "ctx:1/ioas:1@1" as const;
export const IOAS_B = "ctx:1/ioas:2@1" as const;
export const H1 = "ctx:1/hwpt:3@1" as const;
export const H2 = "ctx:1/hwpt:4@1" as const;
export const MSI = [0xfee00000, 0xfeefffff] as const;
export const UNIT = "iommu:dmar0" as const;

/** A header; origin run unless said. */
export const header = (more: Partial<LogHeader> = {}): LogHeader => ({
	format: "iommu-ledger",
	version: 1,
	model: "test",
	origin: "run",
	fidelity: "L2",
	clock: "run",
	seed: 0,
	kernel: "model",
	iommu: { strict: true, cachingMode: false, scalable: false },
	topology: TOPOLOGY,
	switches: {},
	...more,
});

/** Collects records. `op` opens an operation around what `body` adds. */
export class Builder {
	readonly records: LogRecord[] = [];
	#op = 0;
	#t = 0;

	/** Adds a record and returns its seq. */
	add<T extends RecordType>(
		type: T,
		data: RecordData<T>,
		actor: ActorId = "host",
		t = this.#t + 1000,
	): number {
		const seq = this.records.length + 1;
		this.#t = t;
		this.records.push({
			seq,
			t,
			type,
			actor,
			op: this.#op,
			data,
		} as unknown as LogRecord);
		return seq;
	}

	readonly #users = new Map<string, number>();
	/** A count that moves: starts where the kernel's starts. */
	ref(obj: ObjectId, delta: number, why?: string): void {
		const start = obj.includes("/idev:") ? 2 : 1;
		const u = (this.#users.get(obj) ?? start) + delta;
		this.#users.set(obj, u);
		this.add("obj.ref", { obj, delta, u, ...(why ? { why } : {}) });
	}

	/** An operation; `errno` makes it fail at `step`. */
	op(name: string, body: () => void, errno?: "ENOMEM" | "EFAULT", step = "x") {
		const outer = this.#op;
		this.#op = this.records.length + 1;
		const begin = this.add("op.begin", { op: name, args: {} });
		body();
		if (errno === undefined) this.add("op.commit", {});
		else this.add("op.fail", { errno, step });
		this.#op = outer;
		return begin;
	}

	/** Adds records to an operation that is open already (0: to none). */
	inside(op: number, body: () => void): void {
		const outer = this.#op;
		this.#op = op;
		body();
		this.#op = outer;
	}
}

/** The iommufd object of a bound device. */
export const idevOf = (dev: typeof DEV1 | typeof DEV2 | typeof DEV3) =>
	`ctx:1/idev:${10 + [DEV1, DEV2, DEV3].indexOf(dev as never)}@1` as const;

/** A context with three bound devices, two IOASes, two hwpts (domains 3 and 4), nothing attached. */
export function bound(b: Builder = new Builder()): Builder {
	b.op("boot", () => {
		b.add("dom.created", { dom: "domain:1", kind: "dma" });
		b.add("grp.default.set", { group: GROUP, dom: "domain:1" });
		move(b, "domain:1");
	});
	b.op("open", () => b.add("ctx.opened", { ctx: CTX }));
	for (const [i, dev] of [DEV1, DEV2, DEV3].entries())
		b.op("bind", () => {
			if (i === 0) {
				b.add("ig.created", { ctx: CTX, group: GROUP });
				b.add("dom.created", { dom: "domain:2", kind: "blocked" });
				b.add("grp.blocking.set", { group: GROUP, dom: "domain:2" });
				move(b, "domain:2");
			} else b.add("ig.ref", { ctx: CTX, group: GROUP, ref: i + 1 });
			b.add("grp.owner.claimed", { group: GROUP, owner: CTX, ocnt: i + 1 });
			b.add("dev.bound", {
				dev,
				ctx: CTX,
				idev: `ctx:1/idev:${10 + i}@1`,
				cc: true,
			});
		});
	for (const ioas of [IOAS, IOAS_B])
		b.op("ioasAlloc", () => b.add("ioas.created", { ioas }));
	for (const [hwpt, dom, ioas] of [
		[H1, "domain:3", IOAS],
		[H2, "domain:4", IOAS_B],
	] as const)
		b.op("hwptAlloc", () => {
			b.add("hwpt.reserved", { hwpt });
			b.ref(ioas, 1);
			b.add("dom.created", { dom, kind: "unmanaged" });
			b.add("iopt.dom.added", { ioas, dom, align: 4096 });
			b.add("hwpt.live", { hwpt, kind: "paging", dom, ioas, auto: false });
		});
	return b;
}

/** Moves all members and the group to a domain. */
export function move(b: Builder, dom: `domain:${number}`): void {
	for (const dev of [DEV1, DEV2, DEV3]) b.add("hw.attach", { dev, dom });
	b.add("grp.domain.set", { group: GROUP, dom });
}

/** Attaches a device to H1; the first one moves the group. */
export function attach(
	b: Builder,
	dev: typeof DEV1 | typeof DEV2 | typeof DEV3,
	first: boolean,
): void {
	b.op("attach", () => {
		b.add("resv.added", { ioas: IOAS, owner: dev, ranges: [MSI] });
		if (first) {
			move(b, "domain:3");
			b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
		}
		b.ref(H1, 1);
		b.add("ig.list.add", { ctx: CTX, group: GROUP, dev, hwpt: H1 });
		b.ref(idevOf(dev), 1);
		b.add("dev.attached", { dev, hwpt: H1, first });
	});
}

/** Replaces the group from H1 to H2. `listed` are the attached devices. */
export function replace(
	b: Builder,
	dev: typeof DEV1,
	listed: readonly (typeof DEV1 | typeof DEV2 | typeof DEV3)[],
): void {
	b.op("replace", () => {
		for (const owner of listed)
			b.add("resv.added", { ioas: IOAS_B, owner, ranges: [MSI] });
		move(b, "domain:4");
		for (const owner of listed) b.add("resv.dropped", { ioas: IOAS, owner });
		b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H2, from: H1 });
		b.ref(H2, listed.length);
		b.ref(H1, -listed.length);
		b.add("dev.replaced", { dev, from: H1, hwpt: H2 });
	});
}

/** Maps pages into domain 3 through its IOAS. */
export function map(b: Builder, iova: number, pa: number, len = 4096): void {
	b.op("map", () => {
		b.add("area.claimed", { ioas: IOAS, iova, last: iova + len - 1, prot: 3 });
		b.add("dom.map", { dom: "domain:3", iova, pa, len, prot: 3 });
		b.add("area.live", { ioas: IOAS, iova, sdom: "domain:3" });
	});
}
