/** What each driver personality makes, refuses and reserves. */
import { expect, test } from "vitest";
import { driverNamed, PERSONALITIES } from "../../src/drivers/personalities.ts";
import type { Topology } from "../../src/vocabulary/header.ts";
import { groupOf, Kit } from "../ops/kit.ts";

const kit = (driver: string, caps: object = {}, more: object = {}): Kit => {
	const [g] = groupOf(1, () => ({ caps, ...more })).groups;
	return new Kit({ groups: [{ ...g!, driver }], known: "complete" });
};
const NEST_PARENT = 1;
const DIRTY = 2;

test.each([
	["vtd", {}, 0x4020_1000n, (1n << 48n) - 1n],
	["vtd", { aw: 39, superpages: false }, 0x1000n, (1n << 39n) - 1n],
	["smmu-v3", {}, 0x4020_1000n, (1n << 48n) - 1n],
	["smmu-v3", { granule: 65536, ias: 52 }, 0x2001_0000n, (1n << 52n) - 1n],
	// At most 48 bits with 4K pages (arm_lpae_restrict_pgsizes).
	["smmu-v3", { ias: 52 }, 0x4020_1000n, (1n << 48n) - 1n],
	["amd-vi", {}, 0xf_ff7f_ffff_f000n, (1n << 64n) - 1n],
	// The kernel's own tables are v2; what users get is v1 with that aperture (protection_domain_alloc, dma_max_address).
	["amd-vi", { pgtable: "v2" }, 0xf_ff7f_ffff_f000n, (1n << 47n) - 1n],
])(
	"%s %j: page sizes and aperture of its domains",
	(driver, caps, pgsizes, last) => {
		const k = kit(driver, caps);
		const dev = k.bind("device:1") as number;
		const h = k.hwpt(dev, k.ioas());
		if (driver === "smmu-v3" && "granule" in caps) {
			// Pages above PAGE_SIZE: iommufd refuses the domain (facts §2.9.3).
			expect(h).toBe("EINVAL");
			return;
		}
		const dom = k.s.host.domains.get(k.hwptOf(h as number).dom);
		expect(dom).toMatchObject({
			pgsizes,
			apertureStart: 0n,
			apertureLast: last,
		});
	},
);

test.each([
	["vtd", {}, NEST_PARENT, "EOPNOTSUPP"],
	["vtd", { nesting: true }, NEST_PARENT, "number"],
	["vtd", {}, DIRTY, "EOPNOTSUPP"],
	["vtd", { dirty: true }, DIRTY, "number"],
	["smmu-v3", {}, NEST_PARENT, "EOPNOTSUPP"],
	["smmu-v3", { dirty: true }, DIRTY, "number"],
	["amd-vi", {}, NEST_PARENT, "EOPNOTSUPP"],
	["amd-vi", { dirty: true }, DIRTY, "number"],
])("%s %j: HWPT_ALLOC with flags %i: %s", (driver, caps, flags, outcome) => {
	const k = kit(driver, caps);
	const h = k.hwpt(k.bind("device:1") as number, k.ioas(), flags);
	expect(typeof h === "number" ? "number" : h).toBe(outcome);
});

test("coherency: VT-d with snoop control makes coherent hwpts, and refuses a device without on them (HWP-9)", () => {
	const [a] = groupOf(1).groups;
	const b = {
		...groupOf(1, () => ({ caps: { snoopControl: false } })).groups[0]!,
		group: "group:8" as const,
	};
	const other = {
		...b,
		members: [{ ...b.members[0]!, dev: "device:2" as const }],
	};
	const k = new Kit({ groups: [a!, other], known: "complete" } as Topology);
	const first = k.bind("device:1") as number;
	k.bind("device:2");
	const ioas = k.ioas();
	const h = k.hwpt(first, ioas) as number;
	expect(k.hwptOf(h).cc).toBe(true);
	expect(k.attach("device:2", h)).toBe("EINVAL");
	const auto = k.attach("device:2", ioas) as number;
	expect(k.hwptOf(auto)).toMatchObject({ auto: true, cc: false });
});

test("bind wants cacheable DMA and isolated interrupts", () => {
	expect(kit("smmu-v3", { coherent: false }).bind("device:1")).toBe("EINVAL");
	expect(kit("vtd", { intremap: false }).bind("device:1")).toBe("EPERM");
	expect(kit("vtd").bind("device:1")).toBe(1);
});

