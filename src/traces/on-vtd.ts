/**
 * The VT-d driver (drivers/iommu/intel/iommu.c, cache.c): attach of one device, context and PASID entries, cache tags.
 * Liveness follows facts/kernel-findings.md F2: a context entry is being set from vtd_ctx_map on and live from its return; in
 * scalable mode it counts as live from the domain's id being taken (vtd_dom_attach_iommu) to the end of the tear-down. The finding is
 * unreported as far as we know: it has to go to the kernel's security contact before this repository is made public.
 */
import type { Device, Domain, Iommu } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import { enter, innermost, inside, leave } from "./lanes.ts";
import { refused } from "./on-group.ts";
import { entrySet, settleUnmap } from "./pending.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";
import { newWords, splitWords, wordNumber, wordText } from "./words.ts";

const words = newWords();

/** intel_iommu_attach_device entry. */
export function onVtdAttachIn(state: State, lane: Lane): void {
	// Sets without the return probe leave the previous one open: they never nest.
	if (innermost(lane)?.kind === "vtd_attach") lane.frames.pop();
	enter(lane, {
		kind: "vtd_attach",
		domain: state.domainAt(K.dom),
		device: state.deviceAt(K.dev),
	});
}

/** … and return. */
export function onVtdAttachRet(state: State, lane: Lane): void {
	const frame = leave(lane, "vtd_attach");
	const ret = state.line.num(K.ret);
	if (ret === 0 || frame === undefined) return;
	refused(state, lane, frame, ret);
	const { device } = frame;
	if (device !== undefined && device.live === frame.domain)
		pasidCleared(state, lane, device);
}

/** blocking_domain_attach_dev, identity_domain_attach_dev: the domain of the attach that follows. */
export function onStaticAttach(state: State, lane: Lane): void {
	const frame = inside(lane, "dev_set_domain");
	const domain = state.domainAt(K.dom);
	if (frame !== undefined && domain !== undefined) frame.domain = domain;
}

/** device_block_translation: the old translation of the device is torn down. */
export function onBlock(state: State, lane: Lane): void {
	const device = state.deviceAt(K.dev);
	lane.blocking = device?.live === undefined ? undefined : device;
}

/** The PASID entry goes with its cache invalidation. */
export function clearPasidEntry(state: State, lane: Lane): void {
	const { blocking } = lane;
	lane.blocking = undefined;
	if (blocking !== undefined) pasidCleared(state, lane, blocking);
}

function pasidCleared(state: State, lane: Lane, device: Device): void {
	const domain = device.live;
	device.live = undefined;
	if (domain === undefined || device.sid < 0) return;
	state.emit(lane, "ctx.entry.cleared", device.id, {
		sid: device.sid,
		dom: domain.id,
		dev: device.id,
	});
}

/** domain_attach_iommu returned: the domain has an id on the unit. In scalable mode the entry follows with no probe of its own. */
export function onDomAttachIommu(state: State, lane: Lane): void {
	if (state.line.num(K.ret) !== 0) return;
	clearPasidEntry(state, lane);
	const device = inside(lane, "vtd_attach")?.device;
	const domain = state.dmarDomain(K.dmar);
	if (state.shown.scalable !== true) return;
	if (device === undefined || domain === undefined || device.sid < 0) return;
	const data = { sid: device.sid, dom: domain.id, dev: device.id };
	state.emit(lane, "ctx.entry.setting", device.id, data);
	state.emit(lane, "ctx.entry.set", device.id, data);
	device.live = domain;
}

/** domain_context_mapping_one entry (legacy mode). */
export function onContextMap(state: State, lane: Lane): void {
	const { line } = state;
	const domain = state.dmarDomain(K.dmar);
	const sid = line.num(K.bus) * 256 + line.num(K.devfn);
	if (domain === undefined || !(sid >= 0 && sid <= 0xffff))
		return state.unexplained("dmar, bus or devfn is unreadable");
	if (state.shown.scalable === "unknown") state.shown.scalable = false;
	const device = inside(lane, "vtd_attach")?.device;
	const iommu = state.unitAt(K.iommu);
	lane.setting = { sid, iommu, domain, device };
	lane.open = true;
	state.emit(lane, "ctx.entry.setting", domain.id, {
		...(iommu === undefined ? {} : { iommu: iommu.id }),
		sid,
		dom: domain.id,
		...(device === undefined ? {} : { dev: device.id }),
	});
}

