/** The contents of IOASes and the user memory behind them, out of the fold. */
import { pageSpan } from "../../../machines/iopt-areas.ts";
import { PAGE_SIZE, type PageInterval } from "../../../machines/iopt-pages.ts";
import type { Mem, Pages } from "../../../machines/iopt-pages.ts";
import { treeSet, type Tree } from "../../../machines/iopt-tree.ts";
import type { Area, Iopt } from "../../../machines/iopt.ts";
import { areasOf, emptyIopt, wantedAlignment } from "../../../machines/iopt.ts";
import type { Domain } from "../../../machines/ops/types.ts";
import type { CtxId, DomainId, PagesId } from "../../vocabulary/ids.ts";
import { contextOf, kernelNumber } from "../../vocabulary/ids.ts";
import { eachArea } from "../../world/areas.ts";
import type { Ioas, World } from "../../world/types.ts";
import type { Notes } from "./notes-state.ts";

/** The pins of accesses in an IOAS. */
const pinsIn = (ioas: Ioas, notes: Notes) =>
	ioas.accs.flatMap((access) => notes.items.get(access)?.items ?? []);

function areaTree(ioas: Ioas, notes: Notes): Tree<bigint, Area> {
	const pins = pinsIn(ioas, notes);
	let areas: Tree<bigint, Area>;
	eachArea(ioas.areas, (area) => {
		const start = BigInt(area.start);
		const last = BigInt(area.last);
		areas = treeSet(areas, start, {
			start,
			last,
			prot: area.prot,
			off: BigInt(area.off),
			nacc: pins.filter((p) => p.iova <= last && p.last >= start).length,
			prevent: area.prevent,
			...(area.pages === undefined || area.state !== "live"
				? {}
				: { pages: area.pages }),
			...(area.sdom === undefined ? {} : { sdom: area.sdom }),
		});
	});
	return areas;
}

/** The contents of one IOAS. */
export function contentsOf(
	ioas: Ioas,
	world: World,
	notes: Notes,
	made: ReadonlyMap<DomainId, Domain>,
): Iopt {
	const doms = ioas.doms.map((dom) => {
		const { driver, pgsizes, apertureStart, apertureLast } = made.get(dom)!;
		return { dom, driver, pgsizes, apertureStart, apertureLast };
	});
	const accs = ioas.accs.map((access) => {
		const pinning = world.accesses.map.get(access)?.pinning === true;
		return { access, align: pinning ? PAGE_SIZE : 1n };
	});
	const { noLarge } = ioas;
	return {
		...emptyIopt(),
		areas: areaTree(ioas, notes),
		allowed: ioas.allowed.map(([start, last]) => ({
			start: BigInt(start),
			last: BigInt(last),
		})),
		resv: ioas.resv.flatMap(({ owner, ranges }) =>
			ranges.map(([start, last]) => ({
				owner,
				start: BigInt(start),
				last: BigInt(last),
			})),
		),
		doms,
		accs,
		noLarge,
		align: wantedAlignment({ doms, accs, noLarge }),
	};
}

function count(list: PageInterval[], first: number, last: number): void {
	const at = list.findIndex((iv) => iv.first === first && iv.last === last);
	if (at < 0) list.push({ first, last, count: 1 });
	else list[at] = { first, last, count: list[at]!.count + 1 };
}

/** The memory of every context: who holds which pages follows from areas and pins. */
export function memoryOf(
	world: World,
	notes: Notes,
	contents: ReadonlyMap<Ioas, Iopt>,
): Map<CtxId, Mem> {
	const held = new Map<
		PagesId,
		{ ref: number; domIv: PageInterval[]; accIv: PageInterval[] }
	>();
	for (const id of notes.pages.keys())
		held.set(id, { ref: 0, domIv: [], accIv: [] });
	for (const [ioas, iopt] of contents) {
		const pins = pinsIn(ioas, notes);
		for (const area of areasOf(iopt)) {
			const holders = area.pages && held.get(area.pages);
			if (!holders) continue;
			holders.ref++;
			const { first, last } = pageSpan(area);
			if (area.sdom !== undefined) count(holders.domIv, first, last);
			for (const pin of pins) {
				const start = pin.iova > area.start ? pin.iova : area.start;
				const end = pin.last < area.last ? pin.last : area.last;
				if (start > end) continue;
				const off = area.off + (start - area.start);
				const span = pageSpan({ ...area, start, last: end, off });
				count(holders.accIv, span.first, span.last);
			}
		}
	}
	const mem = new Map<CtxId, Mem>();
	for (const [ctx, { pagesMade }] of notes.ctxs)
		mem.set(ctx, {
			pages: undefined,
			next: pagesMade + 1,
			locked: new Map(),
		});
	for (const [id, note] of notes.pages) {
		const ctx = contextOf(id);
		const before = mem.get(ctx)!;
		const pages: Pages = {
			id,
			...note,
			acct: "NONE",
			account: "",
			...held.get(id)!,
			npin: note.store.reduce((n, run) => n + run.n, 0),
		};
		mem.set(ctx, {
			...before,
			pages: treeSet(before.pages, kernelNumber(id), pages),
		});
	}
	return mem;
}
