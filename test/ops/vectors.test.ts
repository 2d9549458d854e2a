/** The conformance vectors of facts/iommufd-semantics.md §11, row by row. */
import { describe, expect, test } from "vitest";
import {
	attachAccess,
	createAccess,
	pinPages,
	unpinItem,
} from "../../machines/ops/access.ts";
import { addReserved, mockCreateAccess } from "../../machines/ops/selftest.ts";
import {
	checkExtension,
	mapDma,
	setIommu,
	unmapDma,
} from "../../machines/ops/compat.ts";
import { hwptInvalidate } from "../../machines/ops/device-info.ts";
import {
	faultQueueAlloc,
	readFaults,
	reportFault,
	writeResponses,
	closeFaultFile,
} from "../../machines/ops/fault.ts";
import { lookUp } from "../../machines/ops/exec.ts";
import {
	allowIovas,
	iovaRanges,
	respondAlways,
	vfioIoas,
} from "../../machines/ops/ioas.ts";
import { ioasMap } from "../../machines/ops/map.ts";
import { unbindDevice } from "../../machines/ops/transact.ts";
import {
	openContainer,
	setContainer,
	setType,
} from "../../machines/ops/type1.ts";
import { type1Map, type1Unmap } from "../../machines/ops/type1-dma.ts";
import { unmapRange } from "../../machines/iopt-unmap.ts";
import { pinRange } from "../../machines/iopt-access.ts";
import type { Answer } from "../../machines/ops/types.ts";
import type { CtxId } from "../../src/vocabulary/ids.ts";
import { APERTURE, groupOf, K4, Kit, said, VA } from "./kit.ts";

const DIRTY = 2;
const NEST_PARENT = 1;
const FAULT = 4;
const NO_DIRTY = 1;
const ALL = 0xffff_ffff_ffff_ffffn;
const IOTLB = {
	type: 0xdead,
	bytes: Uint8Array.from([0xef, 0xbe, 0xad, 0x0b]),
};
const device = (a: ReturnType<Kit["mock"]>) => {
	if (typeof a === "string") throw new Error(a);
	return a;
};
const invalidate = (k: Kit, id: number, entries: readonly number[]) => {
	const bytes = new Uint8Array(Uint32Array.from(entries).buffer);
	const common = {
		reserved: 0,
		dataUptr: 1n,
		dataType: 0xdeadbeef,
		entryLen: 8,
		respond: respondAlways,
	};
	return k.run((x) =>
		hwptInvalidate(x, {
			...common,
			hwptId: id,
			entryNum: entries.length / 2,
			bytes,
		}),
	);
};

describe("IOAS and hwpt life", () => {
	test("1 IOAS with an attached device: DESTROY EBUSY", () => {
		const k = new Kit();
		const a = k.ioas();
		device(k.mock(a));
		expect(k.destroy(a)).toBe("EBUSY");
	});
	test("2 IOAS with maps only: DESTROY ok, maps gone, pins 0", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE, K4);
		expect(k.destroy(a)).toBe("ok");
		expect(k.s.host.mem.pages).toBeUndefined();
	});
	test("3 replace to another IOAS: new auto hwpt, the old id is gone", () => {
		const k = new Kit();
		const d = device(k.mock(k.ioas()));
		const fresh = k.replace(d.stdev, k.ioas());
		expect(fresh).not.toBe(d.hwpt);
		expect(k.destroy(d.hwpt)).toBe("ENOENT");
	});
	test("4 replace to the same IOAS twice: ok, id unchanged", () => {
		const k = new Kit();
		const a = k.ioas();
		const d = device(k.mock(a));
		expect([k.replace(d.stdev, a), k.replace(d.stdev, a)]).toEqual([
			d.hwpt,
			d.hwpt,
		]);
		expect(k.types("dev.replace.noop", "hw.attach")).toEqual([
			"dev.replace.noop",
		]);
	});
	test("5 manual hwpt with a device on it: EBUSY, after replace away ok", () => {
		const k = new Kit();
		const a = k.ioas();
		const d = device(k.mock(a));
		const h = k.hwpt(d.idev, a) as number;
		k.replace(d.stdev, h);
		expect(k.destroy(h)).toBe("EBUSY");
		k.replace(d.stdev, a);
		expect(k.destroy(h)).toBe("ok");
	});
	test("6 a device without dirty tracking on a dirty hwpt: EINVAL, hwpt untouched", () => {
		const k = new Kit();
		const a = k.ioas();
		const h = k.hwpt(device(k.mock(a)).idev, a, DIRTY) as number;
		const before = k.hwptOf(h);
		expect(k.mock(h, NO_DIRTY)).toBe("EINVAL");
		expect(k.hwptOf(h)).toEqual(before);
	});
	test("7 HWPT_ALLOC DIRTY for a device without: EOPNOTSUPP", () => {
		const k = new Kit();
		const a = k.ioas();
		expect(k.hwpt(device(k.mock(a, NO_DIRTY)).idev, a, DIRTY)).toBe(
			"EOPNOTSUPP",
		);
	});
	test("8, 9 HWPT_ALLOC with an IOAS as device ENOENT, with a device as pt EINVAL", () => {
		const k = new Kit();
		const a = k.ioas();
		const d = device(k.mock(a));
		expect(k.hwpt(a, a)).toBe("ENOENT");
		expect(k.hwpt(d.idev, d.idev)).toBe("EINVAL");
	});
	test("10 NEST_PARENT with a fault queue: EOPNOTSUPP", () => {
		const k = new Kit();
		const a = k.ioas();
		expect(k.hwpt(device(k.mock(a)).idev, a, NEST_PARENT | FAULT)).toBe(
			"EOPNOTSUPP",
		);
	});
});

