/** A world as plain data (maps, numbers, texts): for snapshots that are kept. */
import type { Iotlb } from "../iotlb/state.ts";
import type { Tables } from "../iotlb/tables.ts";
import { settleConfig } from "../pagetable/table.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import { createWorld } from "./create.ts";
import { type MemoryImage, memoryFrom, memoryImage } from "./memory.ts";
import type { Owner } from "./table.ts";
import type { Domain, World } from "./types.ts";
import type { DomainId } from "../vocabulary/ids.ts";

type DomainImage = Omit<Domain, "memory"> & {
	readonly memory: MemoryImage | null;
};
/** A page table that is logged entry by entry, without the functions of its format. */
type TablesImage = Omit<Tables, "config">;
/** Everything but the header, which the log has, and what holds no facts: caches, and what the last record did. */
export interface WorldImage
	extends Omit<World, "header" | "risks" | "effect" | "domains" | "iotlb"> {
	readonly domains: {
		readonly own: Owner;
		readonly map: Map<DomainId, DomainImage>;
	};
	readonly iotlb: Omit<Iotlb, "tables"> & {
		readonly tables: Map<DomainId, TablesImage>;
	};
}

/** Writes a world down. The image shares with the world: write it out before the world goes on. */
export function worldImage(world: World): WorldImage {
	const { header: _, risks: __, effect: ___, domains, iotlb, ...rest } = world;
	const tables = new Map<DomainId, TablesImage>();
	for (const [id, { config: ____, ...one }] of iotlb.tables)
		tables.set(id, one);
	const map = new Map<DomainId, DomainImage>();
	for (const [id, domain] of domains.map)
		map.set(id, {
			...domain,
			memory: domain.memory && memoryImage(domain.memory),
		});
	return {
		...rest,
		domains: { own: domains.own, map },
		iotlb: { ...iotlb, tables },
	};
}

/** The world that was written down; takes the image's parts over. */
export function worldFrom(header: LogHeader, image: WorldImage): World {
	const { risks, effect } = createWorld(header);
	const map = new Map<DomainId, Domain>();
	for (const [id, { memory, ...domain }] of image.domains.map)
		map.set(id, { ...domain, memory: memory && memoryFrom(memory) });
	const tables = new Map<DomainId, Tables>();
	for (const [id, one] of image.iotlb.tables)
		tables.set(id, { ...one, config: settleConfig(one.request) });
	return {
		...image,
		iotlb: { ...image.iotlb, tables },
		header,
		risks,
		effect,
		domains: { own: image.domains.own, map },
	};
}
