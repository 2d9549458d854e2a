/** A mapping that may be neither read nor written, by VFIO_IOMMU_MAP_DMA on iommufd: taken by the mock domain, refused by real drivers. */
import { expect, test } from "vitest";
import { createJudge } from "../../src/invariants/judge.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { IommuError } from "../../src/orchestrator/error.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";

const dev = deviceId("0000:01:00.0");
const open = (driver: string) => {
	const system = createIommuSystem({
		topology: {
			known: "complete",
			groups: [{ group: groupId(1), driver, members: [{ dev, resv: [] }] }],
		},
	});
	const ctx = system.open();
	system.bind({ ctx, dev });
	const ioas = system.ioasAlloc({ ctx });
	system.vfioIoas({ ctx, ioas });
	const errno = (call: () => unknown): string => {
		try {
			call();
			return "0";
		} catch (error) {
			if (error instanceof IommuError) return error.errno;
			throw error;
		}
	};
	const map = () =>
		errno(() =>
			system.vfioMap({
				ctx,
				iova: "0x2000000",
				length: "0x4000",
				va: "0x70000000",
				prot: 0,
			}),
		);
	return {
		system,
		map,
		attach: () => errno(() => system.attach({ ctx, dev, pt: ioas })),
		pinned: () =>
			system.records.filter((r) => r.type === "pages.pinned").length -
			system.records.filter((r) => r.type === "pages.unpinned").length,
	};
};

for (const driver of ["vtd", "smmu-v3", "amd-vi"])
	test(`${driver}: EINVAL once a domain is there, and nothing stays pinned`, () => {
		const attached = open(driver);
		expect(attached.attach()).toBe("0");
		expect(attached.map()).toBe("EINVAL");
		expect(attached.pinned()).toBe(0);
		const lazy = open(driver);
		expect(lazy.map()).toBe("0");
		expect(lazy.attach()).toBe("EINVAL");
		const judge = createJudge(lazy.system.header);
		for (const record of lazy.system.records) judge.next(record);
		judge.finish();
		expect(judge.verdicts.violations).toEqual([]);
	});

test("mock: taken before and after the attach", () => {
	const attached = open("mock");
	expect(attached.attach()).toBe("0");
	expect(attached.map()).toBe("0");
	const lazy = open("mock");
	expect(lazy.map()).toBe("0");
	expect(lazy.attach()).toBe("0");
});