/** A nest parent, and a child on it. */
function nested(k: Kit) {
	const a = k.ioas();
	const d = device(k.mock(a));
	const parent = k.hwpt(d.idev, a, NEST_PARENT) as number;
	const child = k.hwpt(d.idev, parent, 0, IOTLB) as number;
	return { a, d, parent, child };
}
describe("nested hwpts", () => {
	test("11 nested on a plain paging hwpt, and on a nested one: EINVAL", () => {
		const k = new Kit();
		const { a, d, child } = nested(k);
		const plain = k.hwpt(d.idev, a) as number;
		expect(k.hwpt(d.idev, plain, 0, IOTLB)).toBe("EINVAL");
		expect(k.hwpt(d.idev, child, 0, IOTLB)).toBe("EINVAL");
	});
	test("12 nested with NEST_PARENT: EOPNOTSUPP", () => {
		const k = new Kit();
		const { d, parent } = nested(k);
		expect(k.hwpt(d.idev, parent, NEST_PARENT, IOTLB)).toBe("EOPNOTSUPP");
	});
	test("13 a parent with children: DESTROY EBUSY", () => {
		const k = new Kit();
		const { parent, child } = nested(k);
		expect(k.destroy(parent)).toBe("EBUSY");
		expect([k.destroy(child), k.destroy(parent)]).toEqual(["ok", "ok"]);
	});
	test("14 INVALIDATE on a paging hwpt: ENOENT, done 0", () => {
		const k = new Kit();
		const { parent } = nested(k);
		expect(invalidate(k, parent, [0, 0])).toMatchObject({
			errno: "ENOENT",
			out: { entry_num: 0 },
		});
	});
	test("15 two entries, the second bad: its errno, done 1, the first effective", () => {
		const k = new Kit();
		const { child } = nested(k);
		expect(invalidate(k, child, [0, 2, 0, 9])).toMatchObject({
			errno: "EINVAL",
			out: { entry_num: 1 },
		});
		const dom = k.s.host.domains.get(k.hwptOf(child).dom);
		expect(dom?.iotlb.map((v) => v !== 0)).toEqual([true, true, false, true]);
	});
});

