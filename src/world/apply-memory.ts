/** Folding of page tables and caches: dom.map, dom.unmap, inv.*, ctx.entry.*, tags (facts pagetable §5, §9). */
import { entryCleared, entrySet, entrySetting } from "../iotlb/contexts.ts";
import {
	cleared,
	leftToQueue,
	complete,
	issue,
	mapped,
	mayHold,
	tableUnlinked,
} from "../iotlb/entries.ts";
import { assignDid, changeTag, releaseDid, tagWalked } from "../iotlb/tags.ts";
import type { U64 } from "../vocabulary/fields.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { noteQueued } from "./apply-queue.ts";
import { domainOf, iotlbOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import {
	frameAt,
	framesOf,
	leafEnd,
	mapFrames,
	newMemory,
	presentFrames,
	unmapFrames,
	visitRuns,
	type Memory,
} from "./memory.ts";
import type { Domain, World } from "./types.ts";

/** The page table of a domain, made at the first map. */
export const memoryOf = (domain: Domain): Memory =>
	(domain.memory ??= newMemory(
		domain.pageMin,
		domain.apertureLast,
		domain.pgsizes,
	));

const EVERYWHERE = { start: 0, n: Number.MAX_SAFE_INTEGER } as const;

const isOfIotlb = (kind: string): boolean =>
	kind === "iotlb" || kind === "piotlb";

/** A block of 2^mask pages at `addr` in frames; everything where the record names none. */
function blockOf(
	addr: U64 | undefined,
	mask: number | undefined,
): { start: number; n: number } {
	if (addr === undefined) return EVERYWHERE;
	const n = 2 ** (mask ?? 0);
	const frame = Math.floor(Number(addr) / 4096);
	return { start: Math.floor(frame / n) * n, n };
}

/** Frames of a byte range, rounded outwards. */
export function frameRange(
	start: U64,
	last: U64,
): { readonly start: number; readonly n: number } {
	const first = Math.floor(Number(start) / 4096);
	return { start: first, n: Math.floor(Number(last) / 4096) - first + 1 };
}

function applyMap(world: World, r: LogRecord<"dom.map">): void {
	const { data } = r;
	const domain = domainOf(world, data.dom);
	const { effect } = world;
	effect.domain = domain;
	const memory = memoryOf(domain);
	const iova = framesOf(data.iova, memory.unit);
	const pa = framesOf(data.pa, memory.unit);
	const n = framesOf(data.len, memory.unit);
	effect.problem = undefined;
	effect.overlap = 0;
	if (iova < 0 || pa < 0 || n < 0) {
		effect.problem = "not a multiple of the smallest page";
		return;
	}
	domain.mapSeq = r.seq;
	effect.overlap = domain.mapped === 0 ? 0 : presentFrames(memory, iova, n);
	// Without any right only the selftest's domain maps (every real format refuses that before it is on record); its entries have none.
	const errno = mapFrames(memory, iova, pa, n, data.prot || 3);
	if (errno !== 0) effect.problem = `the page table refused it with ${errno}`;
	else if (domain.mapped >= 0) domain.mapped += n - effect.overlap;
	if (world.iotlb.armed) mapped(iotlbOf(world), data.dom, iova, n, r.seq);
}

function applyUnmap(world: World, r: LogRecord<"dom.unmap">): void {
	const { data } = r;
	const domain = domainOf(world, data.dom);
	const { effect } = world;
	effect.domain = domain;
	effect.problem = undefined;
	effect.present = 0;
	domain.unmapSeq = r.seq;
	domain.unmapT = r.t;
	const memory = memoryOf(domain);
	const iova = framesOf(data.iova, memory.unit);
	const n = framesOf(data.unmapped, memory.unit);
	if (iova < 0 || n < 0) {
		effect.problem = "not a multiple of the smallest page";
		return;
	}
	if (n === 0) return;
	effect.present = presentFrames(memory, iova, n);
	const asked = framesOf(data.len, memory.unit);
	effect.beyond =
		asked > 0 && n > asked
			? leafEnd(memory, iova + asked - 1) - (iova + asked)
			: 0;
	if (world.iotlb.armed && mayHold(world.iotlb, data.dom))
		noteCleared(world, domain, memory, r, iova, n);
	unmapFrames(memory, iova, n);
	if (domain.mapped >= 0) domain.mapped -= effect.present;
}

/** What vanishes from memory may stay in caches. What was mapped before the log began is stale with an unknown target. */
function noteCleared(
	world: World,
	domain: Domain,
	memory: Memory,
	r: LogRecord<"dom.unmap">,
	iova: number,
	n: number,
): void {
	const iotlb = iotlbOf(world);
	const at = {
		seq: r.seq,
		op: r.op,
		t: r.t,
		queued: r.data.queued === true,
	};
	if (world.effect.present === n || domain.mapped >= 0)
		visitRuns(memory, iova, n, (start, pa, count, unit) =>
			cleared(iotlb, domain.id, start, count, pa, unit, at),
		);
	else
		cleared(
			iotlb,
			domain.id,
			iova,
			n,
			n === 1 ? frameAt(memory, iova) : -1,
			0,
			at,
		);
}

const entryFacts = (
	world: World,
	r: LogRecord<"ctx.entry.set" | "ctx.entry.setting" | "ctx.entry.cleared">,
) => ({
	iommu: r.data.iommu,
	sid: r.data.sid,
	pasid: r.data.pasid ?? 0,
	dom: r.data.dom,
	did: r.data.did,
	dev: r.data.dev,
	seq: r.seq,
	preexisting: isPreexisting(world, r.data.dom),
});

/** Was the domain alive before the log? */
const isPreexisting = (world: World, dom: DomainId | undefined): boolean =>
	dom !== undefined && domainOf(world, dom).createdSeq === 0;

function changeTagBy(
	world: World,
	data: LogRecord<"tag.assigned" | "tag.unassigned">["data"],
	seq: number,
	delta: 1 | -1,
): void {
	world.seen.tags = true;
	const { iommu, did, dom, pasid = 0, ref } = data;
	const preexisting = isPreexisting(world, dom);
	changeTag(
		iotlbOf(world),
		{ iommu, did, pasid, dom, seq, preexisting },
		delta,
		ref,
	);
}

export const APPLY_MEMORY: Appliers = {
	"fq.queued": (world, r) => {
		const { data } = r;
		noteQueued(world, r);
		const iova = Math.floor(Number(data.iova) / 4096);
		const n = Math.ceil(Number(data.len) / 4096);
		if (world.iotlb.armed) leftToQueue(iotlbOf(world), data.dom, iova, n);
	},
	"dom.map": applyMap,
	"dom.unmap": applyUnmap,
	"did.assigned": (world, { data, seq }) => {
		const preexisting = isPreexisting(world, data.dom);
		world.effect.tagLeft = assignDid(iotlbOf(world), {
			...data,
			seq,
			preexisting,
		});
	},
	"did.released": (world, { data }) =>
		releaseDid(iotlbOf(world), data.iommu, data.did),
	"tag.assigned": (world, { data, seq }) => changeTagBy(world, data, seq, 1),
	"tag.unassigned": (world, { data, seq }) => changeTagBy(world, data, seq, -1),
	"tag.flushed": (world, { data, seq }) => {
		if (data.dom !== undefined)
			assignDid(iotlbOf(world), {
				iommu: data.iommu,
				did: data.did,
				dom: data.dom,
				seq,
				preexisting: isPreexisting(world, data.dom),
			});
		tagWalked(iotlbOf(world), data.iommu, data.did, data.pasid ?? 0);
	},
	"ctx.entry.setting": (world, r) =>
		entrySetting(iotlbOf(world), entryFacts(world, r)),
	"ctx.entry.set": (world, r) =>
		void entrySet(iotlbOf(world), entryFacts(world, r)),
	"ctx.entry.cleared": (world, r) =>
		void entryCleared(iotlbOf(world), entryFacts(world, r)),
	"inv.issued": (world, { data, seq, op }) => {
		const { start, n } =
			data.gran === "page" || data.kind === "devtlb"
				? blockOf(data.addr, data.mask)
				: EVERYWHERE;
		if (world.calls.size > 0 && isOfIotlb(data.kind))
			world.calls.get(op)?.commands.push({ start, n, pa: -1 });
		issue(iotlbOf(world), data.iommu, {
			inv: data.inv,
			seq,
			op,
			kind: data.kind,
			gran: data.gran,
			did: data.did,
			start,
			n,
			leafOnly: data.ih === true,
			sid: data.sid,
			pasid: data.pasid,
			stage: data.stage,
			ttl: data.ttl,
			by: world.iotlb.tables.size === 0 ? undefined : world.ops.get(op)?.actor,
		});
	},
	"inv.completed": (world, { data, seq, t }) =>
		complete(iotlbOf(world), data.iommu, data.inv, seq, t),
	"table.unlinked": (world, { data, seq }) => {
		const { tables } = world.iotlb;
		if (tables.size > 0 && tables.has(data.dom)) {
			const page = iotlbOf(world).tables.get(data.dom)?.pages.get(data.table);
			if (page !== undefined) page.claimed = true;
			return;
		}
		if (!world.iotlb.armed || data.iova === undefined) return;
		// A level-1 table spans 512 pages, and 512 times more per level above (facts pagetable §1.1).
		const n = 512 ** (data.level ?? 1);
		const start = Math.floor(Number(data.iova) / 4096 / n) * n;
		tableUnlinked(
			iotlbOf(world),
			data.dom,
			data.table,
			start,
			n,
			seq,
			"unlinked",
		);
	},
	"table.superseded": (world, { data, seq }) => {
		domainOf(world, data.dom).supersededSeq = seq;
		if (!world.iotlb.armed) return;
		const { start, n } = frameRange(data.iova, data.last);
		tableUnlinked(iotlbOf(world), data.dom, 0, start, n, seq, "superseded");
	},
};
