/** The parts of the conformance runner: envelope, bitmaps, memory. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
	coveredBytes,
	envelopeErrno,
	overlay,
	unknownErrno,
} from "../../../src/replay/conform/abi.ts";
import {
	bytesOf,
	fnv1a64,
	noteOf,
	setBits,
	setRange,
} from "../../../src/replay/conform/bitmap.ts";
import { emulatedUnit } from "../../../src/replay/conform/emulator.ts";
import { UserMemory } from "../../../src/replay/conform/memory.ts";

const NONE = { firstNonzero: null, unreadableAt: null };
test.each([
	["IOMMU_DESTROY", 7, NONE, "EINVAL"],
	["IOMMU_DESTROY", 8, NONE, undefined],
	["IOMMU_DESTROY", 9, NONE, undefined],
	["IOMMU_DESTROY", 9, { firstNonzero: 0, unreadableAt: null }, "E2BIG"],
	["IOMMU_DESTROY", 9000, { firstNonzero: null, unreadableAt: 5000 }, "EFAULT"],
	["IOMMU_DESTROY", 9000, { firstNonzero: 10, unreadableAt: 5000 }, "E2BIG"],
	["IOMMU_HWPT_ALLOC", 24, NONE, undefined],
	["IOMMU_HWPT_ALLOC", 23, NONE, "EINVAL"],
	["IOMMU_TEST_CMD", 67, NONE, "EINVAL"],
	["IOMMU_VIOMMU_ALLOC", 64, NONE, "ENOTTY"],
] as const)("envelope of %s with size %i", (cmd, size, tail, errno) => {
	expect(envelopeErrno(cmd, size, tail)).toBe(errno);
});

test("fields beyond size read as zero; numbers out of range go to the VFIO table", () => {
	expect(coveredBytes("IOMMU_HWPT_ALLOC", 24, "__reserved")).toBe(4);
	expect(coveredBytes("IOMMU_HWPT_ALLOC", 24, "data_type")).toBe(0);
	expect(coveredBytes("IOMMU_HWPT_ALLOC", 26, "data_type")).toBe(2);
	expect(overlay(0xaabb_ccddn, 1n, 1)).toBe(0xaabb_cc01n);
	expect(unknownErrno(0x3b90, false)).toBe("EFAULT");
	expect(unknownErrno(0x3b90, true)).toBe("ENOTTY");
	expect(unknownErrno(0x3b00, false)).toBe("ENOTTY");
});

test("FNV-1a is the published one", () => {
	const of = (text: string) => fnv1a64(new TextEncoder().encode(text));
	expect(of("")).toBe("0xcbf29ce484222325");
	expect(of("a")).toBe("0xaf63dc4c8601ec8c");
	expect(of("foobar")).toBe("0x85944171f73967e8");
});

test("a bitmap that fits the head, or repeats, or has evenly spaced ones, is known again from its description", () => {
	const bitmaps = fc.oneof(
		fc
			.uint8Array({ minLength: 1, maxLength: 64 })
			.map((b) => [b, b.length * 8] as const),
		fc
			.tuple(
				fc.integer({ min: 600, max: 4000 }),
				fc.integer({ min: 0, max: 9 }),
			)
			.map(([nbits, shift]) => {
				const bytes = new Uint8Array(Math.ceil(nbits / 8));
				for (let bit = 0; bit < nbits; bit += 1 << shift)
					setRange(bytes, bit, bit);
				return [bytes, nbits] as const;
			}),
	);
	fc.assert(
		fc.property(bitmaps, ([bytes, nbits]) => {
			const again = bytesOf(noteOf(bytes, nbits));
			if (again === undefined) return nbits > 512;
			expect([...setBits(again, nbits)]).toEqual([...setBits(bytes, nbits)]);
			return true;
		}),
	);
});

test("memory: holes, read-only pages, forks and exits", () => {
	const m = new UserMemory([]);
	m.map(0, { addr: 0x1000n, length: 0x4000n, prot: 3, hugetlb: false });
	m.map(0, { addr: 0x8000n, length: 0x1000n, prot: 1, hugetlb: false });
	m.unmap(0, 0x3000n, 0x1000n);
	expect(m.pin(0, 0x1000n, 9, true)).toMatchObject({ n: 2 });
	expect(m.pin(0, 0x3000n, 1, false)).toEqual({ errno: "EFAULT" });
	expect(m.pin(0, 0x8000n, 1, true)).toEqual({ errno: "EFAULT" });
	expect(m.pin(0, 0x8000n, 1, false)).toMatchObject({ n: 1 });
	expect(m.touch(0, 0x1ff0n, 0x2000n, true)).toBe("EFAULT");
	m.fork(0, 1);
	expect(m.frameAt(1, 0x4000n)).toBe(m.frameAt(0, 0x4000n));
	m.exit(1);
	expect(m.pin(1, 0x1000n, 1, false)).toEqual({ errno: "EFAULT" });
	const old = m.frameAt(0, 0x1000n);
	m.map(0, { addr: 0x1000n, length: 0x1000n, prot: 3, hugetlb: true });
	expect(m.frameAt(0, 0x1000n)).not.toBe(old);
});

test("the emulator's registers follow from its command line (values of the recordings' dmesg)", () => {
	const unit = (o: string) =>
		emulatedUnit(
			`qemu -device intel-iommu,intremap=on,snoop-control=on,${o} -x`,
		);
	expect(unit("caching-mode=off,aw-bits=48")).toMatchObject({
		aw: 48,
		cap: "0xd2008c222f0606",
		ecap: "0xf00fca",
	});
	expect(unit("caching-mode=on,aw-bits=48,x-scalable-mode=on")).toMatchObject({
		cap: "0xd2008c222f0686",
		ecap: "0x480080f00fca",
	});
});