describe("unmap", () => {
	test("16 a two-page area, unmap of either page: ENOENT, area intact", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE, 2n * K4);
		expect([k.unmap(a, APERTURE, K4), k.unmap(a, APERTURE + K4, K4)]).toEqual([
			"ENOENT",
			"ENOENT",
		]);
		expect(k.unmap(a, APERTURE, 2n * K4)).toBe("ok 8192");
	});
	test("17 four 8-page areas spaced 16: a range over all of them sums up, one that cuts fails", () => {
		const k = new Kit();
		const a = k.ioas();
		for (let i = 0n; i < 4n; i++) k.map(a, APERTURE + i * 16n * K4, 8n * K4);
		expect(k.unmap(a, APERTURE + K4, 8n * K4)).toBe("ENOENT");
		expect(k.unmap(a, APERTURE, 56n * K4)).toBe(`ok ${32n * K4}`);
	});
	test("18 a range that covers the first area and cuts the second: ENOENT and the first is gone", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE, K4);
		k.map(a, APERTURE + 2n * K4, 2n * K4);
		expect(k.unmap(a, APERTURE, 3n * K4)).toBe("ENOENT");
		expect(k.map(a, APERTURE, K4)).toBe("ok");
		expect(k.map(a, APERTURE + 2n * K4, K4)).toBe("EEXIST");
	});
	test("19 empty IOAS: one page ENOENT, everything ok with 0", () => {
		const k = new Kit();
		const a = k.ioas();
		expect([k.unmap(a, APERTURE, K4), k.unmap(a, 0n, ALL)]).toEqual([
			"ENOENT",
			"ok 0",
		]);
	});
	test("20 pinned area, cooperative access: ok, the hook releases the pin", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE, K4);
		const acc = k.run((x) => mockCreateAccess(x, a, 1, respondAlways))
			.access as number;
		expect(k.run((x) => pinPages(x, acc, APERTURE, K4, true)).item).toBe(0);
		expect(k.unmap(a, APERTURE, K4)).toBe("ok 4096");
		expect(
			k.types(
				"access.notified",
				"access.unpinned",
				"pages.unpinned",
				"area.gone",
			),
		).toEqual([
			"access.notified",
			"access.unpinned",
			"pages.unpinned",
			"area.gone",
		]);
	});
	test("21 pinned area, deaf access: EDEADLOCK, later pins EINVAL", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE, K4);
		const acc = k.run((x) => mockCreateAccess(x, a, 1, respondAlways))
			.access as number;
		k.run((x) => pinPages(x, acc, APERTURE, K4, true));
		let asked = 0;
		const { iopt, name } = k.ioasOf(a);
		const deaf = (i: typeof iopt, mem: typeof k.s.host.mem) => {
			asked++;
			return { iopt: i, mem, facts: [] };
		};
		const done = unmapRange(
			iopt,
			name,
			k.s.host.mem,
			APERTURE,
			APERTURE + K4 - 1n,
			deaf,
		);
		expect(done).toMatchObject({ ok: false, errno: "EDEADLOCK" });
		expect(asked).toBe(101);
		const later = pinRange(
			done.iopt,
			done.mem,
			APERTURE,
			APERTURE + K4 - 1n,
			false,
			k.s.env(0),
		);
		expect(later).toMatchObject({ ok: false, errno: "EINVAL" });
	});
});

const allow = (k: Kit, a: number, start: bigint, last: bigint) =>
	said(
		k.run((x) =>
			allowIovas(x, { ioasId: a, reserved: 0, ranges: [{ start, last }] }),
		),
	);
const ranges = (k: Kit, a: number, num: number) =>
	k.run((x) =>
		iovaRanges(x, { ioasId: a, num, reserved: 0, write: () => undefined }),
	);
