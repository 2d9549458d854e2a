/** The part of the address after #: where the reader is. `#seq=120&view=topology&actor=group:7&q=type:dom.map`. */
import { VIEWS, type ViewId } from "./views.ts";

/** What an address can say. */
export interface Place {
	readonly seq?: number | undefined;
	readonly view?: ViewId | undefined;
	readonly actor?: string | undefined;
	readonly query?: string | undefined;
}

/** Reads the address. What is not understood is ignored. */
export function readHash(): Place {
	const fields = new URLSearchParams(location.hash.slice(1));
	const seq = Number(fields.get("seq") ?? "x");
	const view = VIEWS.find(([id]) => id === fields.get("view"))?.[0];
	return {
		seq: Number.isSafeInteger(seq) && seq >= 0 ? seq : undefined,
		view,
		actor: fields.get("actor") ?? undefined,
		query: fields.get("q") ?? undefined,
	};
}

/** Writes a place into the address and gives the whole address. */
export function writeHash(place: Place): string {
	const fields = new URLSearchParams();
	if (place.seq !== undefined) fields.set("seq", String(place.seq));
	if (place.view !== undefined) fields.set("view", place.view);
	if (place.actor !== undefined) fields.set("actor", place.actor);
	if (place.query !== undefined) fields.set("q", place.query);
	history.replaceState(null, "", `#${fields}`);
	return location.href;
}
