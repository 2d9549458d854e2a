/** The type of a table of folding functions, one per record type. */
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import type { World } from "./types.ts";

/** Folding functions by record type; a type that changes nothing has none. */
export type Appliers = {
	readonly [T in RecordType]?: (world: World, record: LogRecord<T>) => void;
};
/** The same, as looked up at run time. */
export type Applier = (world: World, record: LogRecord) => void;
