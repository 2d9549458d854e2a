/** Field access on one line of a golden vector. Whatever is missing or malformed throws VectorLineError: that is a mismatch, never a skip. */
import {
	AddressError,
	parseHexAddress,
	type Frame,
} from "../vocabulary/address.ts";

/** One parsed line. */
export interface VectorLine {
	readonly [key: string]: unknown;
}

/** A line that cannot be run: says which field and what was expected. */
export class VectorLineError extends Error {
	override readonly name = "VectorLineError";
}

const found = (value: unknown): string => JSON.stringify(value) ?? "nothing";

/** A frame from a byte address that must be page-aligned. */
export function frameField(line: VectorLine, key: string): Frame {
	const { frame, offset } = addressOf(line[key], key);
	if (offset !== 0)
		throw new VectorLineError(
			`${key} ${found(line[key])} is not a multiple of 4096`,
		);
	return frame;
}

/** Frame and offset of a byte address. */
export function addressOf(
	value: unknown,
	key: string,
): { readonly frame: Frame; readonly offset: number } {
	try {
		return parseHexAddress(value);
	} catch (error) {
		if (error instanceof AddressError)
			throw new VectorLineError(`${key}: ${error.message}`);
		throw error;
	}
}

/** A count: a safe integer ≥ 0. */
export function countField(line: VectorLine, key: string): number {
	const value = line[key];
	if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0)
		return value;
	throw new VectorLineError(`${key} is ${found(value)}; expected a count`);
}

/** A flag, as true/false or 1/0. */
export function flagField(line: VectorLine, key: string): boolean {
	const value = line[key];
	if (value === true || value === 1) return true;
	if (value === false || value === 0) return false;
	throw new VectorLineError(`${key} is ${found(value)}; expected a flag`);
}

/** A 64-bit bitmap in hex. */
export function bitmapField(line: VectorLine, key: string): bigint {
	const value = line[key];
	if (typeof value === "string" && /^0x[0-9a-f]{1,16}$/i.test(value))
		return BigInt(value);
	throw new VectorLineError(`${key} is ${found(value)}; expected 64-bit hex`);
}

/** A nested object. */
export function objectField(line: VectorLine, key: string): VectorLine {
	const value = line[key];
	if (typeof value === "object" && value !== null && !Array.isArray(value))
		return value as VectorLine;
	throw new VectorLineError(`${key} is ${found(value)}; expected an object`);
}
