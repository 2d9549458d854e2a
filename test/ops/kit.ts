/** A machine for tests of operations: contexts, mock devices, real groups, and the records of the last operation. */
import { hostOf } from "../../src/drivers/host.ts";
import { Session } from "../../src/replay/conform/session.ts";
import type { Topology } from "../../src/vocabulary/header.ts";
import type { CtxId, DeviceId, GroupId } from "../../src/vocabulary/ids.ts";
import type { Fact, RecordType } from "../../src/vocabulary/records.ts";
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { destroyObject } from "../../machines/ops/destroy.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import { hwptAlloc } from "../../machines/ops/hwpt.ts";
import { option, respondAlways } from "../../machines/ops/ioas.ts";
import { ioasMap, ioasUnmap } from "../../machines/ops/map.ts";
import { mockDomain, mockReplace } from "../../machines/ops/selftest.ts";
import { allocIoas } from "../../machines/ops/transact.ts";
import type {
	Answer,
	Hwpt,
	Idev,
	Ioas,
	Obj,
} from "../../machines/ops/types.ts";
import {
	attachCdev,
	bindCdev,
	detachCdev,
} from "../../machines/ops/vfio-cdev.ts";

/** Memory that tests map: 64 MiB from here, all readable and writable. */
export const VA = 0x1_0000_0000n;
export const APERTURE = 0x100_0000n;
export const K4 = 0x1000n;
const NO_DATA = { type: 0, length: 0 };

/** "ok" or the errno; tests read better with words. */
export const said = (a: Answer): string => a.errno ?? "ok";

export class Kit {
	readonly s: Session;
	readonly ctx: CtxId;
	/** Records of the last operation. */
	facts: readonly Fact[] = [];
	refuse: ((dev: DeviceId, dom: string) => ErrnoName | undefined) | undefined;
	respond: () => ErrnoName | undefined = respondAlways;

	constructor(
		topology: Topology = { groups: [], known: "complete" },
		sink: (facts: readonly Fact[]) => void = () => undefined,
	) {
		this.s = new Session(hostOf(topology), (facts) => {
			this.facts = facts;
			sink(facts);
		});
		const env = this.s.env.bind(this.s);
		this.s.env = (proc) => ({
			...env(proc),
			...(this.refuse === undefined ? {} : { refuse: this.refuse }),
		});
		this.s.memory.map(0, {
			addr: VA,
			length: 1n << 26n,
			prot: 3,
			hugetlb: false,
		});
		this.ctx = this.open();
	}
	/** Opens one more context. */
	open(): CtxId {
		this.s.openIommufd();
		return `ctx:${this.s.host.ctxs.size}` as CtxId;
	}
	run<A extends Answer>(body: (x: Exec) => A, ctx = this.ctx): A {
		return this.s.run(ctx, 0, body);
	}
	obj(id: number, ctx = this.ctx): Obj | undefined {
		return this.s.host.ctxs.get(ctx)?.objs.get(id);
	}
	ioasOf(id: number): Ioas {
		return this.obj(id) as Ioas;
	}
	hwptOf(id: number): Hwpt {
		return this.obj(id) as Hwpt;
	}
	idevOf(id: number): Idev {
		return this.obj(id) as Idev;
	}
	/** Types of the last operation's records, the op.* ones left out. */
	types(...only: RecordType[]): string[] {
		const all = this.facts
			.map((f) => f.type)
			.filter((t) => !t.startsWith("op."));
		return only.length === 0 ? all : all.filter((t) => only.includes(t));
	}
	/** hw.attach records as "device domain". */
	attaches(): string[] {
		return this.facts.flatMap((f) =>
			f.type === "hw.attach" ? [`${f.data.dev.slice(7)} ${f.data.dom}`] : [],
		);
	}

	ioas(ctx = this.ctx): number {
		return this.run((x) => allocIoas(x, 0, respondAlways), ctx).out?.[
			"out_ioas_id"
		] as number;
	}
	map(ioas: number, iova: bigint, length: bigint, uva = VA, flags = 7): string {
		const args = {
			flags,
			ioasId: ioas,
			reserved: 0,
			userVa: uva,
			length,
			iova,
		};
		return said(
			this.run((x) => ioasMap(x, { ...args, respond: this.respond })),
		);
	}
	unmap(ioas: number, iova: bigint, length: bigint): string {
		const done = this.run((x) =>
			ioasUnmap(x, { ioasId: ioas, iova, length, respond: respondAlways }),
		);
		return done.errno ?? `ok ${done.out?.["length"]}`;
	}
	/** A mock device on `pt`: ids of stdev, idev and hwpt. */
	mock(
		pt: number,
		flags = 0,
	): { stdev: number; idev: number; hwpt: number } | string {
		const { errno, out } = this.run((x) =>
			mockDomain(x, pt, flags, respondAlways),
		);
		if (errno !== undefined) return errno;
		return {
			stdev: out?.["out_stdev_id"] as number,
			idev: out?.["out_idev_id"] as number,
			hwpt: out?.["out_hwpt_id"] as number,
		};
	}
	replace(stdev: number, pt: number): string | number {
		const a = this.run((x) => mockReplace(x, stdev, pt, respondAlways));
		return a.errno ?? (a.out?.["pt_id"] as number);
	}
	hwpt(
		devId: number,
		ptId: number,
		flags = 0,
		data?: { type: number; bytes: Uint8Array },
		faultId = 0,
	): number | string {
		const user =
			data === undefined ? NO_DATA : { ...data, length: data.bytes.length };
		const a = this.run((x) =>
			hwptAlloc(x, {
				flags,
				devId,
				ptId,
				reserved: 0,
				data: user,
				faultId,
				respond: respondAlways,
			}),
		);
		return a.errno ?? (a.out?.["out_hwpt_id"] as number);
	}
	destroy(id: number): string {
		return said(this.run((x) => destroyObject(x, id)));
	}
	hugePages(ioas: number, on: 0 | 1): string {
		const args = {
			option: 1,
			op: 0,
			reserved: 0,
			objectId: ioas,
			val: BigInt(on),
		};
		return said(this.run((x) => option(x, args)));
	}
	bind(dev: DeviceId, ctx = this.ctx): number | string {
		const a = this.run((x) => bindCdev(x, dev, false, respondAlways), ctx);
		return a.errno ?? (a.out?.["dev_id"] as number);
	}
	attach(dev: DeviceId, pt: number): number | string {
		const a = this.run((x) => attachCdev(x, dev, pt, this.respond));
		return a.errno ?? (a.out?.["pt_id"] as number);
	}
	detach(dev: DeviceId): string {
		return said(this.run((x) => detachCdev(x, dev)));
	}
	/** Owners of reservations in an IOAS, without the domains'. */
	owners(ioas: number): string[] {
		return this.ioasOf(ioas)
			.iopt.resv.map((r) => r.owner)
			.filter((o) => !o.startsWith("domain:"));
	}
}

/** A group of devices `device:1`, `device:2`, … behind VT-d, each with the MSI window. */
export function groupOf(
	n: number,
	change: (i: number) => object = () => ({}),
	group: GroupId = "group:7",
): Topology {
	const msi = { start: "0xfee00000", last: "0xfeefffff", kind: "msi" } as const;
	const members = Array.from({ length: n }, (_, i) => ({
		dev: `device:${i + 1}` as DeviceId,
		resv: [msi],
		...change(i + 1),
	}));
	return { groups: [{ group, driver: "vtd", members }], known: "complete" };
}
