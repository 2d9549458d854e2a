/**
 * The importer's state, shared by the handlers of single events: the current line and lane, the names given so far, and the
 * writing end. Handlers are plain functions (state, lane) → void in on-*.ts; events.ts says which belongs to which event.
 */
import type { ActorId } from "../vocabulary/ids.ts";
import type { RecordData, RecordType } from "../vocabulary/records.ts";
import type { CallBook } from "./call-book.ts";
import type { Device, Domain, Group, Iommu } from "./identity.ts";
import { DMAR_TO_DOM, Identity } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import { Lanes } from "./lanes.ts";
import type { Output, Place } from "./output.ts";
import type { ImportReport } from "./report.ts";
import type { Coverage } from "./coverage.ts";
import { count, UNEXPLAINED_KEPT } from "./report.ts";
import { TraceLine } from "./trace-line.ts";

/** How many trace.unexplained records of one event and reason are written; all are counted. */
const SAME_REASON_MAX = 100;
/** Return values from here up are error pointers (MAX_ERRNO 4095), as keys of pointer(). */
const ERROR_POINTER_MIN = 0x1f_ffff * 2 ** 32 + 0xffff_f001;
const POINTER_END = 2 ** 53;

/** The errno in an error pointer's key (12 for 0xfffffffffffffff4), or 0 when it is none. */
export const pointerErrno = (key: number): number =>
	key >= ERROR_POINTER_MIN ? POINTER_END - key : 0;

/** Which kinds of evidence the trace has shown; what is never shown is never concluded from absence. */
export interface Shown {
	/** The trace has dynamic probes (fidelity L1). */
	readonly probes: boolean;
	/** Probes that name the domain of unmaps / of maps. */
	unmapDomains: boolean;
	mapDomains: boolean;
	scalable: boolean | "unknown";
	callFile: boolean;
}

/** Everything the handlers work on. */
export class State {
	readonly line = new TraceLine();
	readonly ids = new Identity();
	readonly lanes = new Lanes();
	readonly out: Output;
	readonly report: ImportReport;
	readonly calls: CallBook;
	readonly shown: Shown;
	readonly coverage: Coverage;
	/** A device joined a group while it was a member of one. */
	rejoined = false;
	private readonly sameReason = new Map<string, number>();

	constructor(
		out: Output,
		report: ImportReport,
		calls: CallBook,
		coverage: Coverage,
		scalable: boolean | "unknown",
		probes: boolean,
	) {
		this.coverage = coverage;
		this.out = out;
		this.report = report;
		this.calls = calls;
		this.shown = {
			probes,
			unmapDomains: false,
			mapDomains: false,
			scalable,
			callFile: false,
		};
	}

	/** Records a fact at the time of the current line, as part of the lane's operation. */
	emit<T extends RecordType>(
		lane: Lane,
		type: T,
		actor: ActorId,
		data: RecordData<T>,
	): void {
		this.out.emit(this.line.t, type, actor, data, lane.op);
	}

	/** Takes a place for a fact that the next lines of the lane complete. */
	reserve(lane: Lane, abandon: () => void): Place {
		return this.out.reserve(this.line.t, "host", lane.op, abandon);
	}

	/** Names the current line as unexplained. */
	unexplained(
		why: string,
		event = this.eventOrNone(),
		lineNumber = this.report.lines,
	): void {
		const { report, line } = this;
		report.unexplainedCount++;
		if (report.unexplained.length < UNEXPLAINED_KEPT)
			report.unexplained.push({ line: lineNumber, event, why });
		const key = `${event}: ${why}`;
		const same = this.sameReason.get(key) ?? 0;
		if (same >= SAME_REASON_MAX) return;
		if (this.sameReason.size > 10_000) this.sameReason.clear();
		this.sameReason.set(key, same + 1);
		this.out.emit(
			line.t,
			"trace.unexplained",
			"host",
			{ line: lineNumber, event, why },
			undefined,
		);
	}

	private eventOrNone(): string {
		const { line } = this;
		return line.nameEnd > line.nameStart ? line.eventName().slice(0, 64) : "?";
	}

	/** Marks that an object was made before the trace began: what else belongs to its state is not known. */
	older(lane: Lane, what: string): void {
		this.undecided(`${what} older than the trace`);
		this.emit(lane, "trace.lost", "host", {
			n: 0,
			why: `${what} is older than the trace`,
			from: 0,
		});
	}

	/** Counts something this trace cannot decide. */
	undecided(what: string): void {
		count(this.report.undecided, what);
	}

	/** Counts an attribution made by something weaker than an enclosing call. */
	attributed(how: string): void {
		count(this.report.attributed, how);
	}

	/** The domain whose `dmar` field is at this slot, or undefined when the field is unreadable. */
	dmarDomain(slot: number): Domain | undefined {
		const key = this.line.pointer(slot);
		return Number.isNaN(key) ? undefined : this.ids.domain(key + DMAR_TO_DOM);
	}

	/** The domain at this slot; undefined for 0 (none), error pointers and unreadable fields. */
	domainAt(slot: number): Domain | undefined {
		const key = this.line.pointer(slot);
		if (Number.isNaN(key) || key === 0 || pointerErrno(key) !== 0)
			return undefined;
		return this.ids.domain(key);
	}

	/** The device named at this slot; undefined when empty (facts §8: some fetches come out empty). */
	deviceAt(slot: number): Device | undefined {
		const name = this.line.text(slot);
		return name === "" || name === "(fault)" || name.length > 100
			? undefined
			: this.ids.device(name);
	}

	/** The group of a line that carries `grp` and perhaps `gid`; learns the pair. */
	groupAt(grpSlot: number, gidSlot: number): Group | undefined {
		const pointer = this.line.pointer(grpSlot);
		const gid = this.line.num(gidSlot);
		if (gid >= 0 && Number.isSafeInteger(gid)) {
			const group = this.ids.group(gid);
			if (!Number.isNaN(pointer)) this.ids.groupsByPointer.set(pointer, group);
			return group;
		}
		return this.ids.groupsByPointer.get(pointer);
	}

	/** Learns that a device is a member of a group: a record only if the topology did not tell. `joins`: the line says that it joins now. */
	learnMember(lane: Lane, group: Group, device: Device, joins = false): void {
		if (device.group === group) return;
		// It moved without a line that says so: groups.txt tells of another time.
		if (device.group !== undefined && !joins)
			this.older(lane, "the group of a device");
		device.group?.members.delete(device);
		device.group = group;
		group.members.add(device);
		this.emit(lane, "grp.member.added", group.id, {
			group: group.id,
			dev: device.id,
		});
	}

	/** Learns or notes the default domain of a group. */
	setDefault(lane: Lane, group: Group, domain: Domain): void {
		if (group.defaultDomain === domain) return;
		group.defaultDomain = domain;
		this.emit(lane, "grp.default.set", group.id, {
			group: group.id,
			dom: domain.id,
		});
	}

	/** Learns or notes the blocking domain of a group. */
	setBlocking(lane: Lane, group: Group, domain: Domain): void {
		if (group.blockingDomain === domain) return;
		group.blockingDomain = domain;
		this.emit(lane, "grp.blocking.set", group.id, {
			group: group.id,
			dom: domain.id,
		});
	}

	/** The IOMMU unit behind a pointer, when learned. */
	unitAt(slot: number): Iommu | undefined {
		return this.ids.iommusByPointer.get(this.line.pointer(slot));
	}
}
