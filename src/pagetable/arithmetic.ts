/**
 * Arithmetic on frame counts, which reach 2^52: bitwise operators would cut them to 32 bits, `%` on doubles calls fmod (some 20 ns), so
 * these divide by powers of two, which is exact.
 */

/** Is `value` a multiple of `size`? `size` is a power of two. */
export function isMultiple(value: number, size: number): boolean {
	const quotient = value / size;
	return quotient === Math.floor(quotient);
}

/** `value` rounded down to a multiple of `size`, a power of two. */
export const alignDown = (value: number, size: number): number =>
	Math.floor(value / size) * size;

/** `value` modulo `size`, a power of two. */
export const offsetIn = (value: number, size: number): number =>
	value - Math.floor(value / size) * size;

const HALF = 2 ** 31;
/** log2 of a power of two up to 2^62. */
export const log2Exact = (size: number): number =>
	size < HALF ? 31 - Math.clz32(size) : 62 - Math.clz32(size / HALF);
