/**
 * The emulator's own log beside a recording (qemu_vtd.txt): an independent witness of what the emulated IOTLB held
 * (facts/trace-formats.md §6). Its invalidation descriptors come in the same order as the traced ones, one to one, so they
 * anchor its lines exactly between two commands; inside that, its clock (guest time within a known spread) places them. A
 * translation is placed as late as its anchor and SLACK allow: it can only have been made earlier. Logs without the guest's clock
 * (QEMU's own: the event comes first, or behind `pid@host time:`) are placed by the anchors alone.
 */
import type { U64 } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { RecordData, RecordType } from "../vocabulary/records.ts";
import type { LinePull } from "./call-book.ts";
import type { ImportReport } from "./report.ts";
import type { State } from "./state.ts";
import type { Descriptor } from "./witness-place.ts";
import { PlaceSearch, same } from "./witness-place.ts";

/** Clock error allowed when the recording does not tell one, in ns. */
const SLACK_NS = 50e6;
/** How far its clock and the trace's differ usually, ten times over (facts/trace-formats.md §6). */
const CLOCK_NS = 500_000;
/** Entries held in memory at most. */
const HELD_MAX = 200_000;
/** A damaged trace may miss this many commands at a place, or have as many too many, before the log is given up. */
const RESYNC_MAX = 8;
const ADDRESS_MASK = 0xf_ffff_ffff_f000n;
const SUPERPAGE_BIT = 0x80n;
const PAGE_2M = 0x20_0000;
const PAGE_4K = 0x1000;

interface Entry {
	/** NaN: no clock. */
	readonly t: number;
	/** Descriptors that stand before it in the log. */
	readonly after: number;
	readonly type: "witness.filled" | "witness.hit" | "witness.fault";
	readonly sid: number;
	readonly iova: U64;
	readonly pa: U64;
	readonly did: number;
	readonly write: boolean;
}

/** The witness of one recording, pulled as the trace goes on. */
export class Witness {
	private readonly report: ImportReport;
	private pull: LinePull | undefined;
	private readonly slack: number;
	private entries: Entry[] = [];
	private head = 0;
	private descriptors: Descriptor[] = [];
	private firstDescriptor = 0;
	private logged = 0;
	private traced = 0;
	private readTo = Number.NEGATIVE_INFINITY;
	private timed = false;
	/** Time of the last traced descriptor. */
	private anchorT = 0;
	/** Looks for the trace's beginning in the log. */
	private search: PlaceSearch | undefined;
	private sink: State | undefined;

	/** `spreadNs`: how late its clock may be, when the recording tells. */
	constructor(
		report: ImportReport,
		pull: LinePull,
		spreadNs: number | undefined,
	) {
		this.report = report;
		this.pull = pull;
		this.slack = Math.max(SLACK_NS, spreadNs ?? 0);
	}

	/** Where records go. */
	bind(state: State): void {
		this.sink = state;
	}

	/** Reads the log up to `t` (with clock), or far enough ahead (without). */
	async ensure(t: number): Promise<void> {
		while (
			this.pull !== undefined &&
			this.entries.length - this.head < HELD_MAX
		) {
			if (this.timed && this.readTo > t + this.slack) break;
			if (!this.timed && this.logged > this.traced + HELD_MAX) break;
			const lines = await this.pull();
			if (lines === undefined) {
				this.pull = undefined;
				break;
			}
			for (const line of lines) this.add(line);
		}
	}

	private add(line: string): void {
		const text = line.trimEnd();
		if (text === "") return;
		this.report.witness.lines++;
		// With -msg timestamp=on: "1234@1700000000.123456:vtd_…", by the host's clock.
		const words = text.replace(/^\d+@\d+\.\d+:/, "").split(" ");
		let t = Number.NaN;
		if (!isEvent(words[0])) {
			const seconds = Number(words.shift());
			if (Number.isNaN(seconds) || !isEvent(words[0])) {
				this.report.witness.bad++;
				return;
			}
			// Lines from before the guest clock started have negative times.
			t = Math.max(0, Math.round(seconds * 1e9));
			this.timed = true;
			this.readTo = Math.max(this.readTo, t);
		}
		const value = (name: string): U64 | undefined => {
			const at = words.lastIndexOf(name);
			return at < 0 ? undefined : parseWide(words[at + 1]);
		};
		this.interpret(words[0] ?? "", t, value);
	}

