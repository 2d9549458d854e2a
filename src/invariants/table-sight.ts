/**
 * PT-19, PT-31, PT-36, PT-37, PT-41, PT-50: what hardware can see of page tables that are logged entry by entry (facts pagetable-semantics.md §5, §6).
 */
import { reachInto } from "../iotlb/reach.ts";
import { spaceAt, walkerOf, type Space } from "../iotlb/state.ts";
import { reachOf } from "../iotlb/tables.ts";
import { leafAt, visitFrom, visitMemory } from "../iotlb/table-walk.ts";
import { mayWalk, visitPossible, type Walker } from "../iotlb/walks.ts";
import { hexOfFrame, showFrames } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import { walkersOf } from "../world/apply-tables.ts";
import type { Stream } from "../world/table-effect.ts";
import type { World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Outcome,
	type RecordChecks,
} from "./invariant.ts";

/** What a DMA to one frame can meet. */
interface Sight {
	readonly fault: boolean;
	readonly targets: ReadonlySet<number>;
	/** Sizes of the entries that translate it, freed memory left out. */
	readonly sizes: ReadonlySet<number>;
}

/** What a DMA to a frame can meet now, through any tag of the domain. */
export function sightOf(world: World, dom: DomainId, frame: number): Sight {
	let fault = false;
	const targets = new Set<number>();
	const sizes = new Set<number>();
	for (const walker of walkersOf(world, dom))
		visitPossible(walker, frame, 1, { memory: true, holes: true }, (one) => {
			if (one.what === "fault") fault = true;
			if (one.what !== "leaf") return;
			targets.add(one.pa + (frame - one.start));
			sizes.add(one.size);
		});
	return { fault, targets, sizes };
}

/** A check of every frame that a device uses all the time, at records that may change what it meets. */
const perStream =
	(
		test: (
			stream: Stream,
			frame: number,
			sight: Sight,
			world: World,
		) => string | undefined,
	) =>
	({ world }: Context, record: LogRecord): Outcome => {
		if (world.streams.length === 0) return SKIP;
		let isChecked = false;
		for (const stream of world.streams) {
			if (world.stopped.has(stream.dev)) continue;
			for (let frame = stream.start; frame < stream.start + stream.n; frame++) {
				const problem = test(
					stream,
					frame,
					sightOf(world, stream.dom, frame),
					world,
				);
				isChecked = true;
				if (problem !== undefined)
					return broken(
						`${stream.dom} ${frame} ${record.seq}`,
						`${stream.dev}, which uses ${hexOfFrame(frame)} all the time, ${problem}`,
						[stream.dev, stream.dom],
						[stream.seq],
					);
			}
		}
		return isChecked ? undefined : SKIP;
	};

const faults = perStream((_stream, _frame, { fault }, world) =>
	fault && !world.iotlb.hardware.pri ? "can fault" : undefined,
);

const conflicts = perStream((_stream, _frame, { sizes, targets }, world) =>
	sizes.size < 2
		? undefined
		: world.iotlb.hardware.bbm < 2
			? `may meet entries of two sizes at once, on hardware of BBM level ${world.iotlb.hardware.bbm}`
			: targets.size > 1
				? "may meet entries that differ in size and target"
				: undefined,
);

const strays = perStream((stream, frame, { targets }) => {
	if (!stream.keep) return undefined;
	for (const target of targets)
		if (stream.targets.get(frame)?.has(target) !== true)
			return `can reach ${hexOfFrame(target)}, which is not where it led`;
	return undefined;
});

/** Records after which a device may meet something else. */
const SEEN_AT: readonly RecordType[] = [
	"slot.written",
	"slot.cleared",
	"table.freed",
	"inv.completed",
	"dma.started",
	"dma.resumed",
];
const at = (
	check: (context: Context, record: LogRecord) => Outcome,
): RecordChecks => Object.fromEntries(SEEN_AT.map((type) => [type, check]));

/** PT-19, PT-37, PT-50 for what devices use all the time. */
export const FAULTS: RecordChecks = at(faults);
export const CONFLICTS: RecordChecks = at(conflicts);
export const STRAYS: RecordChecks = at(strays);

/** Places that are looked at per stale entry. */
const PLACES_MAX = 64;

