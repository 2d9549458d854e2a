/** A header and plain operations, for tests that need a log and do not care what is in it. */
import type { TimedFact } from "../../src/log/write.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";

/** A small header. */
export const HEADER: LogHeader = {
	format: "iommu-ledger",
	version: 1,
	model: "0.1.0",
	origin: "run",
	fidelity: "L2",
	clock: "run",
	seed: 7,
	kernel: "model",
	iommu: { strict: true, cachingMode: false, scalable: false },
	topology: {
		groups: [
			{
				group: "group:1",
				driver: "vtd",
				members: [{ dev: "device:0000:01:00.0", resv: [] }],
			},
		],
		known: "complete",
	},
	switches: {},
};

/** A plausible operation of 4 records that starts after `seq`: map one range. */
export function mapOperation(seq: number, t: number = seq * 10): TimedFact[] {
	const op = seq + 1;
	const iova = 0x1000 * op;
	return [
		{
			t,
			type: "op.begin",
			actor: "ctx:1",
			op,
			data: {
				op: "map",
				args: { iova: `0x${iova.toString(16)}`, len: "0x1000" },
			},
		},
		{
			t: t + 1,
			type: "pages.pinned",
			actor: "ctx:1/pages:1",
			op,
			data: { pages: "ctx:1/pages:1", first: op, n: 1 },
		},
		{
			t: t + 2,
			type: "dom.map",
			actor: "domain:1",
			op,
			data: {
				dom: "domain:1",
				iova,
				pa: 0x10_0000_0000 + iova,
				len: 4096,
				prot: 3,
			},
		},
		{ t: t + 3, type: "op.commit", actor: "ctx:1", op, data: {} },
	];
}

/** `count` such operations, one a batch. */
export const mapOperations = (count: number): TimedFact[][] =>
	Array.from({ length: count }, (_, i) => mapOperation(i * 4));
