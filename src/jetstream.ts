/**
 * `iommu-ledger/jetstream`: the log store on a NATS JetStream server (docs/scale.md). An entry of its own, since it loads the NATS client.
 *
 * @example
 * ```ts
 * import { openNatsStore } from "iommu-ledger/jetstream";
 *
 * console.log(typeof openNatsStore); // "function"
 * ```
 */
export type { LogStore } from "./log/store.ts";
export { type NatsStoreOptions, openNatsStore } from "./log/nats-store.ts";
export { createStream } from "./log/nats-stream.ts";
