/** The invalidations of a table run: what each driver sends for a flush, with its completion (src/iotlb/commands.ts). */
import {
	amdFlush,
	smmuFlush,
	vtdFlush,
	type RangeCommand,
} from "../iotlb/commands.ts";
import type { Effect } from "../pagetable/events.ts";
import { deviceId, domainId } from "../vocabulary/ids.ts";
import { fact, type Fact } from "../vocabulary/records.ts";
import type { TableRun } from "./table-run.ts";

/** The one device, domain and IOMMU of a table run, its requester id, who calls, and bytes of a page. */
export const DEV = deviceId("0000:01:00.0");
export const DOM = domainId(1);
export const UNIT = "iommu:unit0" as const;
export const REQUESTER = 0x100;
export const PAGE = 4096;
/** iommu_map and its kin are called by this task. */
export const TASK = "task:caller" as const;

/** Writes invalidations through `add`. */
export class TableFlushes {
	readonly #run: TableRun;
	readonly #add: (f: Fact) => void;
	#inv = 0;

	constructor(run: TableRun, add: (f: Fact) => void) {
		this.#run = run;
		this.#add = add;
	}

	/** What a driver asked of others, as records. */
	effect(effect: Effect): void {
		switch (effect[0]) {
			case "W":
				return this.send(
					smmuFlush(
						{ start: effect[1], last: effect[1] + effect[2] - 1 },
						effect[3],
						false,
						0,
					),
				);
			case "ALL":
				return this.send([{ start: 0, mask: 0, all: true, ih: false, ttl: 0 }]);
			case "SY":
				return this.#run.driver === "smmu-v3"
					? this.#synced(effect[1], effect[2], effect[3])
					: this.#gather(effect[1], effect[2]);
			case "FL":
				return this.range(
					effect[2] > 0
						? { start: effect[1], last: effect[1] + effect[2] - 1 }
						: undefined,
					false,
				);
			case "Q":
				if (effect[3] !== 0) this.#gather(effect[1], effect[2]);
				return this.range(
					effect[2] < effect[1]
						? undefined
						: { start: effect[1], last: effect[2] },
					effect[4] === 1,
				);
			case "DTE":
				this.#command({ kind: "context", gran: "device", sid: REQUESTER });
				return this.#wait();
			case "DW":
				this.#add(
					fact("data.walked", TASK, {
						dom: DOM,
						pa: effect[1] * PAGE,
						slot: 0,
					}),
				);
				return;
			case "FD":
				this.#add(fact("data.freed", TASK, { dom: DOM, pa: effect[1] * PAGE }));
				return;
			default:
		}
	}

	/** The driver is asked to flush what a gather holds. */
	#gather(start: number, last: number): void {
		const isEmpty = last < start || this.#run.fault === "gather-not-filled";
		this.#add(
			fact(
				"gather.synced",
				DOM,
				isEmpty
					? { dom: DOM }
					: { dom: DOM, iova: start * PAGE, last: (last + 1) * PAGE - 1 },
			),
		);
	}

	/** arm_smmu_iotlb_sync: range commands for leaf entries of the gathered size, which they name (TTL); none when no page was added. */
	#synced(start: number, last: number, granule: number): void {
		this.#gather(start, last);
		if (granule === 0 || last < start) return;
		// A v7s table is not behind an SMMUv3: its commands name no level.
		const isNamed = this.#run.request.format !== "arm_v7s";
		const ttl = !isNamed ? 0 : granule >= 2 ** 18 ? 1 : granule >= 512 ? 2 : 3;
		this.send(smmuFlush({ start, last }, 1, true, ttl));
	}

	/** The driver's commands for a range; undefined: an empty gather. */
	range(
		range: { readonly start: number; readonly last: number } | undefined,
		ih: boolean,
	): void {
		const { driver, fault } = this.#run;
		const commands =
			driver === "vtd"
				? vtdFlush(range, ih)
				: driver === "amd-vi"
					? amdFlush(range)
					: smmuFlush(range, 1, ih, 0);
		this.send(
			fault === "encoder-rounds-down"
				? commands.map((one) => ({ ...one, mask: Math.max(0, one.mask - 1) }))
				: commands,
		);
	}

	/** Commands, and the wait for them. */
	send(commands: readonly RangeCommand[]): void {
		for (const { all, start, mask, ih, ttl } of commands)
			this.#command(
				all
					? { kind: "iotlb", gran: "domain", did: 1 }
					: {
							kind: "iotlb",
							gran: "page",
							did: 1,
							addr: start * PAGE,
							mask,
							...(ih ? { ih } : {}),
							...(ttl > 0 ? { ttl } : {}),
						},
			);
		if (commands.length > 0) this.#wait();
	}

	#command(fields: {
		readonly kind: string;
		readonly gran: string;
		readonly did?: number;
		readonly addr?: number;
		readonly mask?: number;
		readonly ih?: boolean;
		readonly sid?: number;
		readonly ttl?: number;
	}): void {
		this.#inv++;
		this.#add(
			fact("inv.issued", UNIT, { iommu: UNIT, inv: this.#inv, ...fields }),
		);
	}

	#wait(): void {
		this.#add(fact("inv.completed", UNIT, { iommu: UNIT, inv: this.#inv }));
	}
}
