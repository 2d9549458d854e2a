/** Names of actors in short, for pictures. The full name is always in the title. */
import { visible } from "./visible.ts";

/** `device:0000:01:00.0` → `0000:01:00.0`; `ctx:1/hwpt:3@1` → `hwpt 3`; a second generation keeps its mark: `hwpt 3@2`. */
export function shortName(name: string, manyContexts = false): string {
	const actor = visible(name);
	if (actor.startsWith("device:")) return actor.slice("device:".length);
	const inContext = /^ctx:(\d+)\/([a-z-]+):(\d+)(?:@(\d+))?$/.exec(actor);
	if (inContext !== null) {
		const [, ctx, kind, id, generation] = inContext;
		const suffix =
			generation === undefined || generation === "1" ? "" : `@${generation}`;
		return `${manyContexts ? `ctx ${ctx} ` : ""}${kind} ${id}${suffix}`;
	}
	return actor.replace(/^(group|domain|ctx|iommu|task):/, "$1 ");
}

/** A name cut to a number of characters, for boxes of fixed width. */
export const cut = (name: string, length: number): string =>
	name.length <= length ? name : `${name.slice(0, length - 1)}…`;

/** A name for a narrow place: a PCI address loses its domain, a unit its kind, before it is cut. */
export function narrow(name: string, length: number): string {
	const short =
		name.length <= length ? name : name.replace(/^0000:|^iommu /, "");
	return cut(short, Math.max(2, length));
}
