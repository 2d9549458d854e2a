/** Every definition of machines/, by id. */
import type { AnyDefinition } from "../../machines/define.ts";
import { device } from "../../machines/device.ts";
import { domain } from "../../machines/domain.ts";
import { host } from "../../machines/host.ts";
import { hwpt } from "../../machines/hwpt.ts";
import { ioas } from "../../machines/ioas.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { iommufdCtx } from "../../machines/iommufd-ctx.ts";
import { transactionsOf } from "../../src/orchestrator/flows.ts";
import { SAGA_MACHINES } from "../../src/orchestrator/saga/plans.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";

/** Entities. */
export const ENTITIES: readonly AnyDefinition[] = [
	host,
	iommuGroup,
	device,
	hwpt,
	domain,
	ioas,
	iommufdCtx,
];
/** Transactions, each once. */
export const TRANSACTIONS: readonly AnyDefinition[] = [
	...new Set(
		FLOWS.flatMap(
			(flow) =>
				Object.values(transactionsOf(flow) as object) as AnyDefinition[],
		),
	),
];
/** What user space does of itself: sagas. */
export const SAGAS: readonly AnyDefinition[] = Object.values(SAGA_MACHINES);
/** All of them. */
export const DEFINITIONS: readonly AnyDefinition[] = [
	...ENTITIES,
	...TRANSACTIONS,
	...SAGAS,
];
