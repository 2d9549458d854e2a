/** Connecting to JetStream servers, and making the stream that holds logs. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { LogError } from "./error.ts";

/** Between two tries to reach a server. */
export const PAUSE_MS = 100;
/** What to do when a server cannot be reached. */
export const HINT =
	"Is the server running, and are its addresses right? What was acknowledged is in the stream.";

/**
 * Makes the stream for logs, or leaves it as it is. `subjects` such as `iommu.ledger.>`. `replicas`: 1, 3 or 5; with 1, losing the
 * server's disk loses the logs.
 */
export async function createStream(
	servers: string | readonly string[],
	name: string,
	subjects: readonly string[],
	replicas = 1,
): Promise<void> {
	const connection = await connected(servers);
	try {
		const manager = await jetstreamManager(connection);
		const exists = await manager.streams.info(name).then(
			() => true,
			() => false,
		);
		// Nothing ages out and nothing can be deleted: the log is append-only.
		if (!exists)
			await manager.streams.add({
				name,
				subjects: [...subjects],
				num_replicas: replicas,
				deny_delete: true,
				deny_purge: true,
				allow_direct: true,
			});
	} finally {
		await connection.close();
	}
}

/** A connection that comes back by itself when the server does. Throws LogError `unavailable`. */
export async function connected(
	servers: string | readonly string[],
): Promise<NatsConnection> {
	try {
		return await connect({
			servers: typeof servers === "string" ? servers : [...servers],
			maxReconnectAttempts: -1,
			reconnectTimeWait: PAUSE_MS,
		});
	} catch (cause) {
		throw new LogError("unavailable", `no connection to ${String(servers)}`, {
			hint: HINT,
			cause,
		});
	}
}