describe("ranges and options", () => {
	test("22 a reserved range inside the allow list: EADDRINUSE, the old list kept", () => {
		const k = new Kit();
		const a = k.ioas();
		expect(allow(k, a, 0x1000n, 0x1fffn)).toBe("ok");
		k.run((x) => addReserved(x, a, 0x8000n, K4));
		expect(allow(k, a, 0x4000n, 0xffffn)).toBe("EADDRINUSE");
		expect(k.ioasOf(a).iopt.allowed).toEqual([
			{ start: 0x1000n, last: 0x1fffn },
		]);
	});
	test("23 an allow list over the device's window: attach EADDRINUSE, no trace left", () => {
		const k = new Kit(groupOf(1));
		k.bind("device:1");
		const a = k.ioas();
		allow(k, a, 0xfee00000n, 0xfee00fffn);
		const before = k.s.host;
		expect(k.attach("device:1", a)).toBe("EADDRINUSE");
		expect(k.ioasOf(a)).toEqual(before.ctxs.get(k.ctx)?.objs.get(a));
		expect([...k.s.host.ctxs.get(k.ctx)!.objs.keys()]).toEqual([1, a]);
	});
	test("24 a buffer that is too small: EMSGSIZE, the count right, the prefix filled", () => {
		const k = new Kit();
		const a = k.ioas();
		k.run((x) => addReserved(x, a, 0x8000n, K4));
		const r = ranges(k, a, 1);
		expect(r).toMatchObject({ errno: "EMSGSIZE", out: { num_iovas: 2 } });
		expect(r.ranges).toEqual([{ start: 0n, last: 0x7fffn }]);
	});
	test("25 HUGE_PAGES off with domain and area EINVAL, without an area ok", () => {
		const k = new Kit();
		const a = k.ioas();
		device(k.mock(a));
		k.map(a, APERTURE, K4);
		expect(k.hugePages(a, 0)).toBe("EINVAL");
		k.unmap(a, APERTURE, K4);
		expect(k.hugePages(a, 0)).toBe("ok");
	});
	test("26 HUGE_PAGES off with a misaligned area: EADDRINUSE, still on", () => {
		const k = new Kit();
		const a = k.ioas();
		k.map(a, APERTURE + 0x800n, 0x800n);
		expect(k.hugePages(a, 0)).toBe("EADDRINUSE");
		expect(k.ioasOf(a).iopt.noLarge).toBe(false);
	});
});

describe("memory of another process", () => {
	test("27 lazily mapped by a process that is gone: attach EFAULT; attached first, then back; nothing left", () => {
		const k = new Kit();
		const a = k.ioas();
		k.s.memory.fork(0, 1);
		const { ioasMapAs } = helpers(k);
		expect(ioasMapAs(1, a)).toBe("ok");
		k.s.memory.exit(1);
		const objects = [...k.s.host.ctxs.get(k.ctx)!.objs.keys()];
		expect(k.mock(a)).toBe("EFAULT");
		expect([...k.s.host.ctxs.get(k.ctx)!.objs.keys()]).toEqual(objects);
		expect(k.ioasOf(a).u).toBe(1);
		expect(k.ioasOf(a).iopt.resv).toEqual([]);
		const hw = k.attaches();
		expect(hw.at(-1)).toBe("mock0 domain:1");
		expect(hw.length).toBeGreaterThanOrEqual(3);
	});
	test("28 with a domain before the process went: everything is pinned in time, a second device attaches", () => {
		const k = new Kit();
		const a = k.ioas();
		device(k.mock(a));
		k.s.memory.fork(0, 1);
		const { ioasMapAs } = helpers(k);
		expect(ioasMapAs(1, a)).toBe("ok");
		k.s.memory.exit(1);
		expect(typeof k.mock(a)).toBe("object");
	});
	test("29 access pin, then the last domain goes: pages stay pinned until the unpin", () => {
		const k = new Kit();
		const a = k.ioas();
		const d = device(k.mock(a));
		k.map(a, APERTURE, 2n * K4);
		const acc = k.run((x) => {
			const made = createAccess(x, true);
			if (made !== undefined) attachAccess(x, made, a);
			return { item: made?.id } as Answer & { item?: number };
		}).item as number;
		k.run((x) => pinPages(x, acc, APERTURE, K4, false));
		k.destroy(d.stdev);
		const npin = () => k.s.host.mem.pages?.value.npin;
		expect(npin()).toBe(1);
		k.run((x) => (unpinItem(x, acc, 0) ? {} : { errno: "ENOENT" as const }));
		expect(npin()).toBe(0);
	});
});
function helpers(k: Kit) {
	return {
		ioasMapAs: (proc: number, a: number): string => {
			const args = {
				flags: 7,
				ioasId: a,
				reserved: 0,
				userVa: VA,
				length: K4,
				iova: APERTURE,
			};
			return said(k.s.run(k.ctx, proc, (x) => mapCall(x, args)));
		},
	};
}
const mapCall = (
	x: Parameters<typeof ioasMap>[0],
	args: Omit<Parameters<typeof ioasMap>[1], "respond">,
) => ioasMap(x, { ...args, respond: respondAlways });

