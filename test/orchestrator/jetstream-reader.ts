/** A process that follows one host's log on a JetStream server and says what it reads. argv: address, stream, subject. Ends with a `ctx.closed`. */
import { openNatsStore } from "../../src/log/nats-store.ts";

const [, , servers = "", stream = "", subject = ""] = process.argv;
const store = await openNatsStore({ servers, stream, subject });
const told = new AbortController();
process.stdout.write("following\n");
for await (const { records } of store.read(1, { follow: told.signal }))
	for (const { seq, type } of records) {
		process.stdout.write(`${seq} ${type}\n`);
		if (type === "ctx.closed") told.abort();
	}
await store.close();