/** Frames at which stale entries and memory may disagree: where either begins. */
function* places({ tables, walks }: Walker): Generator<number> {
	for (const entry of walks.entries.values()) {
		if (entry.kind === "negative") continue;
		let left = PLACES_MAX;
		if (entry.kind !== "directory")
			for (
				let start = entry.start;
				start < entry.start + entry.n && left > 0;
				start += entry.unit, left--
			)
				yield start;
		const list: number[] = [];
		const note = ({ start }: { readonly start: number }): boolean => {
			list.push(Math.max(start, entry.start));
			return list.length < PLACES_MAX;
		};
		const page = tables.pages.get(entry.table);
		if (entry.kind === "directory" && page !== undefined)
			visitFrom(tables, page, entry.start, entry.start, entry.n, false, note);
		visitMemory(tables, entry.start, entry.n, false, note);
		yield* list;
	}
}

/** PT-37 at rest: what differs now differs until somebody evicts it. */
export function differsForEver(world: World, dom: string): Outcome {
	const tables = world.iotlb.tables.get(dom as DomainId);
	const walkers = tables === undefined ? [] : walkersOf(world, dom as DomainId);
	if (walkers.length === 0) return SKIP;
	if (walkers.some(({ pending }) => pending.length > 0)) return SKIP;
	for (const walker of walkers)
		for (const frame of places(walker)) {
			const { sizes, targets } = sightOf(world, dom as DomainId, frame);
			if (sizes.size < 2 && targets.size < 2) continue;
			return broken(
				`${dom} ${frame}`,
				`entries of ${hexOfFrame(frame)} in ${dom} that differ in ${targets.size > 1 ? "target" : "size"} stay for ever: no invalidation of the old ones is under way`,
				[dom as DomainId],
				[],
			);
		}
	return undefined;
}

/** PT-31: a command that spares walk caches reaches the range of an unlinked table. */
export function sparesWalks(
	{ world }: Context,
	{ data, seq }: LogRecord<"inv.issued">,
): Outcome {
	if (
		world.iotlb.tables.size === 0 ||
		data.ih !== true ||
		data.kind === "devtlb"
	)
		return SKIP;
	const unit = world.iotlb.units.get(data.iommu);
	const command = unit?.pending.at(-1);
	if (unit === undefined || command === undefined) return SKIP;
	let isChecked = false;
	for (const space of unit.spaces.values()) {
		const reach = reachInto(world.iotlb.hardware, unit, command, space);
		if (reach.leaf === "none") continue;
		const walker = walkerOf(world.iotlb, space);
		if (walker === undefined) continue;
		isChecked = true;
		const { tables } = walker;
		for (const page of [...tables.waiting, ...tables.freed]) {
			const isOpen =
				page.life === "freed" ? mayWalk(walker, page) : !page.flushed;
			const n = reachOf(tables, page);
			const start = page.bases.find(
				(base) => base < command.start + command.n && command.start < base + n,
			);
			if (!isOpen || start === undefined) continue;
			return broken(
				`${space.dom} ${page.id} ${seq}`,
				`a flush of leaf entries only reaches ${showFrames(start, n)} of ${space.dom}, whose table ${page.id} was unlinked at #${page.unlinkedSeq} without a flush of walk caches since`,
				[space.dom, data.iommu],
				[page.unlinkedSeq],
			);
		}
	}
	return isChecked ? undefined : SKIP;
}

/** PT-36, entry by entry: hardware filled what a walk could not have found. */
export function filledFromNowhere(
	{ world }: Context,
	{ data, seq }: LogRecord<"hw.filled">,
): Outcome {
	const space = spaceAt(
		world.iotlb.units.get(data.iommu),
		data.did,
		data.pasid ?? 0,
	);
	const walker = space === undefined ? undefined : walkerOf(world.iotlb, space);
	if (space === undefined || walker === undefined) return SKIP;
	const frame = Math.floor(Number(data.iova) / 4096);
	let isThere = false;
	if (data.kind === "directory") {
		const page = walker.tables.pages.get(data.table ?? -1);
		isThere = page !== undefined && mayWalk(walker, page);
	} else
		visitPossible(walker, frame, 1, { memory: true, holes: true }, (one) => {
			isThere ||=
				data.pa === undefined
					? one.what !== "leaf"
					: one.what === "leaf" &&
						one.pa + (frame - one.start) === Math.floor(Number(data.pa) / 4096);
		});
	if (isThere) return undefined;
	return broken(
		`${space.dom} ${frame} ${seq}`,
		`${data.iommu} cached ${data.kind === "directory" ? `a pointer to table ${data.table}` : data.pa === undefined ? "nothing" : `0x${data.pa.toString(16)}`} for ${hexOfFrame(frame)} of ${space.dom}, which no walk can have found`,
		[data.iommu, space.dom],
		[space.changedSeq],
	);
}