	private interpret(
		event: string,
		t: number,
		value: (name: string) => U64 | undefined,
	): void {
		const sid = Number(value("sid") ?? Number.NaN);
		const did = Number(value("domain") ?? -1);
		switch (event) {
			case "vtd_iotlb_page_update":
			case "vtd_iotlb_page_hit": {
				const iova = value("iova");
				const pte = value("slpte");
				if (iova === undefined || pte === undefined || !(sid >= 0) || did < 0) {
					this.report.witness.bad++;
					return;
				}
				const type =
					event === "vtd_iotlb_page_hit" ? "witness.hit" : "witness.filled";
				this.push({ t, type, sid, did, ...pagesOf(iova, pte), write: false });
				return;
			}
			case "vtd_dmar_fault": {
				const iova = value("addr");
				if (iova === undefined || !(sid >= 0)) {
					this.report.witness.bad++;
					return;
				}
				const write = value("write") === 1;
				this.push({
					t,
					type: "witness.fault",
					sid,
					did,
					iova: roundDown(iova, PAGE_4K),
					pa: 0,
					write,
				});
				return;
			}
			case "vtd_inv_desc_iotlb_pages":
			case "vtd_inv_desc_iotlb_domain":
			case "vtd_inv_desc_iotlb_global":
				this.pushDescriptor({
					kind: "iotlb",
					did,
					addr: value("addr"),
					mask: Number(value("mask") ?? Number.NaN),
					sid: undefined,
				});
				return;
			case "vtd_inv_desc_cc_devices":
			case "vtd_inv_desc_cc_domain":
			case "vtd_inv_desc_cc_global":
				this.pushDescriptor({
					kind: "context",
					did: -1,
					addr: undefined,
					mask: undefined,
					sid: Number.isNaN(sid) ? undefined : sid,
				});
				return;
			default:
		}
	}

	private push(entry: Omit<Entry, "after">): void {
		const last = this.entries[this.entries.length - 1];
		// A blocked access faults word by word: one record a page.
		if (
			entry.type === "witness.fault" &&
			last?.type === "witness.fault" &&
			this.entries.length > this.head &&
			last.sid === entry.sid &&
			last.iova === entry.iova &&
			last.write === entry.write &&
			last.after === this.logged
		)
			return;
		this.entries.push({ ...entry, after: this.logged });
	}

	private pushDescriptor(descriptor: Descriptor): void {
		this.logged++;
		this.report.witness.descriptors++;
		this.descriptors.push(descriptor);
	}

	/** A traced descriptor, before its record is written: everything the log has before it comes first. */
	descriptor(
		kind: string,
		did: number,
		addr: U64 | undefined,
		mask: number | undefined,
		sid: number | undefined,
	): void {
		const descriptor = { kind, did, addr, mask, sid };
		if (this.seek(descriptor)) return;
		const skipped = this.align(descriptor);
		if (skipped !== 0) this.sink?.coverage.misplaced();
		if (skipped < 0) return;
		this.traced += skipped;
		if (this.report.witness.aligned)
			while (
				this.head < this.entries.length &&
				(this.entries[this.head] as Entry).after <= this.traced
			)
				this.write(this.entries[this.head++] as Entry);
		this.traced++;
		this.anchorT = this.sink?.line.t ?? 0;
		if (this.traced - this.firstDescriptor > 4096) {
			this.descriptors = this.descriptors.slice(
				this.traced - this.firstDescriptor,
			);
			this.firstDescriptor = this.traced;
		}
		this.compact();
	}

	/** The log may begin long before the trace. False: where the trace begins in it is known, and this command is to be anchored. */
	private seek(traced: Descriptor): boolean {
		if (this.traced > 0) return false;
		this.search ??= new PlaceSearch(this.descriptors);
		const place = this.search.next(traced);
		if (place === "first") return false;
		if (place === "open") return true;
		if (place === "none") {
			this.report.witness.aligned = false;
			this.sink?.coverage.misplaced();
		}
		this.traced = place === "none" ? 1 : place;
		this.forgetEarlier(this.traced - 1);
		this.anchorT = this.sink?.line.t ?? 0;
		return true;
	}

