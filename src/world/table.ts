/**
 * Copy on write for maps of entities. A world owns the entities that carry its token: those it changes in place; all others it
 * copies first. A snapshot takes the token away from both sides, so each copies what it touches from then on (DESIGN §4).
 */

/** Identity only. */
export type Owner = object;
/** A map of entities that knows who may change it. */
export interface Table<K, E> {
	own: Owner;
	map: Map<K, E>;
}

/** An empty table. */
export const newTable = <K, E>(own: Owner): Table<K, E> => ({
	own,
	map: new Map(),
});

/** The table's map, writable by `own`: a copy when somebody else may still read it. */
function writable<K, E>(table: Table<K, E>, own: Owner): Map<K, E> {
	if (table.own !== own) {
		table.map = new Map(table.map);
		table.own = own;
	}
	return table.map;
}

/** Stores an entity. */
export function put<K, E extends { own: Owner }>(
	table: Table<K, E>,
	own: Owner,
	id: K,
	entity: E,
): E {
	writable(table, own).set(id, entity);
	return entity;
}

/** Removes an entity. */
export function drop<K, E>(table: Table<K, E>, own: Owner, id: K): void {
	if (table.map.has(id)) writable(table, own).delete(id);
}

/** The entity for writing, or undefined. Entities with inner structures that need copying have functions of their own. */
export function edit<K, E extends { own: Owner }>(
	table: Table<K, E>,
	own: Owner,
	id: K,
): E | undefined {
	const entity = table.map.get(id);
	if (entity === undefined || entity.own === own) return entity;
	return put(table, own, id, { ...entity, own });
}

/** The same table for a snapshot: shares the map; whoever writes next copies it. */
export const share = <K, E>(table: Table<K, E>): Table<K, E> => ({
	own: table.own,
	map: table.map,
});
