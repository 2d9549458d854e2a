/**
 * Snapshots of a fold: the world with its page tables and IOTLB projection, what the judge has found and is in the middle of, and the
 * notes of recovery. A snapshot is a cache: when it is of another log, another version of this program or another Node, everything is
 * folded from the start instead, and the answer is the same.
 */
import { deserialize, serialize } from "node:v8";
import { CATALOGUE } from "../../invariants/catalogue.ts";
import type { JudgeImage } from "../../invariants/judge-image.ts";
import { resumeJudge } from "../../invariants/judge.ts";
import type { Head } from "../../log/seal.ts";
import { logHas, type SnapshotStore } from "../../log/snapshots.ts";
import type { LogStore } from "../../log/store.ts";
import { MODEL_VERSION } from "../../vocabulary/header.ts";
import type { LogHeader } from "../../vocabulary/header.ts";
import { type Folded, foldRecord, newFold } from "./fold-store.ts";

/** What of this program the bytes depend on. Raised when the shape of what is written down changes. */
const LAYOUT = 5;
const MAKER = `${MODEL_VERSION}, layout ${LAYOUT}, V8 ${process.versions.v8}`;

/** A fold written down: one graph, since its parts name each other. */
interface FoldImage extends Omit<Folded, "judge"> {
	readonly maker: string;
	readonly judge: JudgeImage;
}

/** Writes a fold down. */
export function foldImage({ judge, ...rest }: Folded): Uint8Array {
	const image: FoldImage = { ...rest, maker: MAKER, judge: judge.image() };
	return serialize(image);
}

/** The fold that was written down; undefined when this program cannot go on from it. */
export function foldFrom(
	header: LogHeader,
	bytes: Uint8Array,
): Folded | undefined {
	const image = read(bytes);
	if (image === undefined) return undefined;
	const { maker: _, judge, ...rest } = image;
	return { ...rest, judge: resumeJudge(header, judge) };
}

function read(bytes: Uint8Array): FoldImage | undefined {
	let image: FoldImage;
	try {
		image = deserialize(bytes) as FoldImage;
	} catch {
		return undefined;
	}
	const ids = image?.judge?.catalogue ?? [];
	const same =
		ids.length === CATALOGUE.length &&
		CATALOGUE.every(({ id }, i) => id === ids[i]);
	return image?.maker === MAKER && same ? image : undefined;
}

/** A fold, how it was come by, and the log's head then. */
export interface FoldedStore {
	readonly folded: Folded;
	/** The record that the snapshot was of; 0: everything was folded. */
	readonly from: number;
	readonly head: Head;
}

/** Folds a store from its newest snapshot on; from the start when there is none that fits. */
export async function foldFromSnapshot(
	store: LogStore,
	snapshots: SnapshotStore | undefined,
): Promise<FoldedStore> {
	const found = await snapshots?.find((at) => logHas(store, at));
	const snapshot = found?.state === "found" ? found.snapshot : undefined;
	const known = snapshot && foldFrom(store.header, snapshot.bytes);
	const folded = known ?? newFold(store);
	const from = known === undefined ? 0 : (snapshot?.at.seq ?? 0);
	let head = from === 0 ? { seq: 0, hash: "" } : (snapshot as { at: Head }).at;
	for await (const { records, seal } of store.read(from + 1)) {
		for (const record of records) foldRecord(folded, record);
		head = { seq: seal.seq, hash: seal.hash };
	}
	return { folded, from, head };
}

/**
 * Folds a store up to its end and keeps a snapshot of that, from which the next start goes on. Costs as much as what was appended since
 * the last snapshot. Throws LogError like the store, and `disk-full`, `read-only`, `io`.
 */
export async function takeSnapshot(
	store: LogStore,
	snapshots: SnapshotStore,
): Promise<Head> {
	const { folded, from, head } = await foldFromSnapshot(store, snapshots);
	if (head.seq > from) await snapshots.save(head, foldImage(folded));
	return head;
}
