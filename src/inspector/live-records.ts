/**
 * A running system as a live log:
 *
 *     const live = liveRecords("vm 7", system.header);
 *     system.records$.subscribe(live.append);
 *     const { url } = await startInspector({ logs: [live.log] });
 */
import { encodeHeader } from "../log/header-line.ts";
import { encodeRecord } from "../log/record-line.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { LIVE_BYTES_MAX, LiveLog } from "./source.ts";

/** A live log of our own records. `append` never waits and never throws for lack of room (see LiveLog). */
export interface LiveRecords {
	readonly log: LiveLog;
	readonly append: (record: LogRecord) => void;
}

/** Makes one; records that were written before can be appended first. */
export function liveRecords(
	name: string,
	header: LogHeader,
	limitBytes = LIVE_BYTES_MAX,
): LiveRecords {
	const log = new LiveLog(name, limitBytes);
	log.append(encodeHeader(header));
	return { log, append: (record) => log.append(encodeRecord(record)) };
}