describe("VFIO compatibility", () => {
	test("30 without an IOAS in the slot: ENODEV", () => {
		const k = new Kit();
		const args = { argsz: 32, flags: 3, vaddr: VA, iova: 0n, size: K4 };
		expect(said(k.run((x) => mapDma(x, args)))).toBe("ENODEV");
		expect(
			said(
				k.run((x) =>
					unmapDma(x, { ...args, flags: 0, respond: respondAlways }),
				),
			),
		).toBe("ENODEV");
		expect(said(k.run((x) => setIommu(x, 1)))).toBe("ENODEV");
		expect(said(k.run((x) => checkExtension(x, 4)))).toBe("ENODEV");
	});
	test.each([
		[1, "ok"],
		[3, "ENOENT"],
	])(
		"31 type %i, a huge buffer, sixteenths unmapped in some order: %s",
		(type, outcome) => {
			const k = new Kit();
			const a = k.ioas();
			k.run((x) => vfioIoas(x, { op: 1, reserved: 0, ioasId: a }));
			device(k.mock(a));
			expect(said(k.run((x) => setIommu(x, type)))).toBe("ok");
			const size = 0x40_0000n;
			const all = { argsz: 32, flags: 3, vaddr: VA, iova: APERTURE, size };
			expect(said(k.run((x) => mapDma(x, all)))).toBe("ok");
			const part = size / 16n;
			for (let i = 0n; i < 16n; i++) {
				const iova = APERTURE + ((i * 7n) % 16n) * part;
				const args = {
					argsz: 24,
					flags: 0,
					iova,
					size: part,
					respond: respondAlways,
				};
				expect(said(k.run((x) => unmapDma(x, args)))).toBe(outcome);
			}
		},
	);
});

/** Three bound devices, two IOASes, a hwpt on each; with the counts of facts §3.5. */
function trio() {
	const k = new Kit(groupOf(3));
	const ids = [1, 2, 3].map(
		(i) => k.bind(`device:${i}` as `device:${string}`) as number,
	);
	const [a, b] = [k.ioas(), k.ioas()];
	const h1 = k.hwpt(ids[0] as number, a) as number;
	const h2 = k.hwpt(ids[0] as number, b) as number;
	const state = () => {
		const ig = k.s.host.ctxs.get(k.ctx)?.groups.get("group:7");
		return {
			hwpt: ig?.hwpt,
			list: ig?.list.map((d) => Number(d.slice(7))).join(""),
			u: `${k.hwptOf(h1).u}/${k.hwptOf(h2).u}`,
			rA: k
				.owners(a)
				.map((o) => o.slice(7))
				.join(""),
			rB: k
				.owners(b)
				.map((o) => o.slice(7))
				.join(""),
			switched: k.types("hw.attach").length > 0,
		};
	};
	const attachAll = (...devs: number[]) =>
		devs.forEach((i) => k.attach(`device:${i}`, h1));
	return { k, a, b, h1, h2, state, attachAll };
}
describe("32 a group of three, the mail's scenarios as 6.12 plays them", () => {
	test("scenario 1: replace 1, 2, 3", () => {
		const { k, h1, h2, state, attachAll } = trio();
		attachAll(1, 2, 3);
		expect(state()).toMatchObject({
			u: "4/1",
			rA: "123",
			rB: "",
			list: "123",
			switched: false,
		});
		k.attach("device:1", h2);
		expect(state()).toEqual({
			hwpt: h2,
			list: "123",
			u: "1/4",
			rA: "",
			rB: "123",
			switched: true,
		});
		expect(k.attaches()).toHaveLength(3);
		for (const i of [2, 3]) {
			k.attach(`device:${i}`, h2);
			expect(state()).toEqual({
				hwpt: h2,
				list: "123",
				u: "1/4",
				rA: "",
				rB: "123",
				switched: false,
			});
			expect(k.types()).toEqual(["dev.replace.noop"]);
		}
		expect(k.destroy(h1)).toBe("ok");
	});
	test("scenario 2: detach 3, replace 1, replace 2, attach 3", () => {
		const { k, h2, state, attachAll } = trio();
		attachAll(1, 2, 3);
		k.detach("device:3");
		expect(state()).toMatchObject({
			list: "12",
			u: "3/1",
			rA: "12",
			switched: false,
		});
		k.attach("device:1", h2);
		expect(state()).toMatchObject({
			hwpt: h2,
			list: "12",
			u: "1/3",
			rA: "",
			rB: "12",
			switched: true,
		});
		expect(k.attaches()).toHaveLength(3);
		k.attach("device:2", h2);
		expect(state()).toMatchObject({ u: "1/3", switched: false });
		k.attach("device:3", h2);
		expect(state()).toMatchObject({
			list: "123",
			u: "1/4",
			rB: "123",
			switched: false,
		});
	});
	test("scenario 3: detach 3, detach 2, replace 1, attach 2, attach 3", () => {
		const { k, h2, state, attachAll } = trio();
		attachAll(1, 2, 3);
		k.detach("device:3");
		k.detach("device:2");
		expect(state()).toMatchObject({
			list: "1",
			u: "2/1",
			rA: "1",
			switched: false,
		});
		k.attach("device:1", h2);
		expect(state()).toMatchObject({
			list: "1",
			u: "1/2",
			rA: "",
			rB: "1",
			switched: true,
		});
		k.attach("device:2", h2);
		expect(state()).toMatchObject({
			list: "12",
			u: "1/3",
			rB: "12",
			switched: false,
		});
		k.attach("device:3", h2);
		expect(state()).toMatchObject({
			list: "123",
			u: "1/4",
			rB: "123",
			switched: false,
		});
	});
});

