/** The checks of IOP-1 … IOP-16; the list is in iova.ts. */
import type { U64 } from "../vocabulary/fields.ts";
import type { IoasId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	areaAt,
	areaHolding,
	areaMeeting,
	eachArea,
	lastOf,
	type Area,
} from "../world/areas.ts";
import { framesOf, presentFrames } from "../world/memory.ts";
import type { Domain, Ioas, World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

export const hex = (value: U64): string => `0x${value.toString(16)}`;

export const show = (area: {
	readonly start: U64;
	readonly last: U64;
}): string => `${hex(area.start)}-${hex(area.last)}`;

export const ioasIn = (world: World, id: string): Ioas | undefined =>
	world.ioases.map.get(id as IoasId);

export function claimed(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.claimed">,
): Outcome {
	const { ioas } = world.effect;
	if (ioas === undefined) return SKIP;
	const other = areaMeeting(
		ioas.areas,
		data.iova,
		data.last,
		ownArea(ioas, data.iova, seq),
	);
	if (other === undefined) return undefined;
	return broken(
		`${data.ioas} ${seq}`,
		`${show({ start: data.iova, last: data.last })} was claimed in ${data.ioas} over ${show(other)}`,
		[ioas.id],
		[other.seq],
	);
}

/** The area that record `seq` made. */
function ownArea(ioas: Ioas, start: U64, seq: number): Area | undefined {
	const area = areaAt(ioas.areas, start);
	return area?.seq === seq ? area : undefined;
}

export function overReserved(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.claimed">,
): Outcome {
	const { ioas } = world.effect;
	if (ioas === undefined) return SKIP;
	for (const entry of ioas.resv)
		for (const [start, last] of entry.ranges)
			if (data.iova <= last && data.last >= start)
				return broken(
					`${data.ioas} ${seq}`,
					`${show({ start: data.iova, last: data.last })} was claimed in ${data.ioas} over ${hex(start)}-${hex(last)}, reserved for ${entry.owner}`,
					[ioas.id, entry.owner],
					[entry.seq],
				);
	return undefined;
}

export function reservedOver(
	{ world }: Context,
	{ data, seq }: LogRecord<"resv.added">,
): Outcome {
	const ioas = ioasIn(world, data.ioas);
	if (ioas === undefined) return SKIP;
	for (const [start, last] of data.ranges) {
		const area = areaMeeting(ioas.areas, start, last);
		if (area !== undefined)
			return broken(
				`${data.ioas} ${seq}`,
				`${hex(start)}-${hex(last)} was reserved for ${data.owner} in ${data.ioas} over the area ${show(area)}`,
				[ioas.id, data.owner],
				[area.seq],
			);
	}
	return undefined;
}

/** Is all of the area mapped in this domain? Undefined when the log does not tell. */
function filled(domain: Domain, area: Area): boolean | undefined {
	if (domain.mapped < 0) return undefined;
	if (domain.memory === null) return false;
	const { unit } = domain.memory;
	const start = framesOf(area.start, unit);
	const end = framesOf(
		typeof area.last === "number" ? area.last + 1 : area.last + 1n,
		unit,
	);
	if (start < 0 || end < 0) return undefined;
	return presentFrames(domain.memory, start, end - start) === end - start;
}

export function isFilled(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.live">,
): Outcome {
	const { ioas } = world.effect;
	const area = ioas === undefined ? undefined : areaAt(ioas.areas, data.iova);
	if (ioas === undefined || area === undefined || ioas.doms.length === 0)
		return SKIP;
	for (const dom of ioas.doms) {
		const domain = world.domains.map.get(dom);
		if (domain !== undefined && filled(domain, area) === false)
			return broken(
				`${data.ioas} ${dom} ${seq}`,
				`${show(area)} is live in ${data.ioas} but not all of it is mapped in ${dom}`,
				[ioas.id, dom],
				[area.seq, domain.mapSeq],
			);
	}
	return undefined;
}

export function domainJoined(
	{ world }: Context,
	{ data, seq }: LogRecord<"iopt.dom.added">,
): Outcome {
	const ioas = ioasIn(world, data.ioas);
	const domain = world.domains.map.get(data.dom);
	if (ioas === undefined || domain === undefined || ioas.areas.count === 0)
		return SKIP;
	let bad: Area | undefined;
	eachArea(ioas.areas, (area) => {
		if (
			bad === undefined &&
			area.state === "live" &&
			filled(domain, area) === false
		)
			bad = area;
	});
	if (bad === undefined) return undefined;
	return broken(
		`${data.ioas} ${data.dom} ${seq}`,
		`${data.dom} joined ${data.ioas} without all of ${show(bad)} mapped`,
		[ioas.id, data.dom],
		[bad.seq, domain.mapSeq],
	);
}

/** IOP-8: a map into a user's domain must lie in an area. */
export function mapOutside(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.map">,
): Outcome {
	const { domain } = world.effect;
	if (
		domain === undefined ||
		!world.seen.areas ||
		domain.hwpt === undefined ||
		domain.cookie
	)
		return SKIP;
	const ioas = world.ioases.map.get(
		domain.ioas ?? (world.hwpts.map.get(domain.hwpt)?.ioas as IoasId),
	);
	if (ioas === undefined) return SKIP;
	const last = lastOf(data.iova, data.len);
	if (areaHolding(ioas.areas, data.iova, last) !== undefined) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`${hex(data.iova)}-${hex(last)} was mapped in ${data.dom} outside every area of ${ioas.id}`,
		[data.dom, ioas.id],
		[domain.mapSeq],
	);
}

