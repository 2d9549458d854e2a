/**
 * Snapshots: what a reader made of a log up to a position, so that it need not read everything again. The caller gives bytes; this
 * keeps them with the position and the hash they belong to. A snapshot is a cache: it is used only when the log, at that
 * position, has that hash, and losing one loses nothing.
 */
import { join } from "node:path";
import { LogError } from "./error.ts";
import { ioError, type LogIo, nodeIo } from "./io.ts";
import { digest, type Head } from "./seal.ts";

/** A snapshot that was found. */
export interface Snapshot {
	readonly at: Head;
	readonly bytes: Buffer;
}

/**
 * What looking for one gave: `found`; `absent`: there is none; `stale`: there are some, but none fits this log (another history, or damaged
 * files), which a caller should see, since it means a full read.
 */
export type SnapshotSearch =
	| { readonly state: "found"; readonly snapshot: Snapshot }
	| { readonly state: "absent" }
	| { readonly state: "stale"; readonly files: readonly string[] };

/** Keeps snapshots in a directory. */
export interface SnapshotStore {
	/** Saves one, whole or not at all, and removes older ones beyond `keep`. Throws LogError `disk-full`, `read-only`, `io`. */
	save(at: Head, bytes: Uint8Array): Promise<void>;
	/** The newest one that `fits`: ask the log whether it has that hash at that position. */
	find(fits: (at: Head) => Promise<boolean>): Promise<SnapshotSearch>;
}

const NAME = /^(\d{16})-([0-9a-f]{64})\.snapshot$/;
const nameOf = ({ seq, hash }: Head): string =>
	`${String(seq).padStart(16, "0")}-${hash}.snapshot`;
const DIGEST_LENGTH = 64;

/** Snapshots in `directory`, the newest `keep` of them (default 2). */
export function snapshotStore(
	directory: string,
	options: { keep?: number; io?: LogIo } = {},
): SnapshotStore {
	const { keep = 2, io = nodeIo } = options;
	const names = async (): Promise<string[]> =>
		[...(await io.list(directory))]
			.filter((name) => NAME.test(name))
			.sort()
			.reverse();
	return {
		async save(at, bytes) {
			try {
				await io.makeDirectory(directory);
				const path = join(directory, nameOf(at));
				const draft = `${path}.draft`;
				await io.remove(draft);
				const file = await io.open(draft, "create");
				try {
					await file.write(
						Buffer.concat([Buffer.from(digest(bytes)), bytes]),
						0,
					);
					await file.datasync();
				} finally {
					await file.close();
				}
				await io.rename(draft, path);
				await io.syncDirectory(directory);
				for (const old of (await names()).slice(keep))
					await io.remove(join(directory, old));
			} catch (error) {
				throw ioError(error, `saving a snapshot in ${directory}`);
			}
		},
		async find(fits) {
			const files = await names();
			for (const name of files) {
				const [, seq = "", hash = ""] = NAME.exec(name) ?? [];
				const at = { seq: Number(seq), hash };
				const whole = await io.readAll(join(directory, name));
				const bytes = whole.subarray(DIGEST_LENGTH);
				const sound =
					whole.toString("latin1", 0, DIGEST_LENGTH) === digest(bytes);
				if (sound && (await fits(at)))
					return { state: "found", snapshot: { at, bytes } };
			}
			return files.length === 0
				? { state: "absent" }
				: { state: "stale", files };
		},
	};
}

/** Tells whether a store has that hash at that position: for `find`. */
export async function logHas(
	store: {
		readonly head: Head;
		read(from: number): AsyncIterable<{ readonly seal: Head }>;
	},
	at: Head,
): Promise<boolean> {
	if (at.seq > store.head.seq) return false;
	if (at.seq === store.head.seq) return at.hash === store.head.hash;
	try {
		for await (const { seal } of store.read(at.seq))
			return seal.seq === at.seq && seal.hash === at.hash;
	} catch (error) {
		if (!(error instanceof LogError)) throw error;
	}
	return false;
}