describe("groups", () => {
	test("33 an unattached sibling to another hwpt: EINVAL, group untouched", () => {
		const { k, h2, state, attachAll } = trio();
		attachAll(1, 2);
		const before = state();
		expect(k.attach("device:3", h2)).toBe("EINVAL");
		expect(state()).toEqual({ ...before, switched: false });
	});
	test("34 the driver refuses member 2: its errno; 1 to H2, then 1 and 2 back to H1; nothing else changed", () => {
		const { k, h1, h2, state, attachAll } = trio();
		attachAll(1, 2, 3);
		const before = state();
		const [d1, d2] = [k.hwptOf(h1).dom, k.hwptOf(h2).dom];
		k.refuse = (dev, dom) =>
			dev === "device:2" && dom === d2 ? "EIO" : undefined;
		expect(k.attach("device:1", h2)).toBe("EIO");
		expect(k.attaches()).toEqual([`1 ${d2}`, `1 ${d1}`, `2 ${d1}`]);
		expect(state()).toEqual({ ...before, switched: true });
	});
	test("35 as 34 within one IOAS: the listed devices' reservations vanish (A1)", () => {
		const { k, a, state, attachAll } = trio();
		attachAll(1, 2, 3);
		const other = k.hwpt(1, a) as number;
		const d2 = k.hwptOf(other).dom;
		k.refuse = (dev, dom) =>
			dev === "device:2" && dom === d2 ? "EIO" : undefined;
		expect(k.attach("device:1", other)).toBe("EIO");
		expect(state()).toMatchObject({ list: "123", rA: "" });
		expect(k.types("resv.dropped")).toHaveLength(3);
		expect(k.map(a, 0xfee0_0000n, K4)).toBe("ok");
	});
	test("36 only device 1 attached, detach it: all three are blocked", () => {
		const { k, attachAll } = trio();
		attachAll(1);
		k.detach("device:1");
		const blk = k.s.host.groups.get("group:7")?.blk;
		expect(k.attaches()).toEqual([1, 2, 3].map((i) => `${i} ${blk}`));
	});
	test("37 unbind without detach: EBUSY inside, ownership kept", () => {
		const { k, attachAll } = trio();
		attachAll(1, 2);
		expect(said(k.run((x) => unbindDevice(x, "device:1")))).toBe("EBUSY");
		expect(k.s.host.groups.get("group:7")).toMatchObject({
			owner: k.ctx,
			ocnt: 3,
		});
	});
	test("38 a sibling on a kernel driver: bind EPERM", () => {
		const k = new Kit(
			groupOf(2, (i) => (i === 2 ? { kernelDriver: "nvme" } : {})),
		);
		expect(k.bind("device:1")).toBe("EPERM");
		expect(k.s.host.ctxs.get(k.ctx)?.groups.size).toBe(0);
	});
	test("39 a member with a mandated direct region: bind EINVAL, group back on its default", () => {
		const direct = { start: "0x1000", last: "0x1fff", kind: "direct" };
		const k = new Kit(groupOf(2, (i) => (i === 2 ? { resv: [direct] } : {})));
		expect(k.bind("device:1")).toBe("EINVAL");
		const g = k.s.host.groups.get("group:7");
		expect(g).toMatchObject({ dom: g?.def, ocnt: 0 });
		expect(g?.owner).toBeUndefined();
		expect(k.s.host.devs.get("device:1")?.hw).toBe(g?.def);
	});
	test("40 siblings in two contexts: the second EPERM", () => {
		const k = new Kit(groupOf(2));
		const other = k.open();
		expect(k.bind("device:1")).toBe(1);
		expect(k.bind("device:2", other)).toBe("EPERM");
	});
});