test("SMMUv3: a domain belongs to its SMMU; an attach through the IOAS makes another one", () => {
	const unit = (n: number) => ({
		group: `group:${n}`,
		driver: "smmu-v3",
		members: [{ dev: `device:${n}`, resv: [], caps: { iommu: `smmu${n}` } }],
	});
	const k = new Kit({
		groups: [unit(1), unit(2)],
		known: "complete",
	} as unknown as Topology);
	const dev = k.bind("device:1") as number;
	k.bind("device:2");
	const ioas = k.ioas();
	const h = k.hwpt(dev, ioas) as number;
	expect(k.attach("device:2", h)).toBe("EINVAL");
	expect(k.attach("device:2", ioas)).not.toBe(h);
});

test("a software MSI window is reserved, learned by the group, and gives the domain its cookie (facts §3.3)", () => {
	const window = { start: "0x8000000", last: "0x80fffff", kind: "sw-msi" };
	const k = kit("smmu-v3", {}, { resv: [window] });
	k.bind("device:1");
	const ioas = k.ioas();
	const h = k.attach("device:1", ioas) as number;
	expect(k.hwptOf(h).msiCookie).toBe(true);
	expect(k.s.host.ctxs.get(k.ctx)?.groups.get("group:7")?.msi).toBe(
		0x800_0000n,
	);
	expect(k.map(ioas, 0x800_0000n, 0x1000n)).toBe("EINVAL");
	const both = kit(
		"smmu-v3",
		{},
		{ resv: [window, { start: "0x1000", last: "0x1fff", kind: "msi" }] },
	);
	both.bind("device:1");
	expect(both.attach("device:1", both.ioas())).toBe("EINVAL");
	expect(both.owners(2)).toEqual([]);
});

test("VT-d leaves the refusing device without translation until the revert (A13)", () => {
	const k = kit("vtd");
	const dev = k.bind("device:1") as number;
	const ioas = k.ioas();
	const [h1, h2] = [k.hwpt(dev, ioas) as number, k.hwpt(dev, ioas) as number];
	k.attach("device:1", h1);
	const d2 = k.hwptOf(h2).dom;
	k.refuse = (_, dom) => (dom === d2 ? "ENOMEM" : undefined);
	expect(k.attach("device:1", h2)).toBe("ENOMEM");
	const refused = k.facts.find((f) => f.type === "hw.attach.failed");
	expect(refused?.data).toMatchObject({
		dev: "device:1",
		dom: d2,
		errno: "ENOMEM",
		blocked: true,
	});
	expect(k.s.host.devs.get("device:1")?.hw).toBe(k.hwptOf(h1).dom);
});

test("an unknown name is refused with the known ones", () => {
	expect(() => driverNamed("toString")).toThrow(
		/known: mock, vtd, smmu-v3, amd-vi/,
	);
});

test("AMD-Vi does not look whose domain it is given: an attach is refused by the core, a replace by nobody (A5)", () => {
	const unit = (n: number, driver: string) => ({
		group: `group:${n}`,
		driver,
		members: [{ dev: `device:${n}`, resv: [] }],
	});
	const k = new Kit({
		groups: [unit(1, "amd-vi"), unit(2, "vtd")],
		known: "complete",
	} as unknown as Topology);
	const amd = k.bind("device:1");
	const other = k.bind("device:2") as number;
	const foreign = k.hwpt(other, k.ioas()) as number;
	expect(typeof amd).toBe("number");
	expect(k.attach("device:1", foreign)).toBe("EINVAL");
	expect(typeof k.attach("device:1", k.ioas())).toBe("number");
	expect(k.attach("device:1", foreign)).toBe(foreign);
});

test("page requests: VT-d misses the capability, SMMUv3 stalls, AMD-Vi agrees", () => {
	const word = (driver: string) => {
		const k = kit(driver);
		const dev = k.s.host.devs.get("device:1")!;
		return PERSONALITIES[driver]?.enablePageRequests(dev);
	};
	expect(["vtd", "smmu-v3", "amd-vi"].map(word)).toEqual([
		"ENODEV",
		"EINVAL",
		undefined,
	]);
});
