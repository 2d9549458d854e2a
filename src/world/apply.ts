/**
 * The fold: what each record says, done to the world. Records are facts; nothing is decided here and nothing is refused: a record that
 * contradicts the state is applied as far as it makes sense, and judging it is the business of src/invariants.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import { APPLY_CORE } from "./apply-core.ts";
import { APPLY_IOAS } from "./apply-ioas.ts";
import { APPLY_MEMORY } from "./apply-memory.ts";
import { APPLY_OBJECTS } from "./apply-objects.ts";
import { APPLY_QUEUE } from "./apply-queue.ts";
import { APPLY_REST } from "./apply-rest.ts";
import { APPLY_TABLES } from "./apply-tables.ts";
import { createWorld, successor } from "./create.ts";
import type { Applier } from "./handlers.ts";
import { STEPS_MAX, type OpenOp, type World } from "./types.ts";

const APPLIERS: ReadonlyMap<string, Applier> = new Map(
	Object.entries({
		...APPLY_CORE,
		...APPLY_OBJECTS,
		...APPLY_IOAS,
		...APPLY_MEMORY,
		...APPLY_TABLES,
		...APPLY_QUEUE,
		...APPLY_REST,
	}) as [string, Applier][],
);

/** The folding function of a record type, for callers that dispatch themselves; undefined when the type changes nothing. */
export const applierOf = (type: string): Applier | undefined =>
	APPLIERS.get(type);

/**
 * Records that an operation keeps until it ends: what a rollback could take back. The bulk of maps and unmaps is not among them.
 */
export const KEPT_STEPS: ReadonlySet<string> = new Set<RecordType>([
	"resv.added",
	"resv.dropped",
	"dev.attached",
	"dev.replaced",
	"dev.detached",
	"ig.list.add",
	"ig.list.remove",
	"ig.hwpt.set",
	"idev.hwpt.set",
	"hw.attach",
	"hw.attach.failed",
	"grp.domain.set",
	"grp.owner.claimed",
	"grp.owner.released",
	"dev.bound",
	"dev.unbound",
	"hwpt.reserved",
	"obj.gone",
	"obj.ref",
	"iopt.dom.added",
	"iopt.dom.removed",
	"dom.created",
	"dom.freed",
	"type1.entry.added",
	"type1.entry.removed",
]);

/** Records that end an operation. */
const ENDS: ReadonlySet<string> = new Set<RecordType>([
	"op.commit",
	"op.fail",
	"op.unknown",
]);

/** Notes a record as a step of its open operation. Readers reuse record objects, so it is copied. */
export function noteStep(op: OpenOp, record: LogRecord): void {
	if (op.steps.length >= STEPS_MAX) op.truncated = true;
	else op.steps.push({ ...record, data: { ...record.data } } as LogRecord);
}

/** Ends an operation. */
export function closeOp(world: World, record: LogRecord): void {
	world.ops.delete(record.op);
	if (world.calls.size > 0) world.calls.delete(record.op);
}

/** Applies one record in place: the fast way. The world must not be a snapshot that somebody still reads. */
export function applyRecord(world: World, record: LogRecord): void {
	world.seq = record.seq;
	world.t = record.t;
	const op = record.op === 0 ? undefined : world.ops.get(record.op);
	if (op !== undefined && KEPT_STEPS.has(record.type)) noteStep(op, record);
	const apply = APPLIERS.get(record.type);
	if (apply !== undefined) apply(world, record);
	if (ENDS.has(record.type)) closeOp(world, record);
}

/** The world after one more record; `world` stays as it is. */
export function reduce(world: World, record: LogRecord): World {
	const next = successor(world);
	applyRecord(next, record);
	return next;
}

/** The world after all records. Equal to repeated `reduce`, and much faster. */
export function fold(header: LogHeader, records: Iterable<LogRecord>): World {
	const world = createWorld(header);
	for (const record of records) applyRecord(world, record);
	return world;
}
