/** Two moments of a log compared: what the world said then and what it says now, fact by fact. */
import type { World } from "../../world/types.ts";
import type { Difference } from "../worker/protocol.ts";
import { topologyOf } from "./topology.ts";

/** Facts by actor and what, as a JSON pair: names can hold anything. */
export type Facts = ReadonlyMap<string, string>;

const key = (actor: string, what: string): string =>
	JSON.stringify([actor, what]);
const said = (value: unknown): string =>
	value === undefined ? "not known" : String(value);

/** The facts of a world that a diff compares. */
export function factsOf(world: World): Facts {
	const facts = new Map<string, string>();
	const topology = topologyOf(world);
	for (const group of topology.groups) {
		facts.set(key(group.id, "current domain (books)"), said(group.dom));
		facts.set(key(group.id, "owner"), said(group.owner ?? "none"));
		facts.set(key(group.id, "claims"), said(group.claims));
		for (const device of group.devices) {
			facts.set(
				key(device.id, "hardware translates through"),
				said(device.hardware),
			);
			facts.set(
				key(device.id, "attached to (books)"),
				device.hwpt ?? "nothing",
			);
			const wrong = device.hazards.map((hazard) => hazard.text).join("; ");
			if (wrong !== "") facts.set(key(device.id, "hazard"), wrong);
		}
	}
	for (const hwpt of topology.hwpts) {
		facts.set(key(hwpt.id, "users"), said(hwpt.users));
		facts.set(key(hwpt.id, "devices"), said(hwpt.devices));
	}
	for (const domain of topology.domains) {
		facts.set(key(domain.id, "mapped bytes"), said(domain.mappedBytes));
		facts.set(key(domain.id, "devices in hardware"), said(domain.devices));
		facts.set(key(domain.id, "stale ranges"), said(domain.staleRanges));
		if (domain.isFreed) facts.set(key(domain.id, "freed"), "yes");
	}
	for (const ioas of topology.ioases) {
		facts.set(key(ioas.id, "areas"), said(ioas.areas));
		facts.set(key(ioas.id, "domains"), ioas.domains.join(", ") || "none");
	}
	for (const ioas of world.ioases.map.values())
		for (const { owner, ranges } of ioas.resv)
			facts.set(
				key(ioas.id, `reserved for ${owner}`),
				`${ranges.length} ranges`,
			);
	return facts;
}

/** What differs, in the order of the facts. */
export function differences(before: Facts, after: Facts): Difference[] {
	const all = new Set([...before.keys(), ...after.keys()]);
	const found: Difference[] = [];
	for (const fact of all) {
		const was = before.get(fact) ?? "–";
		const is = after.get(fact) ?? "–";
		if (was === is) continue;
		const [actor, what] = JSON.parse(fact) as [string, string];
		found.push({ what, actor, before: was, after: is });
	}
	return found;
}