/** PT-41: a device's TLB is invalidated while the IOTLB, from which it refills, may still hold the old entry. */
export function deviceBeforeIotlb(
	{ world }: Context,
	{ data, seq }: LogRecord<"inv.issued">,
): Outcome {
	if (data.kind !== "devtlb") return SKIP;
	const unit = world.iotlb.units.get(data.iommu);
	const command = unit?.pending.at(-1);
	if (unit === undefined || command === undefined) return SKIP;
	let isChecked = false;
	const { hardware } = world.iotlb;
	for (const space of unit.spaces.values()) {
		if (reachInto(hardware, unit, command, space).device === "none") continue;
		if (!isUnder(world, space, command.sid)) continue;
		isChecked = true;
		const earlier = unit.pending.filter(
			(one) => reachInto(hardware, unit, one, space).leaf !== "none",
		);
		const stale =
			rangeBefore(space, command.start, command.n, earlier) ??
			entryBefore(world, space, command.start, command.n, earlier);
		if (stale === undefined) continue;
		return broken(
			`${space.dom} ${stale.start} ${seq}`,
			`the device's TLB is invalidated for ${showFrames(stale.start, stale.n)} of ${space.dom} while the IOTLB of ${data.iommu} may still hold what was cleared at #${stale.since}: the device refills from there`,
			[space.dom, data.iommu],
			[stale.since],
			{ since: stale.since },
		);
	}
	return isChecked ? undefined : SKIP;
}

/** May the device with this requester id have filled its TLB from the tag? */
const isUnder = (
	{ iotlb }: World,
	{ live, setting }: Space,
	sid: number | undefined,
): boolean =>
	sid === undefined || !iotlb.entries || live.has(sid) || setting.has(sid);

type Queued = {
	readonly start: number;
	readonly n: number;
	readonly seq: number;
};

interface Before {
	readonly start: number;
	readonly n: number;
	readonly since: number;
}
/** Does a command that was queued earlier, and will be carried out earlier, take it? */
const isCovered = (
	pending: readonly Queued[],
	{ start, n, since }: Before,
): boolean =>
	pending.some(
		(one) =>
			one.seq > since && one.start <= start && start + n <= one.start + one.n,
	);

/** A stale range that no command queued earlier takes. */
function rangeBefore(
	{ stale: ranges }: Space,
	start: number,
	n: number,
	pending: readonly Queued[],
): Before | undefined {
	for (const stale of ranges)
		for (const part of stale.parts) {
			const before = { ...part, since: stale.seq };
			if (part.start >= start + n || start >= part.start + part.n) continue;
			if (!isCovered(pending, before)) return before;
		}
	return undefined;
}

/** The same entry by entry: an IOTLB entry that leads elsewhere than memory. */
function entryBefore(
	world: World,
	space: Space,
	start: number,
	n: number,
	pending: readonly Queued[],
): Before | undefined {
	const walker = walkerOf(world.iotlb, space);
	if (walker === undefined) return undefined;
	let found: Before | undefined;
	visitPossible(walker, start, n, { memory: false, holes: false }, (one) => {
		if (found !== undefined || one.what !== "leaf" || one.device) return;
		if (isCovered(pending, one)) return;
		const end = Math.min(one.start + one.n, start + n);
		for (let frame = Math.max(one.start, start); frame < end; ) {
			const leaf = leafAt(walker.tables, frame);
			if (
				leaf === undefined ||
				leaf.pa + (frame - leaf.start) !== one.pa + (frame - one.start)
			) {
				found = one;
				return;
			}
			frame = leaf.start + leaf.n;
		}
	});
	return found;
}
