/**
 * What a device's DMA can see by the projection: the set of physical frames, and "blocked", that its requester may be given now. Once
 * every invalidation has completed the set has one element; a translation that should be gone makes it larger (facts pagetable §5.1).
 */
import { spacesOf, type Space } from "../iotlb/state.ts";
import type { DeviceId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { frameAt } from "../world/memory.ts";
import type { Device, World } from "../world/types.ts";

/** Stands for "no translation" in a set of frames. */
export const BLOCKED = -1;
const FRAME = 4096;

/**
 * The frames that an access of `dev` to `frame` may reach, BLOCKED among them where it may be refused; undefined when the log does not
 * know what its hardware uses. `from`: when the access began.
 */
export function predictDma(
	world: World,
	dev: DeviceId,
	frame: number,
	from: number,
): ReadonlySet<number> | undefined {
	const device = world.devices.map.get(dev);
	if (device === undefined) return undefined;
	if (inInterruptWindow(device, frame)) return new Set([BLOCKED]);
	const seen = new Set<number>();
	const known = world.iotlb.entries
		? throughEntries(world, device, frame, from, seen)
		: throughHardware(world, device, frame, from, seen);
	return known && seen.size > 0 ? seen : undefined;
}

/** Requests there are interrupts, never translated (kernel-findings F1, D3). */
const inInterruptWindow = (device: Device, frame: number): boolean =>
	device.regions?.some(
		({ kind, start, last }) =>
			kind === "msi" &&
			Number(start) <= frame * FRAME + FRAME - 1 &&
			frame * FRAME <= Number(last),
	) === true;

/** Context entries are logged: what each requester id finds there. */
function throughEntries(
	world: World,
	device: Device,
	frame: number,
	from: number,
	seen: Set<number>,
): boolean {
	// Its last switch is in the log: every entry of it was written there.
	if (device.hwSeq === 0 || device.sids.length === 0) return false;
	let known = true;
	for (const sid of device.sids) {
		let found = false;
		for (const unit of world.iotlb.units.values()) {
			const entry = unit.contexts.get(sid);
			if (entry !== undefined) {
				found = true;
				known = inSpace(world, entry.space, frame, from, seen) && known;
			}
			for (const stale of unit.staleContexts)
				if (stale.sid === sid && stale.pasid === 0)
					known = inSpace(world, stale.space, frame, from, seen) && known;
			for (const space of unit.spaces.values())
				if (space.pasid === 0 && space.setting.has(sid))
					known = inSpace(world, space, frame, from, seen) && known;
		}
		if (!found) seen.add(BLOCKED);
	}
	return known;
}

/** They are not: the domain that the device's hardware was given last. */
function throughHardware(
	world: World,
	device: Device,
	frame: number,
	from: number,
	seen: Set<number>,
): boolean {
	if (device.hw === undefined) return false;
	const spaces = spacesOf(world.iotlb, device.hw).filter(
		({ dom, pasid }) => dom === device.hw && pasid === 0,
	);
	let known = true;
	for (const space of spaces)
		known = inSpace(world, space, frame, from, seen) && known;
	if (spaces.length > 0) return known;
	const group =
		device.group === undefined ? undefined : world.groups.map.get(device.group);
	const blocks =
		group?.blk === device.hw ||
		world.domains.map.get(device.hw)?.kind === "blocked";
	if (blocks) seen.add(BLOCKED);
	return blocks;
}

/** What a tag offers: memory, and every stale entry that no completed invalidation covers. */
function inSpace(
	world: World,
	space: Space,
	frame: number,
	from: number,
	seen: Set<number>,
): boolean {
	const domain = world.domains.map.get(space.dom);
	if (domain?.kind === "blocked") {
		seen.add(BLOCKED);
		return true;
	}
	const { memory } = domain ?? {};
	if (memory === null || memory === undefined) return false;
	const at = frameAt(memory, frame);
	// Of a domain that is older than the log only what was mapped since is known.
	if (at < 0 && (domain?.mapped ?? -1) < 0) return false;
	seen.add(at);
	const past = world.iotlb.dropped.filter(({ t }) => t >= from);
	for (const stale of [...space.stale, ...past.map((one) => one.stale)]) {
		if (stale.dom !== space.dom) continue;
		if (frame < stale.start || frame >= stale.start + stale.n) continue;
		if (stale.pa < 0) return false;
		seen.add(stale.pa + (frame - stale.start));
	}
	return true;
}

/** How the accesses of devices in a log met their predictions. Counts. */
export interface Predictions {
	predicted: number;
	/** The log does not know enough. */
	unpredicted: number;
	/** By the size of the predicted set. */
	readonly sizes: Map<number, number>;
	/** What the device saw is not in the set. */
	outside: number;
	/** First record of each kind of miss: outside, or the same words seen in two frames. */
	outsideSeq: number;
	/** What devices said that they saw, told apart by the predicted frame: words → frame. At most WORDS_MAX. */
	readonly frames: Map<string, number>;
	/** Frames that a device wrote: what is in them came from elsewhere. */
	readonly written: Set<number>;
	/** Reads whose words were seen in the predicted frame before / in another one. */
	agreed: number;
	disagreed: number;
}
const WORDS_MAX = 10_000;

/** No access yet. */
export const newPredictions = (): Predictions => ({
	predicted: 0,
	unpredicted: 0,
	sizes: new Map(),
	outside: 0,
	outsideSeq: 0,
	frames: new Map(),
	written: new Set(),
	agreed: 0,
	disagreed: 0,
});

/** Compares one access with its prediction. */
export function notePrediction(
	sums: Predictions,
	world: World,
	{ data, seq, t }: LogRecord<"dma.done">,
): void {
	if (data.outcome === "unknown") return;
	const frame = Math.floor(Number(data.iova) / FRAME);
	const seen = predictDma(world, data.dev, frame, data.from ?? t);
	if (seen === undefined) {
		sums.unpredicted++;
		return;
	}
	sums.predicted++;
	sums.sizes.set(seen.size, (sums.sizes.get(seen.size) ?? 0) + 1);
	const inside =
		data.outcome === "blocked"
			? seen.has(BLOCKED)
			: seen.size > 1 || !seen.has(BLOCKED);
	if (!inside) {
		sums.outside++;
		sums.outsideSeq ||= seq;
	}
	const [only] = seen;
	if (seen.size === 1 && only !== undefined && data.outcome === "done")
		compareWords(sums, data, only);
}

/** The same words come from the same frame, unless a device carried them there. */
function compareWords(
	sums: Predictions,
	data: LogRecord<"dma.done">["data"],
	frame: number,
): void {
	if (data.write) {
		if (sums.written.size < WORDS_MAX) sums.written.add(frame);
		return;
	}
	if (data.what === undefined || sums.written.has(frame)) return;
	const before = sums.frames.get(data.what);
	if (before === undefined) {
		if (sums.frames.size < WORDS_MAX) sums.frames.set(data.what, frame);
	} else if (before === frame) sums.agreed++;
	else sums.disagreed++;
}
