/**
 * The from-scratch audit: every state predicate on every entity of a world, whatever was touched. The judge must agree with it at each
 * point where a predicate must hold (test/invariants/audit.test.ts).
 */
import type { World } from "../world/types.ts";
import { CATALOGUE } from "./catalogue.ts";
import {
	aspectsOf,
	isFinding,
	SKIP,
	type Aspect,
	type Finding,
	type Invariant,
	type When,
} from "./invariant.ts";

/** A state predicate that does not hold. */
export interface Audited {
	readonly id: string;
	readonly finding: Finding;
}

function idsOf(world: World, aspect: Aspect): Iterable<string> {
	switch (aspect) {
		case "group":
			return world.groups.map.keys();
		case "device":
			return world.devices.map.keys();
		case "hwpt":
			return world.hwpts.map.keys();
		case "ioas":
			return world.ioases.map.keys();
		case "idev":
			return world.idevs.map.keys();
		case "domain":
			return world.domains.map.keys();
		case "ctx":
			return world.ctxs.map.keys();
		case "access":
			return world.accesses.map.keys();
		case "faultQueue":
			return world.faultQueues.map.keys();
		case "pages":
			return world.pages.map.keys();
	}
}

/** All state predicates of the given times that are broken in this world. */
export function audit(
	world: World,
	whens: readonly When[],
	catalogue: readonly Invariant[] = CATALOGUE,
): Audited[] {
	const list: Audited[] = [];
	for (const invariant of catalogue) {
		const { test } = invariant;
		if (test === undefined || !whens.includes(invariant.when)) continue;
		for (const aspect of aspectsOf(invariant))
			for (const id of idsOf(world, aspect)) {
				const outcome = test(world, id);
				if (outcome !== undefined && outcome !== SKIP && isFinding(outcome))
					list.push({ id: invariant.id, finding: outcome });
			}
	}
	return list;
}
