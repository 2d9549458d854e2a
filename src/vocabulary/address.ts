/**
 * Addresses inside page tables: counts of the smallest unit ("frames"), never bytes (DESIGN §4).
 *
 * A 64-bit byte address does not fit a double; its frame number does: 52 bits at 4 KiB, 53 at the selftest mock's 2 KiB.
 * This is the only module that converts between bytes and frames. Everything in src/pagetable counts frames; bytes exist at
 * the API border, in the log and in vectors.
 */
import type { U64 } from "./fields.ts";

declare const frameBrand: unique symbol;
/** An address or a length counted in frames of the table's unit: I/O virtual or physical, which the name of the variable tells. */
export type Frame = number & { readonly [frameBrand]: true };

/** log2 of the unit of every hardware format: 4 KiB. */
export const FRAME_SHIFT = 12;
/** log2 of the unit of the iommufd selftest's mock domain: 2 KiB (iommufd/selftest.c:MOCK_IO_PAGE_SIZE). */
export const MOCK_FRAME_SHIFT = 11;
/** One past the largest 4 KiB frame number of a 64-bit address. */
export const FRAME_LIMIT = 2 ** 52;

/** Thrown when bytes cannot be frames: not aligned to the unit, or outside 64 bits. */
export class AddressError extends RangeError {
	override readonly name = "AddressError";
}

/** Takes a number that is known to count frames. Throws AddressError when it is not an integer in range. */
export function frame(count: number): Frame {
	if (!Number.isSafeInteger(count) || count < 0)
		throw new AddressError(
			`${count} is not a frame number: expected an integer from 0 to 2^53-1`,
		);
	return count as Frame;
}

/** Bytes to frames. `unitShift` is log2 of the unit. Throws AddressError when `bytes` is not aligned or not a 64-bit value. */
export function frameOf(bytes: U64, unitShift: number = FRAME_SHIFT): Frame {
	if (typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0) {
		const count = bytes / 2 ** unitShift;
		if (Number.isInteger(count)) return count as Frame;
	} else if (typeof bytes === "bigint" && bytes >= 0n && bytes >> 64n === 0n) {
		const shift = BigInt(unitShift);
		if ((bytes >> shift) << shift === bytes)
			return Number(bytes >> shift) as Frame;
	}
	throw new AddressError(
		`${hexOf(bytes)} is not a multiple of ${2 ** unitShift} within 64 bits; align it before it enters a page table`,
	);
}

/** Bytes to the frame that holds them: rounds down. */
export function frameHolding(
	bytes: U64,
	unitShift: number = FRAME_SHIFT,
): Frame {
	if (typeof bytes === "number")
		return Math.floor(bytes / 2 ** unitShift) as Frame;
	return Number(bytes >> BigInt(unitShift)) as Frame;
}

/** Frames to bytes: a plain number while it is a safe integer, a bigint above, as U64 demands. */
export function bytesOf(count: number, unitShift: number = FRAME_SHIFT): U64 {
	const bytes = count * 2 ** unitShift;
	return Number.isSafeInteger(bytes)
		? bytes
		: BigInt(count) << BigInt(unitShift);
}

/** A 64-bit value as the log and the vectors write it: lower case, no leading zeros. */
export const hexOf = (value: U64): string => `0x${value.toString(16)}`;

/** Frames to hex text of the byte address; 4 KiB frames only shift by three hex digits, so no bigint is made. */
export function hexOfFrame(count: number, offset = 0): string {
	if (count === 0) return `0x${offset.toString(16)}`;
	return `0x${count.toString(16)}${offset.toString(16).padStart(3, "0")}`;
}

/** Frames [start, start+n) for people: first and last byte. */
export const showFrames = (start: number, n: number): string =>
	`${hexOfFrame(start)}-${hexOfFrame(start + n - 1, 4095)}`;

/** Hex text (`0x…`, at most 16 digits) to frame and offset in the frame. Throws AddressError for anything else. */
export function parseHexAddress(text: unknown): {
	readonly frame: Frame;
	readonly offset: number;
} {
	if (typeof text !== "string" || !/^0x[0-9a-f]{1,16}$/i.test(text))
		throw new AddressError(
			`${JSON.stringify(text)} is not a 64-bit hex value; expected text such as "0x7f000"`,
		);
	const cut = Math.max(2, text.length - 3);
	const high = text.slice(2, cut);
	return {
		frame: (high === "" ? 0 : Number.parseInt(high, 16)) as Frame,
		offset: Number.parseInt(text.slice(cut), 16),
	};
}