export function areaGone(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.gone">,
): Outcome {
	const { ioas } = world.effect;
	if (ioas === undefined || ioas.doms.length === 0) return SKIP;
	for (const dom of ioas.doms) {
		const domain = world.domains.map.get(dom);
		if (domain === undefined || domain.memory === null || domain.mapped < 0)
			continue;
		const start = framesOf(data.iova, domain.memory.unit);
		if (start >= 0 && presentFrames(domain.memory, start, 1) > 0)
			return broken(
				`${data.ioas} ${dom} ${seq}`,
				`the area at ${hex(data.iova)} of ${data.ioas} is gone but ${dom} still maps it`,
				[ioas.id, dom],
				[domain.mapSeq, domain.unmapSeq],
			);
	}
	return undefined;
}

export function unmapExact(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.unmap">,
): Outcome {
	const { domain } = world.effect;
	if (domain === undefined || domain.hwpt === undefined) return SKIP;
	if (data.unmapped === data.len) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`unmapping ${hex(data.len)} bytes at ${hex(data.iova)} of ${data.dom} reported ${hex(data.unmapped)}`,
		[data.dom],
		[domain.mapSeq],
	);
}

export function unmapWhole(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.unmap">,
): Outcome {
	const { domain } = world.effect;
	if (
		domain === undefined ||
		domain.hwpt === undefined ||
		domain.mapped < 0 ||
		domain.memory === null
	)
		return SKIP;
	const frames = framesOf(data.unmapped, domain.memory.unit);
	if (world.effect.problem !== undefined || frames < 0) return SKIP;
	if (world.effect.present === frames) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`${hex(data.unmapped)} bytes at ${hex(data.iova)} of ${data.dom} were unmapped, of which ${world.effect.present} page(s) of ${frames} had been mapped`,
		[data.dom],
		[domain.mapSeq],
	);
}

/** IOP-11: the last open operation ends. */
export function settled(
	{ world }: Context,
	record: LogRecord<"op.commit" | "op.fail">,
): Outcome {
	if (!world.seen.areas || world.ops.size !== 1 || !world.ops.has(record.op))
		return SKIP;
	if (world.unsettled === 0) return undefined;
	for (const ioas of world.ioases.map.values()) {
		if (ioas.gone || ioas.unsettled === 0) continue;
		let bad: Area | undefined;
		eachArea(ioas.areas, (area) => {
			if (area.state !== "live") bad ??= area;
		});
		if (bad !== undefined)
			return broken(
				`${ioas.id} ${bad.seq}`,
				`${show(bad)} in ${ioas.id} is ${bad.state} with no operation open`,
				[ioas.id],
				[bad.seq],
			);
	}
	return undefined;
}