describe("faults, answers, type1", () => {
	const queue = (k: Kit): number =>
		k.run((x) => faultQueueAlloc(x, 0, respondAlways)).out?.[
			"out_fault_id"
		] as number;
	test("41 fault read but not answered, then replace away: answered INVALID, its cookie is void", () => {
		const k = new Kit();
		const { a, d, parent } = nested(k);
		const fq = queue(k);
		const h = k.hwpt(d.idev, parent, FAULT, IOTLB, fq) as number;
		k.replace(d.stdev, h);
		k.run((x) => {
			const idev = lookUp(x, d.idev, "idev");
			if (idev !== undefined)
				reportFault(x, idev, {
					pasid: 0,
					grpid: 1,
					perm: 1,
					addr: 0n,
					flags: 2,
				});
			return {};
		});
		k.run((x) => {
			expect(readFaults(x, fq, 40, respondAlways)).toMatchObject({ bytes: 40 });
			return {};
		});
		k.replace(d.stdev, a);
		expect(k.types("fault.answered")).toHaveLength(1);
		k.run((x) => {
			expect(writeResponses(x, fq, 8, [{ cookie: 1, code: 0 }])).toEqual({
				errno: "EINVAL",
			});
			return {};
		});
	});
	test("42 fault file open: DESTROY EBUSY", () => {
		const k = new Kit();
		const fq = queue(k);
		expect(k.destroy(fq)).toBe("EBUSY");
		k.run((x) => {
			closeFaultFile(x, fq);
			return {};
		});
		expect(k.destroy(fq)).toBe("ok");
	});
	test("43 replace whose answer cannot be copied: EFAULT, and the device is detached (A8)", () => {
		const { k, h2, state, attachAll } = trio();
		attachAll(1, 2);
		k.respond = () => "EFAULT";
		expect(k.attach("device:1", h2)).toBe("EFAULT");
		expect(state()).toMatchObject({ hwpt: h2, list: "2", u: "1/2", rB: "2" });
	});
	const container = (type: number) => {
		const k = new Kit(groupOf(1));
		const ctx = "ctx:9" as CtxId;
		const run = <A extends Answer>(
			body: (x: Parameters<typeof openContainer>[0]) => A,
		) => k.run(body, ctx);
		run((x) => {
			openContainer(x);
			return {};
		});
		expect(said(run((x) => setContainer(x, "group:7")))).toBe("ok");
		expect(said(run((x) => setType(x, type)))).toBe("ok");
		const size = 0x20_0000n;
		expect(
			said(run((x) => type1Map(x, { flags: 3, vaddr: VA, iova: size, size }))),
		).toBe("ok");
		const unmap = (iova: bigint, n: bigint) => {
			const a = run((x) => type1Unmap(x, { flags: 0, iova, size: n }));
			return a.errno ?? a.out?.["size"];
		};
		return { unmap, size };
	};
	test("44 unmap that starts inside an entry: v2 EINVAL, v1 ok with 0", () => {
		const v2 = container(3);
		expect(v2.unmap(v2.size + K4, K4)).toBe("EINVAL");
		const v1 = container(1);
		expect(v1.unmap(v1.size + K4, K4)).toBe(0n);
	});
	test("45 v1: unmap of the first page of a 2 MiB entry removes all of it", () => {
		const { unmap, size } = container(1);
		expect(unmap(size, K4)).toBe(size);
	});
});
