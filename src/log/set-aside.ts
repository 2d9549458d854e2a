/** Copies of what recovery and repair cut off. The copy is durable before anything is cut. */
import { dirname } from "node:path";
import type { LogFile, LogIo } from "./io.ts";

const PIECE_BYTES = 1 << 20;

/** Copies the bytes of `path` from `from` on into a new file beside it; returns that file's path. */
export async function setAside(
	io: LogIo,
	path: string,
	file: LogFile,
	from: number,
): Promise<string> {
	const { savedAs, copy } = await createBeside(io, `${path}.removed-${from}`);
	try {
		const piece = Buffer.allocUnsafe(PIECE_BYTES);
		for (let at = from; ; ) {
			const count = await file.read(piece, at);
			if (count === 0) break;
			await copy.write(piece.subarray(0, count), at - from);
			at += count;
		}
		await copy.datasync();
	} catch (error) {
		await io.remove(savedAs).catch(() => {});
		throw error;
	} finally {
		await copy.close();
	}
	await io.syncDirectory(dirname(path));
	return savedAs;
}

/** A new file of that name, or with a number behind it: earlier copies stay. */
async function createBeside(
	io: LogIo,
	name: string,
): Promise<{ savedAs: string; copy: LogFile }> {
	for (let n = 0; ; n++) {
		const savedAs = n === 0 ? name : `${name}-${n}`;
		try {
			return { savedAs, copy: await io.open(savedAs, "create") };
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		}
	}
}

/** Cuts a file off at `size`, durably. */
export async function cutOff(file: LogFile, size: number): Promise<void> {
	await file.truncate(size);
	await file.datasync();
}

/** Puts one byte in place, durably. */
export async function putByte(
	file: LogFile,
	{ offset, byte }: { readonly offset: number; readonly byte: number },
): Promise<void> {
	await file.write(Uint8Array.of(byte), offset);
	await file.datasync();
}
