/** Connecting to JetStream servers, and making the stream that holds logs. */
import {
	JetStreamApiError,
	type JetStreamManager,
	jetstreamManager,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { LogError } from "./error.ts";

/** Between two tries to reach a server. */
export const PAUSE_MS = 100;
/** What to do when a server cannot be reached. */
export const HINT =
	"Is the server running, and are its addresses right? What was acknowledged is in the stream.";

/**
 * Makes the stream for logs, or leaves it as it is. `subjects` such as `iommu.ledger.>`. `replicas`: 1, 3 or 5; with 1, losing the
 * server's disk loses the logs. Throws LogError `unavailable`.
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
		if (await exists(manager, name)) return;
		// Nothing ages out and nothing can be deleted: the log is append-only.
		await manager.streams.add({
			name,
			subjects: [...subjects],
			num_replicas: replicas,
			deny_delete: true,
			deny_purge: true,
			allow_direct: true,
		});
	} catch (cause) {
		throw new LogError("unavailable", `no stream ${name}: ${String(cause)}`, {
			hint: "Does the server run with JetStream (-js), with room and, for replicas, in a cluster? Do its subjects overlap another stream's?",
			cause,
		});
	} finally {
		await connection.close();
	}
}

/** The server's code for "stream not found". */
const NO_STREAM = 10059;

async function exists(
	manager: JetStreamManager,
	name: string,
): Promise<boolean> {
	try {
		await manager.streams.info(name);
		return true;
	} catch (error) {
		if (error instanceof JetStreamApiError && error.code === NO_STREAM)
			return false;
		throw error;
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
