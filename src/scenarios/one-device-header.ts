/** The header of a run that is written record by record, on a machine with one group of one device. */
import type { Json } from "../vocabulary/fields.ts";
import {
	FORMAT_VERSION,
	type LogHeader,
	MODEL_VERSION,
} from "../vocabulary/header.ts";
import { groupId } from "../vocabulary/ids.ts";
import { DEV } from "./table-flushes.ts";

/** The header; `switches` say how the run is made again. */
export const oneDeviceHeader = (
	driver: string,
	iommu: { readonly strict: boolean; readonly scalable: boolean },
	switches: { readonly [name: string]: Json },
): LogHeader => ({
	format: "iommu-ledger",
	version: FORMAT_VERSION,
	model: MODEL_VERSION,
	origin: "run",
	fidelity: "L2",
	clock: "run",
	seed: 0,
	kernel: "model",
	iommu: { strict: iommu.strict, cachingMode: false, scalable: iommu.scalable },
	topology: {
		known: "complete",
		groups: [{ group: groupId(1), driver, members: [{ dev: DEV, resv: [] }] }],
	},
	switches,
});