/** … and return: the entry is live. */
export function onContextMapRet(state: State, lane: Lane): void {
	const ret = state.line.num(K.ret);
	const { setting } = lane;
	if (setting === undefined) return;
	if (ret === 0) return entrySet(state, lane);
	lane.setting = undefined;
	lane.clearing = setting;
	lane.open = true;
}

/** domain_context_clear_one entry: cleared for sure by the lane's next line. */
export function onContextClear(state: State, lane: Lane): void {
	const { line } = state;
	const sid = line.num(K.bus) * 256 + line.num(K.devfn);
	if (!(sid >= 0 && sid <= 0xffff))
		return state.unexplained("bus or devfn is unreadable");
	if (state.shown.scalable === "unknown") state.shown.scalable = false;
	lane.clearing = {
		sid,
		iommu: undefined,
		domain: undefined,
		device: inside(lane, "dev_set_domain")?.device,
	};
	lane.open = true;
}

/** cache_tag_assign / cache_tag_unassign entry: pairs the domain's pointer with its id. */
export function onTagCall(assign: boolean) {
	return (state: State, lane: Lane): void => {
		const domain = state.dmarDomain(K.dmar);
		const did = state.line.num(K.did);
		if (domain === undefined || !(did >= 0))
			return state.unexplained("dmar or did is unreadable");
		const call = { domain, did, device: state.deviceAt(K.dev) };
		if (assign) lane.tag = call;
		else lane.untag = call;
	};
}

/** "dmar0/dmar0 type iotlb did 16 pasid 0 ref 1" */
interface TagLine {
	readonly iommu: Iommu;
	readonly did: number;
	/** Empty for requests without PASID. */
	readonly pasid: { readonly pasid?: number };
	readonly ref: number;
	readonly iotlb: boolean;
}

function tagLine(state: State): TagLine | undefined {
	const { line } = state;
	splitWords(line, words);
	const pair = wordText(line, words, 0);
	const slash = pair.indexOf("/");
	const did = wordNumber(line, words, 4);
	const pasid = wordNumber(line, words, 6);
	const ref = wordNumber(line, words, 8);
	if (slash <= 0 || !(did >= 0) || !(ref >= 0)) {
		state.unexplained("not a cache tag");
		return undefined;
	}
	return {
		iommu: state.ids.iommu(pair.slice(0, slash)),
		did,
		pasid: pasid > 0 ? { pasid } : {},
		ref,
		// Device-TLB tags carry the same id for another cache; a nesting parent's tags carry the ids of the domains nested on it.
		iotlb: wordText(line, words, 2) === "iotlb",
	};
}

/** cache_tag_assign: `ref` after the increment. */
export function onTagAssign(state: State, lane: Lane): void {
	const tag = tagLine(state);
	const call = lane.tag;
	lane.tag = undefined;
	if (tag === undefined || !tag.iotlb) return;
	const frame = inside(lane, "vtd_attach");
	const told = call?.did === tag.did ? call.domain : frame?.domain;
	const known = tag.iommu.domains.get(tag.did);
	const domain =
		told ??
		(tag.ref > 1 && known !== undefined
			? known
			: state.ids.newDomain(Number.NaN));
	if (told === undefined) lane.tagged = { domain };
	if (known !== domain) {
		tag.iommu.domains.set(tag.did, domain);
		state.emit(lane, "did.assigned", domain.id, {
			iommu: tag.iommu.id,
			did: tag.did,
			dom: domain.id,
		});
	}
	const device = call?.device ?? frame?.device;
	state.emit(lane, "tag.assigned", domain.id, {
		iommu: tag.iommu.id,
		did: tag.did,
		...tag.pasid,
		dom: domain.id,
		...(device === undefined ? {} : { dev: device.id }),
		ref: tag.ref,
	});
}

/** cache_tag_unassign: `ref` before the decrement. */
export function onTagUnassign(state: State, lane: Lane): void {
	const tag = tagLine(state);
	const call = lane.untag;
	lane.untag = undefined;
	if (tag === undefined || !tag.iotlb) return;
	const told = call?.did === tag.did ? call.domain : undefined;
	const domain: Domain | undefined = told ?? tag.iommu.domains.get(tag.did);
	if (told === undefined) lane.tagged ??= { domain: undefined };
	const ref = Math.max(0, tag.ref - 1);
	const device = call?.device;
	state.emit(lane, "tag.unassigned", domain?.id ?? "host", {
		iommu: tag.iommu.id,
		did: tag.did,
		...tag.pasid,
		...(domain === undefined ? {} : { dom: domain.id }),
		...(device === undefined ? {} : { dev: device.id }),
		ref,
	});
	if (ref > 0 || domain === undefined || tag.pasid.pasid !== undefined) return;
	if (!tag.iommu.domains.has(tag.did)) tag.iommu.domains.set(tag.did, domain);
	lane.released = { iommu: tag.iommu, did: tag.did, domain };
	lane.open = true;
}

