/**
 * intel_iommu:qi_submit: one descriptor of the invalidation queue (facts/trace-formats.md §2; bit layouts as in
 * drivers/iommu/intel/iommu.h, QI_*). `inv_wait` is never shown, but qi_submit_sync() waits: completion is in pending.ts.
 */
import type { U64 } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";
import type { RecordData } from "../vocabulary/records.ts";
import type { Iommu } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import { clearPasidEntry } from "./on-vtd.ts";
import { settleUnmap } from "./pending.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";
import { newWords, splitWords, wordHalves, wordText } from "./words.ts";

/** Descriptor types, bits 3:0 of the first word. */
const QI = {
	context: 1,
	iotlb: 2,
	devtlb: 3,
	iec: 4,
	wait: 5,
	piotlb: 6,
	pasid: 7,
	pasidDevtlb: 8,
} as const;
const GRANULARITY = ["?", "global", "domain", "page"] as const;
const CONTEXT_GRANULARITY = ["?", "global", "domain", "device"] as const;
/** pc_inv: 0 all PASIDs of a domain, 1 one PASID, 3 everything. */
const PASID_GRANULARITY = ["domain", "pasid", "?", "global"] as const;
/** p_iotlb_inv: 2 everything of a PASID, 3 pages. */
const PIOTLB_GRANULARITY = ["?", "?", "pasid", "page"] as const;

const words = newWords();
const first = new Uint32Array(2);
const second = new Uint32Array(2);

type Issued = Omit<RecordData<"inv.issued">, "iommu" | "inv">;

/** qi_submit. */
export function onQiSubmit(state: State, lane: Lane): void {
	const { line } = state;
	splitWords(line, words);
	const unit = wordText(line, words, 1);
	if (
		!unit.endsWith(":") ||
		unit.length < 2 ||
		!wordHalves(line, words, 2, first) ||
		!wordHalves(line, words, 3, second)
	)
		return state.unexplained("not a descriptor");
	const iommu = state.ids.iommu(unit.slice(0, -1));
	if (!Number.isNaN(lane.unitPointer)) {
		state.ids.iommusByPointer.set(lane.unitPointer, iommu);
		lane.unitPointer = Number.NaN;
	}
	const type = (first[1] as number) & 0xf;
	if (type === QI.wait) return;
	const command = decode(type);
	if (command === undefined)
		return state.unexplained(`descriptor type ${type} is not known`);
	if (type === QI.pasid || type === QI.piotlb) state.shown.scalable = true;
	if (type === QI.pasid) clearPasidEntry(state, lane);
	if (type === QI.context || type === QI.iotlb)
		state.calls.witness?.descriptor(
			type === QI.context ? "context" : "iotlb",
			command.did ?? -1,
			command.addr,
			command.mask,
			command.sid,
		);
	const domain = iommu.domains.get(command.did ?? -1);
	if (lane.unmap !== undefined && type === QI.iotlb && domain !== undefined)
		settleUnmap(state, lane, domain, "descriptor by the same task");
	issue(state, lane, iommu, command);
}

/** Records a command and remembers that the lane waits for it. */
function issue(state: State, lane: Lane, iommu: Iommu, command: Issued): void {
	const inv = ++iommu.issued;
	state.emit(lane, "inv.issued", iommu.id, {
		iommu: iommu.id,
		inv,
		...command,
	});
	lane.inv = iommu;
	lane.invNumber = inv;
	lane.open = true;
}

function decode(type: number): Issued | undefined {
	const low = first[1] as number;
	const high = first[0] as number;
	const gran = (low >>> 4) & 3;
	const did = low >>> 16;
	switch (type) {
		case QI.context: {
			const name = CONTEXT_GRANULARITY[gran] ?? "?";
			if (name === "device")
				return { kind: "context", gran: name, did, sid: high & 0xffff };
			return name === "global"
				? { kind: "context", gran: name }
				: { kind: "context", gran: name, did };
		}
		case QI.iotlb: {
			const name = GRANULARITY[gran] ?? "?";
			if (name === "page")
				return { kind: "iotlb", gran: name, did, ...pages() };
			return name === "global"
				? { kind: "iotlb", gran: name }
				: { kind: "iotlb", gran: name, did };
		}
		case QI.devtlb:
			return {
				kind: "devtlb",
				gran: "page",
				...deviceRange(DEVTLB_SIZE),
				sid: high & 0xffff,
			};
		case QI.pasidDevtlb:
			return {
				kind: "devtlb",
				gran: "page",
				...deviceRange(PASID_DEVTLB_SIZE),
				sid: low >>> 16,
				pasid: high & 0xfffff,
			};
		case QI.iec:
			return { kind: "iec", gran: (low & 0x10) === 0 ? "global" : "page" };
		case QI.piotlb: {
			const name = PIOTLB_GRANULARITY[gran] ?? "?";
			const common = { kind: "piotlb", gran: name, did } as const;
			const pasid = high & 0xfffff;
			return name === "page"
				? { ...common, ...pages(), pasid }
				: { ...common, pasid };
		}
		case QI.pasid: {
			const name = PASID_GRANULARITY[gran] ?? "?";
			return { kind: "pasid", gran: name, did, pasid: high & 0xfffff };
		}
		default:
			return undefined;
	}
}

/** The second word of a page-selective command: 63:12 address, 6 IH, 5:0 address mask. */
function pages(): { addr: U64; mask: number; ih: boolean } {
	const low = second[1] as number;
	return { addr: address(), mask: low & 0x3f, ih: (low & 0x40) !== 0 };
}

function address(): U64 {
	const high = second[0] as number;
	const low = ((second[1] as number) & 0xfffff000) >>> 0;
	if (high < 0x200000) return high * 4294967296 + low;
	return u64((BigInt(high) << 32n) | BigInt(low));
}

/** QI_DEV_IOTLB_SIZE, QI_DEV_EIOTLB_SIZE: where the size bit is in the second word. */
const DEVTLB_SIZE = 1;
const PASID_DEVTLB_SIZE = 1 << 11;

/** Device-TLB: with the size bit, the lowest clear bit from bit 12 up tells 2^(n+1) pages; without, one page. */
function deviceRange(sizeBit: number): { addr: U64; mask: number } {
	const whole = address();
	if (((second[1] as number) & sizeBit) === 0) return { addr: whole, mask: 0 };
	const bits = BigInt(whole) >> 12n;
	let size = 0n;
	while (size < 52n && ((bits >> size) & 1n) === 1n) size++;
	const mask = Number(size) + 1;
	return {
		addr: u64(((bits >> BigInt(mask)) << BigInt(mask)) << 12n),
		mask,
	};
}

/** qi_flush_context, qi_flush_iotlb: their `iommu` pointer belongs to the unit named by the next descriptor. */
export function onQiFlush(state: State, lane: Lane): void {
	lane.unitPointer = state.line.pointer(K.iommu);
}