	/**
	 * How many descriptors of the log the trace has missed before this one; -1 when the log does not have it. Too many of either end the
	 * anchoring for good.
	 */
	private align(traced: Descriptor): number {
		const { witness } = this.report;
		const from = this.traced - this.firstDescriptor;
		if (!witness.aligned || this.descriptors[from] === undefined) return 0;
		for (let k = 0; k < RESYNC_MAX; k++) {
			const logged = this.descriptors[from + k];
			if (logged === undefined) break;
			if (!same(logged, traced)) continue;
			if (this.traced > 0) witness.skipped += k;
			return k;
		}
		witness.skipped++;
		if (witness.skipped > RESYNC_MAX) witness.aligned = false;
		return -1;
	}

	/** What the log has before `commands` of its commands is not the trace's business. */
	private forgetEarlier(commands: number): void {
		while (
			this.head < this.entries.length &&
			(this.entries[this.head] as Entry).after <= commands
		)
			this.head++;
	}

	/** When the next line is due: Infinity while it waits for its anchor. */
	get next(): number {
		const entry = this.entries[this.head];
		if (entry === undefined || Number.isNaN(entry.t))
			return Number.POSITIVE_INFINITY;
		if (this.report.witness.aligned && entry.after > this.traced)
			return Number.POSITIVE_INFINITY;
		return entry.t + this.slack;
	}

	/** Writes the next line. */
	step(): void {
		const entry = this.entries[this.head];
		if (entry === undefined) return;
		this.head++;
		this.write(entry);
		this.compact();
	}

	/** Lines are still to come or to be placed. */
	get more(): boolean {
		return this.pull !== undefined || this.head < this.entries.length;
	}

	/** Writes everything that is left: the trace has ended. */
	finish(): void {
		while (this.head < this.entries.length)
			this.write(this.entries[this.head++] as Entry);
		this.compact();
	}

	private compact(): void {
		if (this.head < 8192) return;
		this.entries = this.entries.slice(this.head);
		this.head = 0;
	}

	/** Did this happen after the trace's last line? */
	private isBeyond(entry: Entry, ended: number): boolean {
		if (entry.t > ended + CLOCK_NS) return true;
		if (!this.report.witness.aligned || this.logged === this.traced)
			return false;
		// Commands of the log are not in the trace any more: without a clock, what stands before them may be later than the trace, too.
		return entry.after > this.traced || Number.isNaN(entry.t);
	}

	private write(entry: Entry): void {
		const state = this.sink;
		if (state === undefined) return;
		// Without a clock only the commands place a line; once they differ from the trace's, nothing does.
		if (Number.isNaN(entry.t) && !this.report.witness.aligned) return;
		// A log that goes on after the trace: what stands behind commands that the trace does not have came after it.
		if (Number.isNaN(entry.t) && entry.after > this.traced) return;
		const [unit] = state.ids.iommus.values();
		const iommu = (unit ?? state.ids.iommu("dmar0")).id;
		const t = Number.isNaN(entry.t) ? this.anchorT : entry.t;
		const { ended } = state.coverage;
		if (ended !== undefined && this.isBeyond(entry, ended))
			state.coverage.beyond(ended);
		this.report.witness.records++;
		const { sid, iova, pa, did, write } = entry;
		if (entry.type === "witness.fault")
			emit(state, t, entry.type, iommu, { iommu, sid, iova, write });
		else emit(state, t, entry.type, iommu, { iommu, sid, iova, pa, did });
	}
}

const isEvent = (word: string | undefined): boolean =>
	word?.startsWith("vtd_") === true;

const emit = <T extends RecordType>(
	state: State,
	t: number,
	type: T,
	actor: ActorId,
	data: RecordData<T>,
): void => state.out.emit(t, type, actor, data, undefined);

function parseWide(text: string | undefined): U64 | undefined {
	if (text === undefined) return undefined;
	if (/^\d{1,15}$/.test(text)) return Number(text);
	return /^0x[0-9a-f]{1,16}$/i.test(text) ? u64(BigInt(text)) : undefined;
}

const roundDown = (value: U64, unit: number): U64 =>
	typeof value === "number"
		? value - (value % unit)
		: u64(value - (value % BigInt(unit)));

/** The page that an entry word maps: the log does not tell the level; a superpage is taken as 2 MiB. */
function pagesOf(iova: U64, pte: U64): { iova: U64; pa: U64 } {
	const word = BigInt(pte);
	const unit = (word & SUPERPAGE_BIT) === 0n ? PAGE_4K : PAGE_2M;
	return { iova: roundDown(iova, unit), pa: u64(word & ADDRESS_MASK) };
}
