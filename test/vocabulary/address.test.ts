import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	AddressError,
	bytesOf,
	frame,
	frameHolding,
	frameOf,
	hexOfFrame,
	MOCK_FRAME_SHIFT,
	parseHexAddress,
} from "../../src/vocabulary/address.ts";

describe("bytes and frames", () => {
	test("go over into each other over all 64 bits, both units", () => {
		fc.assert(
			fc.property(
				fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
				fc.constantFrom(12, MOCK_FRAME_SHIFT),
				(bytes, shift) => {
					const aligned = (bytes >> BigInt(shift)) << BigInt(shift);
					const count = frameOf(aligned, shift);
					expect(BigInt(bytesOf(count, shift))).toBe(aligned);
					expect(frameHolding(bytes, shift)).toBe(count);
					if (aligned !== bytes)
						expect(() => frameOf(bytes, shift)).toThrow(AddressError);
				},
			),
		);
	});
	test("a small value comes back as a plain number, a large one as a bigint", () => {
		expect(bytesOf(5)).toBe(0x5000);
		expect(bytesOf(2 ** 51)).toBe(2n ** 63n);
	});
	test("hex text to frame and offset and back", () => {
		fc.assert(
			fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bytes) => {
				const text = `0x${bytes.toString(16)}`;
				const { frame: count, offset } = parseHexAddress(text);
				expect(hexOfFrame(count, offset)).toBe(text);
			}),
		);
	});
	test.each(["", "0x", "12", "0xg", "0x10000000000000000", 7, null])(
		"refuses %j",
		(text) => {
			expect(() => parseHexAddress(text)).toThrow(AddressError);
		},
	);
	test.each([-1, 0.5, Number.NaN, 2 ** 53])(
		"%d is no frame number",
		(count) => {
			expect(() => frame(count)).toThrow(AddressError);
		},
	);
});
