/**
 * The invalidation queue of the one IOMMU (facts pagetable-semantics.md §5.2): hardware carries commands out in any order, but a thread that waits
 * for its own has waited for all that were queued before them, whoever queued them: VT-d's wait descriptor goes in with the command
 * (intel/dmar.c:qi_submit_sync), CMD_SYNC and COMPLETION_WAIT stand behind it. Kept only where it can matter: where several
 * threads issue commands, or one issues a command that it does not wait for at once.
 * A state holds, for every site, the sites that were pending when it was issued and have not been carried out since.
 */
import { QUEUE, union, writes } from "./footprint.ts";
import type { Operation, Site } from "./operations.ts";

export interface Queue {
	/** A command is queued. */
	issued(s: Uint8Array, site: number): void;
	/** It has been carried out. */
	performed(s: Uint8Array, site: number): void;
	/** The pending sites that stood before any of these in the queue. */
	before(s: Uint8Array, sites: readonly number[]): number[];
}

const PENDING = 1;

/** The queue, when its order can matter. `loose`: commands are issued that are not waited for at once. `take` takes bytes of the state. */
export function buildQueue(
	sites: readonly Site[],
	loose: boolean,
	take: (n: number) => number,
): Queue | undefined {
	const threads = new Set(sites.map(({ thread }) => thread)).size;
	if (threads < 2 && !(loose && sites.length > 1)) return undefined;
	const bytes = (sites.length + 7) >> 3;
	const at = take(bytes * sites.length);
	const isPending = (s: Uint8Array, site: number): boolean =>
		s[sites[site]?.at ?? 0] === PENDING;
	const forget = (s: Uint8Array, site: number): void => {
		for (let other = 0; other < sites.length; other++) {
			const byte = at + other * bytes + (site >> 3);
			s[byte] = (s[byte] as number) & ~(1 << (site & 7));
		}
	};
	return {
		issued(s, site) {
			forget(s, site);
			s.fill(0, at + site * bytes, at + (site + 1) * bytes);
			for (let other = 0; other < sites.length; other++) {
				if (other === site || !isPending(s, other)) continue;
				const byte = at + site * bytes + (other >> 3);
				s[byte] = (s[byte] as number) | (1 << (other & 7));
			}
		},
		performed: forget,
		before(s, wanted) {
			const found: number[] = [];
			for (let other = 0; other < sites.length; other++)
				if (
					wanted.some(
						(site) =>
							((s[at + site * bytes + (other >> 3)] as number) &
								(1 << (other & 7))) !==
							0,
					)
				)
					found.push(other);
			return found;
		},
	};
}

/** With a shared queue the order of commands counts, and a wait may carry out those of others. */
export function inQueue(
	sites: readonly Site[],
	program: readonly Operation[],
): Operation[] {
	const others = sites.map(({ footprint }) => footprint);
	return program.map((o) => {
		if (o.site === undefined && o.waits !== true) return o;
		const more = o.waits === true ? others : [];
		const footprint = union(o.footprint, writes(0, QUEUE), ...more);
		return { ...o, footprint };
	});
}