/** cache_tag_flush_range, _np: "dmar0 dmar0[0] type iotlb did 13 [0x4e800000-0x4e800fff] addr 0x4e800000 pages 0x1 mask 0x0" */
export const onTagFlushRange = (state: State, lane: Lane): void =>
	tagFlush(state, lane, true);
/** The same after a new mapping (caching mode): it ends no unmap. */
export const onTagFlushNew = (state: State, lane: Lane): void =>
	tagFlush(state, lane, false);

function tagFlush(state: State, lane: Lane, ofUnmap: boolean): void {
	const { line } = state;
	splitWords(line, words);
	const unit = wordText(line, words, 0);
	const did = wordNumber(line, words, 5);
	const addr = wordNumber(line, words, 8);
	const mask = wordNumber(line, words, 12);
	if (unit === "" || !(did >= 0) || !(addr >= 0) || !(mask >= 0))
		return state.unexplained("not a tag flush");
	const iommu = state.ids.iommu(unit);
	const domain = flushedDomain(state, lane, iommu, did);
	if (lane.unmap !== undefined && domain !== undefined)
		settleUnmap(state, lane, domain, "flush of its domain id by the same task");
	const start = rangeAsked(state);
	if (
		ofUnmap &&
		lane.sync === undefined &&
		lane.unmapped !== undefined &&
		domain !== undefined &&
		start !== undefined
	) {
		lane.sync = { domain, start: start[0], last: start[1], queued: false };
		lane.open = true;
	}
	const sane = Number.isSafeInteger(addr);
	state.emit(lane, "tag.flushed", iommu.id, {
		iommu: iommu.id,
		did,
		...(domain === undefined ? {} : { dom: domain.id }),
		...(sane ? { addr, mask } : { all: true }),
	});
}

/** The domain that holds an id; learned from the flush call around the line when the id was given before the trace. */
function flushedDomain(
	state: State,
	lane: Lane,
	iommu: Iommu,
	did: number,
): Domain | undefined {
	const told = lane.flushing;
	const known = iommu.domains.get(did);
	if (known !== undefined) return known;
	// Without probes the id is the only name a domain has.
	if (told === undefined && state.shown.probes) return undefined;
	const domain = told ?? state.ids.newDomain(Number.NaN);
	iommu.domains.set(did, domain);
	state.emit(lane, "did.assigned", domain.id, {
		iommu: iommu.id,
		did,
		dom: domain.id,
	});
	return domain;
}

/** The range asked for, "[start-end]". */
function rangeAsked(state: State): readonly [number, number] | undefined {
	const { line } = state;
	const open = words.starts[6] as number;
	const close = (words.ends[6] as number) - 1;
	let dash = open;
	while (dash < close && line.buf[dash] !== 45) dash++;
	const start = line.numberAt(open + 1, dash);
	const end = line.numberAt(dash + 1, close);
	return Number.isSafeInteger(start) && Number.isSafeInteger(end)
		? [start, end]
		: undefined;
}

/** cache_tag_flush_all. */
export function onTagFlushAll(state: State, lane: Lane): void {
	const tag = tagLine(state);
	if (tag === undefined) return;
	const domain = flushedDomain(state, lane, tag.iommu, tag.did);
	state.emit(lane, "tag.flushed", tag.iommu.id, {
		iommu: tag.iommu.id,
		did: tag.did,
		...tag.pasid,
		...(domain === undefined ? {} : { dom: domain.id }),
		all: true,
	});
}

/** dmar_fault: the fault interrupt; which access, the emulator's or the kernel's log tells. */
export function onFault(state: State, lane: Lane): void {
	const [only, more] = state.ids.iommus.values();
	const iommu =
		state.unitAt(K.iommu) ?? (more === undefined ? only : undefined);
	if (iommu === undefined)
		return state.undecided("fault of a unit not named before");
	state.emit(lane, "dma.fault", iommu.id, { iommu: iommu.id });
}
