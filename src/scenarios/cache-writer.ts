/** Writes the records of cache runs: numbers, times, commands with their completion. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { DeviceId, DomainId } from "../vocabulary/ids.ts";
import type { Json } from "../vocabulary/fields.ts";
import {
	fact,
	type Fact,
	type LogRecord,
	type RecordData,
} from "../vocabulary/records.ts";
import { oneDeviceHeader } from "./one-device-header.ts";
import { REQUESTER, UNIT } from "./table-flushes.ts";

/** A log. */
export interface CacheLog {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
}
/** What a cache run's machine is. */
export interface CacheMachine {
	readonly driver: "vtd" | "smmu-v3" | "amd-vi";
	readonly strict?: boolean;
	readonly scalable?: boolean;
	readonly switches?: { readonly [name: string]: Json };
}

/** The header of a cache run. */
export const cacheHeader = (machine: CacheMachine): LogHeader => {
	const { driver, strict = true, scalable = false, switches = {} } = machine;
	return oneDeviceHeader(driver, { strict, scalable }, switches);
};

type Command = Omit<RecordData<"inv.issued">, "iommu" | "inv">;
/** An entry of a requester. */
export interface EntryOf {
	readonly dom: DomainId;
	readonly did: number;
	readonly dev?: DeviceId;
	readonly pasid?: number;
}

/** Collects the records. */
export class CacheWriter {
	readonly records: LogRecord[] = [];
	/** The time of the next record, in ns. */
	t = 0;
	#inv = 0;

	add({ type, actor, data }: Fact): void {
		const seq = this.records.length + 1;
		const { t } = this;
		this.records.push({ seq, t, type, actor, op: 0, data } as LogRecord);
	}
	/** The entry of the requester is live. */
	enter(entry: EntryOf): void {
		this.add(
			fact("ctx.entry.set", UNIT, { iommu: UNIT, sid: REQUESTER, ...entry }),
		);
	}
	/** Commands, and the wait for them, which takes so long. */
	flush(commands: readonly Command[], ns = 0): void {
		for (const command of commands)
			this.add(
				fact("inv.issued", UNIT, { iommu: UNIT, inv: ++this.#inv, ...command }),
			);
		this.t += ns;
		if (commands.length > 0)
			this.add(fact("inv.completed", UNIT, { iommu: UNIT, inv: this.#inv }));
	}
}
