/** encode∘decode: through the hardware word and back, and from (pa, rights, level) through a mapped leaf, for every format. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	codedSize,
	entriesOfSize,
	leafWord,
	levelOfSize,
} from "../../src/pagetable/formats/amd-v1.ts";
import {
	addressField,
	lpaeCodec,
} from "../../src/pagetable/formats/arm-lpae.ts";
import {
	attributes,
	fromCont,
	protOf,
	toCont,
} from "../../src/pagetable/formats/arm-v7s.ts";
import { beginEdit, createTable } from "../../src/pagetable/table.ts";
import { translate } from "../../src/pagetable/walk.ts";
import { REQUESTS } from "./support.ts";

/** Formats in which a leaf without the read right can be told from one with it. */
const TELLS_WRITE_ONLY = ["amd v1", "arm64 s2 concatenated", "mali"];

describe.each(Object.entries(REQUESTS))("%s", (name, request) => {
	const empty = createTable(request);
	const { pageSizes, oas, geometry } = empty.config;
	const base = geometry.iovaBase ?? 0;

	test("a leaf comes back as it was mapped, at every size, over all output bits", () => {
		fc.assert(
			fc.property(
				fc.constantFrom(...pageSizes),
				fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
				fc.integer({ min: 1, max: 63 }),
				(size, share, prot) => {
					if ((prot & 3) === 0 || size > 2 ** 30) return;
					const pa = Math.floor((share * 2 ** (oas - 12)) / size) * size;
					const edit = beginEdit(empty);
					const { driver, codec } = edit.config;
					const ret = driver.map(edit, base, pa, size, 1, prot);
					// A size above the root's reach is refused, after the tables on the way were made.
					if (ret !== 0) {
						expect(edit.mapped).toBe(0);
						return;
					}
					const leaf = translate(edit, base);
					if (leaf === undefined) throw new Error("nothing mapped");
					expect([leaf.pa, leaf.leafSize]).toEqual([pa, size]);
					const readable = TELLS_WRITE_ONLY.includes(name)
						? prot & 3
						: (prot & 3) | 1;
					expect(leaf.rights).toBe(readable);
					const raw = codec.raw(leaf.word);
					expect(raw).toBeLessThan(1n << 64n);
					expect(codec.fromRaw(raw)).toBe(leaf.word);
				},
			),
			{ numRuns: 300 },
		);
	});
});

describe("details", () => {
	test("64K: bits 51:48 of an address sit in bits 15:12 of the word", () => {
		const pa = 0xf_0000_0000_0 + 16 * 5;
		expect(addressField(pa)).toBe(0xf + 16 * 5);
		const codec = lpaeCodec("s1", 16, [39, 26, 13, 4]);
		const word = addressField(pa) * 2 ** 17 + 3;
		expect(codec.leafPa(word, 3, 0)).toBe(pa);
		expect(codec.raw(word)).toBe(0x5f003n);
	});
	test("Arm: every kept flag has its hardware place", () => {
		const codec = lpaeCodec("s1", 1, [27, 18, 9, 0]);
		expect(codec.raw(2 ** 17 - 1)).toBe(0x80e8_0000_0000_0fffn);
	});
	test("AMD v1: size-coded leaves, every power of two", () => {
		for (let log2 = 1; log2 < 40; log2++) {
			if (log2 % 9 === 0) continue;
			const size = 2 ** log2;
			const word = leafWord(3 * size, size, 3);
			expect(codedSize(word)).toBe(size);
			expect(entriesOfSize(size)).toBe(2 ** (log2 % 9));
			expect(levelOfSize(size)).toBe(Math.floor(log2 / 9));
		}
	});
	test("v7s: an entry as one of 16 copies and back, all protections", () => {
		for (const level of [1, 2])
			for (let prot = 1; prot < 64; prot++) {
				const quirks = { ns: true, noPerms: false, mtk: false };
				const word = attributes(prot, level, quirks);
				expect(fromCont(toCont(word, level), level)).toBe(word);
				// The cache bit only counts for memory that is not MMIO; every entry is readable.
				const told = (prot & 16) !== 0 ? prot & ~4 : prot;
				expect(protOf(word, level)).toBe(told | 1);
			}
	});
});
