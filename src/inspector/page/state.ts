/** What all views share: the logs, one cursor, the selection. */
import { batch, computed, effect, signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { CallName, Calls, Neighbour } from "../worker/protocol.ts";
import { readHash, writeHash } from "./link.ts";
import type { LogClient } from "./log-client.ts";
import type { ViewId } from "./views.ts";

/** Logs that are open: one, or two side by side. */
export const logs = signal<readonly LogClient[]>([]);
/** Position of the cursor in the first log; −1 before the first record. */
export const cursor = signal(-1);
/** The cursor follows the end of a live log. */
export const isFollowing = signal(false);
export const view = signal<ViewId>("topology");
/** The actor that the statechart and the neighbour jumps are about. */
export const selectedActor = signal<string | undefined>(undefined);
export const isPlaying = signal(false);
/** Text of the records' search field. */
export const query = signal("");
/** Answers that views still wait for; 0 = everything on screen belongs to the cursor. */
export const pendingCalls = signal(0);
/** A position kept for the diff. */
export const marked = signal<number | undefined>(undefined);
export const isHelpOpen = signal(false);

/** The log that the cursor counts in. */
export const firstLog = computed(() => logs.value[0]);
/** Records in it. */
export const count = computed(
	() => firstLog.value?.progress.value.summary.count ?? 0,
);

/** A log of the IOMMU model, not of another actor system; one whose header has not been read yet is taken for ours. */
export const isOwnLog = (log: LogClient): boolean => {
	const { header } = log.progress.value.summary;
	return header === undefined || header["format"] === "iommu-ledger";
};

/** All of the first log is indexed. */
export const isComplete = computed(
	() => firstLog.value?.progress.value.isComplete ?? false,
);
/** The list shows records; the timeline is drawn. */
export const hasRows = signal(false);
export const hasTimeline = signal(false);

/** The position in every log: the cursor, and in a second log the same place in the same operation. */
export const positions = signal<readonly number[]>([]);
/** The mark in every log, likewise; empty while nothing is marked. */
export const markedPositions = signal<readonly number[]>([]);

function followPairs(): void {
	effect(() => {
		const at = cursor.value;
		align(at, positions, () => cursor.peek() === at);
	});
	effect(() => {
		const at = marked.value;
		if (at === undefined) markedPositions.value = [];
		else align(at, markedPositions, () => marked.peek() === at);
	});
}

/** Finds a position of the first log in the others, and writes all of them down while that is still wanted. */
function align(
	at: number,
	into: { value: readonly number[] },
	isWanted: () => boolean,
): void {
	const [first, ...others] = logs.value;
	// Read, so that the effect runs again when a log has grown.
	for (const log of others) void log.progress.value.summary.count;
	if (first === undefined || others.length === 0) into.value = [at];
	else void alignOthers(first, others, at, into, isWanted);
}

async function alignOthers(
	first: LogClient,
	others: readonly LogClient[],
	at: number,
	into: { value: readonly number[] },
	isWanted: () => boolean,
): Promise<void> {
	// Peeked at: this runs inside an effect, which must not depend on it.
	pendingCalls.value = pendingCalls.peek() + 1;
	const place = await first.call("placeOf", { at });
	const found = await Promise.all(
		others.map((log) => log.call("positionOfPlace", place)),
	);
	if (isWanted()) into.value = [at, ...found];
	pendingCalls.value--;
}

/** Moves the cursor, kept inside the log. */
export function moveTo(at: number): void {
	const last = count.value - 1;
	batch(() => {
		cursor.value = Math.max(-1, Math.min(Math.round(at), last));
		isFollowing.value =
			(firstLog.value?.live ?? false) && cursor.value === last;
	});
}

/** Moves to a position of any open log: in a log beside the first, to the same place of the same operation. */
export async function moveIn(log: LogClient, at: number): Promise<void> {
	const first = firstLog.value;
	if (first === undefined || log === first) {
		moveTo(at);
		return;
	}
	const last = log.progress.value.summary.count - 1;
	const inside = Math.max(0, Math.min(Math.round(at), last));
	const place = await log.call("placeOf", { at: inside });
	moveTo(await first.call("positionOfPlace", place));
}

/** Counts an answer that a move waits for, so that nobody takes the page for painted meanwhile. */
async function waitingFor<T>(
	answer: Promise<T> | undefined,
): Promise<T | undefined> {
	pendingCalls.value = pendingCalls.peek() + 1;
	try {
		return await answer;
	} finally {
		pendingCalls.value = pendingCalls.peek() - 1;
	}
}

/** Moves to a neighbour: next operation, next record of the same actor, next failure. */
export async function jump(what: Neighbour, direction: 1 | -1): Promise<void> {
	const found = await waitingFor(
		firstLog.value?.call("neighbour", { at: cursor.value, direction, what }),
	);
	if (found !== undefined && found >= 0) moveTo(found);
}

const PLAY_TICK_MS = 120;

/** Starts what runs beside the views: following, playing, the address. */
export function startState(): void {
	followPairs();
	let wanted = readHash();
	const applyHash = (): void => {
		batch(() => {
			if (wanted.view !== undefined) view.value = wanted.view;
			if (wanted.actor !== undefined) selectedActor.value = wanted.actor;
			if (wanted.query !== undefined) query.value = wanted.query;
		});
	};
	applyHash();
	let isPlaced = false;
	effect(() => {
		const log = firstLog.value;
		const progress = log?.progress.value;
		if (progress === undefined) return;
		const { summary, isComplete } = progress;
		if (isFollowing.value) cursor.value = summary.count - 1;
		if (isPlaced || summary.count === 0) return;
		if (!isComplete && firstLog.value?.live !== true) return;
		isPlaced = true;
		if (wanted.view === undefined && log !== undefined && !isOwnLog(log))
			view.value = "statechart";
		if (wanted.seq !== undefined) void moveToSeq(wanted.seq);
		else moveTo(summary.count - 1);
	});
	window.addEventListener("hashchange", () => {
		wanted = readHash();
		applyHash();
		if (wanted.seq !== undefined) void moveToSeq(wanted.seq);
	});
	setInterval(() => {
		if (!isPlaying.value) return;
		if (cursor.value >= count.value - 1) isPlaying.value = false;
		else moveTo(cursor.value + 1);
	}, PLAY_TICK_MS);
}

/** Moves to the record with that `seq`. */
export async function moveToSeq(seq: number): Promise<void> {
	const at = await waitingFor(firstLog.value?.call("positionOf", { seq }));
	if (at !== undefined) moveTo(at);
}

/** The address of the current position, for mails and bugs. */
export async function linkHere(): Promise<string> {
	const [row] =
		(await firstLog.value?.call("rows", { positions: [cursor.value] })) ?? [];
	return writeHash({
		seq: row?.seq ?? 0,
		view: view.value,
		actor: selectedActor.value,
		query: query.value || undefined,
	});
}

/**
 * Asks a log's worker and keeps the last answer until the next is there, so that nothing on screen jumps or flickers. While a
 * question is on its way, only the newest of the following ones is sent after it. Asked in the layout phase: after-paint effects
 * would lose a frame, and a frame could be taken for a finished one while a question was yet to be asked.
 */
export function useCall<K extends CallName>(
	log: LogClient | undefined,
	name: K,
	argument: Calls[K][0] | undefined,
	version: unknown = 0,
): Calls[K][1] | undefined {
	const [answer, setAnswer] = useState<Calls[K][1] | undefined>(undefined);
	const queue = useRef<{ isBusy: boolean; next?: () => Promise<void> }>({
		isBusy: false,
	});
	const key = argument === undefined ? "" : JSON.stringify(argument);
	useLayoutEffect(() => {
		if (log === undefined || argument === undefined) return;
		const ask = async (): Promise<void> => {
			try {
				setAnswer((await log.call(name, argument)) as never);
			} catch (error) {
				console.error(name, error);
			}
		};
		const line = queue.current;
		if (line.next === undefined) pendingCalls.value++;
		line.next = ask;
		if (!line.isBusy) void work(line);
	}, [log, name, key, version]);
	return answer;
}

async function work(line: {
	isBusy: boolean;
	next?: () => Promise<void>;
}): Promise<void> {
	line.isBusy = true;
	while (line.next !== undefined) {
		const now = line.next;
		delete line.next;
		await now();
		pendingCalls.value--;
	}
	line.isBusy = false;
}
