/** Prints a digest of the records of the logs named as arguments: run by a test in a process that may not generate code. */
import { createHash } from "node:crypto";
import { encodeRecord } from "../../src/log/record-line.ts";
import { scanLog } from "../../src/log/read.ts";

for (const path of process.argv.slice(2)) {
	const sum = createHash("sha256");
	const { records } = await scanLog(path, {
		record: (record) => void sum.update(encodeRecord(record)),
	});
	console.log(records, sum.digest("hex"));
}
