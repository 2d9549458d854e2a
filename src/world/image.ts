/** A world as plain data (maps, numbers, texts): for snapshots that are kept. */
import type { LogHeader } from "../vocabulary/header.ts";
import { createWorld } from "./create.ts";
import { type MemoryImage, memoryFrom, memoryImage } from "./memory.ts";
import type { Owner } from "./table.ts";
import type { Domain, World } from "./types.ts";
import type { DomainId } from "../vocabulary/ids.ts";

type DomainImage = Omit<Domain, "memory"> & {
	readonly memory: MemoryImage | null;
};
/** Everything but the header, which the log has, and what holds no facts: caches, and what the last record did. */
export interface WorldImage
	extends Omit<World, "header" | "risks" | "effect" | "domains"> {
	readonly domains: {
		readonly own: Owner;
		readonly map: Map<DomainId, DomainImage>;
	};
}

/** Writes a world down. The image shares with the world: write it out before the world goes on. */
export function worldImage(world: World): WorldImage {
	const { header: _, risks: __, effect: ___, domains, ...rest } = world;
	const map = new Map<DomainId, DomainImage>();
	for (const [id, domain] of domains.map)
		map.set(id, {
			...domain,
			memory: domain.memory && memoryImage(domain.memory),
		});
	return { ...rest, domains: { own: domains.own, map } };
}

/** The world that was written down; takes the image's parts over. */
export function worldFrom(header: LogHeader, image: WorldImage): World {
	const { risks, effect } = createWorld(header);
	const map = new Map<DomainId, Domain>();
	for (const [id, { memory, ...domain }] of image.domains.map)
		map.set(id, { ...domain, memory: memory && memoryFrom(memory) });
	return {
		...image,
		header,
		risks,
		effect,
		domains: { own: image.domains.own, map },
	};
}
