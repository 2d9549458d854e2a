/**
 * The victim of the crash tests: appends operations to the log at argv[2] as fast as it can and says on standard output which record was
 * acknowledged last. argv[3]: fsync policy; argv[4]: segment size or 0; argv[5]: operations, or 0 for ever; argv[6]: codec.
 */
import { writeSync } from "node:fs";
import { BINARY } from "../../src/log/binary.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import type { FsyncPolicy } from "../../src/log/segment-writer.ts";
import { HEADER, mapOperation } from "./samples.ts";

const [
	,
	,
	path = "",
	fsync = "always",
	segmentBytes = "0",
	operations = "0",
	codec = "ndjson",
] = process.argv;
const store = await openFileStore(path, {
	header: HEADER,
	fsync: fsync as FsyncPolicy,
	codec: codec === "binary" ? BINARY : NDJSON,
	...(segmentBytes === "0" ? {} : { segmentBytes: Number(segmentBytes) }),
});
/** A pipe that is full is no error: its reader is busy. */
function say(text: string): void {
	for (;;) {
		try {
			writeSync(1, text);
			return;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
		}
	}
}

const limit = Number(operations);
for (let done = 0; limit === 0 || done < limit; ) {
	const together = 1 + (done % 5);
	const answers = [];
	for (let i = 0; i < together; i++)
		answers.push(store.append(mapOperation(store.head.seq)));
	for (const answer of answers) {
		const { last } = await answer;
		say(`ack ${last}\n`);
		done++;
	}
}
await store.close();
