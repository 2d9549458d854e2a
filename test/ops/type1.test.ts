/** Legacy VFIO containers: ownership, types, joining domains, the unmap engine (facts/iommufd-semantics.md §4.2, §5). */
import { expect, test } from "vitest";
import {
	closeContainer,
	openContainer,
	setContainer,
	setType,
	unsetContainer,
} from "../../machines/ops/type1.ts";
import { type1Map, type1Unmap } from "../../machines/ops/type1-dma.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import type { Answer } from "../../machines/ops/types.ts";
import type { Topology } from "../../src/vocabulary/header.ts";
import type { CtxId, GroupId } from "../../src/vocabulary/ids.ts";
import { groupOf, K4, Kit, said, VA } from "./kit.ts";

/** A container with groups 7 (and 8), each of one device, behind `driver`. */
function container(driver = "vtd", type = 3) {
	const group = (n: number) => {
		const [g] = groupOf(1, () => ({ dev: `device:${n}` }), `group:${n}`).groups;
		return { ...g!, driver };
	};
	const k = new Kit({
		groups: [group(7), group(8)],
		known: "complete",
	} as Topology);
	const ctx = "ctx:9" as CtxId;
	const run = <A extends Answer>(body: (x: Exec) => A) => k.run(body, ctx);
	const quiet = (body: (x: Exec) => void) =>
		run((x): Answer => {
			body(x);
			return {};
		});
	quiet(openContainer);
	const join = (n: number) =>
		said(run((x) => setContainer(x, `group:${n}` as GroupId)));
	const leave = (n: number) =>
		said(run((x) => unsetContainer(x, `group:${n}` as GroupId)));
	const setIommu = (t = type) => said(run((x) => setType(x, t)));
	const map = (iova: bigint, pages: bigint, vaddr = VA) =>
		said(run((x) => type1Map(x, { flags: 3, vaddr, iova, size: pages * K4 })));
	const unmap = (iova: bigint, size: bigint, flags = 0) => {
		const a = run((x) => type1Unmap(x, { flags, iova, size }));
		return a.errno ?? a.out?.["size"];
	};
	const state = () => k.s.host.containers.get(ctx)!;
	return {
		k,
		ctx,
		join,
		leave,
		setIommu,
		map,
		unmap,
		state,
		close: () => quiet(closeContainer),
	};
}

test("SET_CONTAINER claims the whole group, a second claim is EPERM; UNSET gives it back", () => {
	const c = container();
	expect([c.join(7), c.join(7)]).toEqual(["ok", "EINVAL"]);
	expect(c.k.bind("device:7")).toBe("EPERM");
	expect(c.k.s.host.groups.get("group:7")).toMatchObject({
		owner: c.ctx,
		ocnt: 1,
	});
	expect(c.leave(7)).toBe("ok");
	expect(c.k.s.host.groups.get("group:7")).toMatchObject({ ocnt: 0 });
	expect(c.k.bind("device:7")).toBe(1);
});

test("SET_IOMMU: not without a group, once only, known types only", () => {
	const c = container();
	expect(c.setIommu()).toBe("EINVAL");
	c.join(7);
	// 2, 5, 7: no driver reports it. 9 (VFIO_UNMAP_ALL) is an extension of type1, not a type. 6: VT-d cannot nest.
	const answers = [2, 5, 7, 9, 6, 3, 3].map((type) => c.setIommu(type));
	expect(answers).toEqual([
		"ENODEV",
		"ENODEV",
		"ENODEV",
		"EINVAL",
		"EINVAL",
		"ok",
		"EINVAL",
	]);
});

test("SET_IOMMU with nesting: SMMUv3 enables it, its domain is as v2", () => {
	const c = container("smmu-v3");
	c.join(7);
	expect([c.setIommu(6), c.map(0x10_0000n, 4n)]).toEqual(["ok", "ok"]);
	expect(c.unmap(0x10_0000n, K4)).toBe("EINVAL");
});

test("map: usable ranges of the whole group, overlap, alignment, limit", () => {
	const c = container();
	c.join(7);
	c.setIommu();
	expect(c.map(0x10_0000n, 4n)).toBe("ok");
	expect([
		c.map(0x10_1000n, 1n),
		c.map(0xfee0_0000n, 1n),
		c.map(1n << 48n, 1n),
		c.map(0x7n, 1n),
	]).toEqual(["EEXIST", "EINVAL", "EINVAL", "EINVAL"]);
	expect(c.map(0x20_0000n, 1n, 0x1000n)).toBe("EFAULT");
	expect(c.state()).toMatchObject({ entries: 1, avail: 65534 });
});

test("a second group of the same kind joins the domain; an entry over its window refuses it", () => {
	const c = container();
	c.join(7);
	c.setIommu();
	c.map(0x10_0000n, 4n);
	expect(c.join(8)).toBe("ok");
	expect(c.state().domains.map((d) => d.groups)).toEqual([
		["group:7", "group:8"],
	]);
	expect(c.leave(8)).toBe("ok");
	expect(c.state().domains.map((d) => d.groups)).toEqual([["group:7"]]);
	expect(c.leave(7)).toBe("ok");
	expect(c.state()).toMatchObject({ entries: 0, domains: [] });
	expect(c.k.s.host.groups.get("group:7")?.owner).toBeUndefined();
});

test("the engine unmaps physically contiguous chunks, flushes, then the entry goes", () => {
	const c = container();
	c.join(7);
	c.setIommu();
	c.map(0x10_0000n, 16n);
	expect(c.unmap(0x10_0000n, 16n * K4)).toBe(16n * K4);
	expect(c.k.types()).toEqual([
		"dom.unmap",
		"iotlb.synced",
		"type1.entry.removed",
		"type1.unmapped",
	]);
});

test("an IOMMU with leaves of any power of two (fgsp) is walked page by page, one flush every 512 chunks", () => {
	const c = container("amd-vi");
	c.join(7);
	c.setIommu();
	expect(c.state().domains[0]?.fgsp).toBe(true);
	c.map(0x100_0000n, 1030n);
	c.unmap(0x100_0000n, 1030n * K4);
	expect(c.k.types("dom.unmap")).toHaveLength(1030);
	expect(c.k.types("iotlb.synced")).toHaveLength(3);
});

test.each([
	[1, [0n, 8n * K4, 0n]],
	[3, ["EINVAL", "EINVAL", 0n]],
])(
	"type %i: unmap from the middle, over the end, of nothing",
	(type, outcome) => {
		const c = container("vtd", type);
		c.join(7);
		c.setIommu();
		c.map(0x10_0000n, 8n);
		const asked: readonly [bigint, bigint][] = [
			[0x10_2000n, K4],
			[0x0f_f000n, 4n * K4],
			[0x50_0000n, K4],
		];
		expect(asked.map(([iova, size]) => c.unmap(iova, size))).toEqual(outcome);
	},
);

test("ALL takes everything, with the two zeros only; closing leaves nothing", () => {
	const c = container();
	c.join(7);
	c.setIommu();
	for (let i = 0n; i < 5n; i++) c.map(0x10_0000n + 2n * i * K4, 1n);
	expect(c.unmap(0x1000n, 0n, 2)).toBe("EINVAL");
	expect(c.unmap(0n, 0n, 2)).toBe(5n * K4);
	c.map(0x10_0000n, 1n);
	c.close();
	expect(c.k.s.host.containers.size).toBe(0);
	expect(c.k.s.host.groups.get("group:7")).toMatchObject({ ocnt: 0 });
});
