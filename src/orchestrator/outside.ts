/**
 * The world outside the machines: drivers that may refuse, memory that may be short, user pages. Everything that a machine cannot
 * decide by itself is answered here, deterministically, from the topology, the switches and a counter of failable steps.
 */
import type { Verdict } from "../../machines/device.ts";
import type { DomainShape } from "../../machines/domain.ts";
import type { Member } from "../../machines/iommu-group.ts";
import type { IoptEnv, Mem } from "../../machines/iopt-pages.ts";
import { emptyMem } from "../../machines/iopt-pages.ts";
import type { Range } from "../../machines/iopt.ts";
import type { DriverOps, UserData } from "../../machines/ops/driver.ts";
import type { Dev, Domain } from "../../machines/ops/types.ts";
import { deviceOf } from "../drivers/host.ts";
import { driverNamed } from "../drivers/personalities.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type {
	ReservedRegion,
	Topology,
	TopologyDevice,
	TopologyGroup,
} from "../vocabulary/header.ts";
import { presentMembers } from "../vocabulary/header.ts";
import type { CtxId, DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import { domainId } from "../vocabulary/ids.ts";
import { u64 } from "../vocabulary/fields.ts";
import { driverIsBlind } from "./faults.ts";
import type { Switches } from "./switches.ts";

/** Reserved ranges of a device as attach sees them (facts §3.3). */
export interface DeviceRegions {
	readonly regions: readonly Range[];
	/** Start of its software MSI window. */
	readonly swMsi: bigint | undefined;
	/** Hardware and software MSI, or two software windows: attach says EINVAL. */
	readonly conflict: boolean;
}

function regionsOf(resv: readonly ReservedRegion[]): DeviceRegions {
	const regions = resv
		.filter(({ kind }) => kind !== "direct-relaxable")
		.map(({ start, last }) => ({ start: BigInt(start), last: BigInt(last) }));
	const software = resv.filter(({ kind }) => kind === "sw-msi");
	const hardware = resv.some(({ kind }) => kind === "msi");
	return {
		regions,
		swMsi: software[0] === undefined ? undefined : BigInt(software[0].start),
		conflict: software.length > 1 || (software.length > 0 && hardware),
	};
}

/** A member as its group knows it. */
export const memberOf = ({ dev, resv }: TopologyDevice): Member => ({
	dev,
	requireDirect: resv.some(({ kind }) => kind === "direct"),
});

interface DeviceFacts {
	readonly topology: TopologyDevice;
	readonly group: TopologyGroup;
	readonly ops: DriverOps;
	/** The device as the driver knows it. */
	readonly dev: Dev;
	readonly regions: DeviceRegions;
}
/** What the caller of HWPT_ALLOC wants of the domain. */
export interface DomainWish {
	readonly flags: number;
	readonly data: UserData;
}
/** Everything an outside remembers. */
export interface OutsideState {
	readonly mem: ReadonlyMap<CtxId, Mem>;
	readonly domains: ReadonlyMap<DomainId, Domain>;
	readonly domainsMade: number;
	readonly doorbells: ReadonlySet<DomainId>;
	readonly irqs: ReadonlyMap<DeviceId, bigint>;
}
const PLAIN_DOMAIN: DomainWish = { flags: 0, data: { type: 0, length: 0 } };
const NEST_PARENT = 1;

/** A domain as its actor knows it. */
export const shapeOf = (domain: Domain, coherent: boolean): DomainShape => ({
	driver: domain.driver,
	pgsizes: Number(domain.pgsizes),
	apertureStart: u64(domain.apertureStart),
	apertureLast: u64(domain.apertureLast),
	coherent,
	...(domain.dirty === undefined ? {} : { dirty: true }),
	...(domain.nest ? { nest: true } : {}),
});

/** Frames of a process: consecutive within its 4 GiB, unlike those of any other process. */
const FRAMES_PER_MM = 0x10_0000;

/** The frame behind an address of a process. */
export const frameOf = (mm: number, va: bigint): number =>
	mm * FRAMES_PER_MM + (Number(va >> 12n) % FRAMES_PER_MM);

/** The outside of one system. */
export class Outside {
	readonly switches: Switches;
	readonly devices = new Map<DeviceId, DeviceFacts>();
	readonly #mem = new Map<CtxId, Mem>();
	/** The drivers' half of every domain: page sizes, dirty marks, what nested ones cached. */
	domains: ReadonlyMap<DomainId, Domain> = new Map();
	/** What the running HWPT_ALLOC asks for. */
	wish: DomainWish = PLAIN_DOMAIN;
	/** Domains with the interrupt doorbell mapped; devices with live interrupts and the doorbell's IOVA (software MSI only). */
	readonly doorbells = new Set<DomainId>();
	readonly irqs = new Map<DeviceId, bigint>();
	/** The operation that is running. */
	op = "";
	readonly #driverIsBlind: boolean;
	#domains = 0;
	#failable = 0;

	constructor(topology: Topology, switches: Switches) {
		this.switches = switches;
		this.#driverIsBlind = driverIsBlind(switches.blind);
		for (const group of topology.groups) {
			const ops = driverNamed(group.driver);
			// A group comes into being with its first device, so one without any has no domain that a newcomer could join.
			if (group.members.length > 0 && presentMembers(group).length === 0)
				throw new RangeError(
					`every member of ${group.group} is absent: a group needs one that is there at boot`,
				);
			for (const member of group.members)
				this.devices.set(member.dev, {
					topology: member,
					group,
					ops,
					dev: deviceOf(group.group, group.driver, member, "domain:0"),
					regions: regionsOf(member.resv),
				});
		}
	}

	/** How many failable steps there have been: the upper bound of a fail-nth sweep. */
	get failableSteps(): number {
		return this.#failable;
	}

	/** Counts a failable step; true when it is the one that must fail. */
	failsNow(): boolean {
		this.#failable += 1;
		return this.#failable === this.switches.failNth;
	}

	/** Tells whether the answer of the running operation can be copied to user space. */
	get resultWritable(): boolean {
		return this.op !== this.switches.unwritableResult;
	}

	/** The name the next domain will have. */
	get nextDomain(): DomainId {
		return domainId(this.#domains + 1);
	}
	/** User memory by context, what drivers know, and what lives beside: to keep, and to go on from. */
	get state(): OutsideState {
		return {
			mem: new Map(this.#mem),
			domains: this.domains,
			domainsMade: this.#domains,
			doorbells: new Set(this.doorbells),
			irqs: new Map(this.irqs),
		};
	}
	/** Goes on from there. For an outside that nobody has used yet. */
	resume(state: OutsideState): void {
		for (const [ctx, mem] of state.mem) this.#mem.set(ctx, mem);
		this.domains = state.domains;
		this.#domains = state.domainsMade;
		for (const dom of state.doorbells) this.doorbells.add(dom);
		for (const [dev, iova] of state.irqs) this.irqs.set(dev, iova);
	}
	/** A domain was made under that name. */
	countDomain(): void {
		this.#domains += 1;
	}

	/** The driver of `dev` makes the domain `dom` as wished; its shape, or the driver's refusal. */
	makeDomain(dom: DomainId, dev: DeviceId): DomainShape | ErrnoName {
		const { ops, dev: device } = this.device(dev);
		const spec = ops.allocPaging(device, this.wish.flags, this.wish.data);
		if ("errno" in spec) return spec.errno;
		const { dirty, iotlb = [], ...rest } = spec;
		const domain: Domain = {
			...rest,
			dom,
			driver: ops.name,
			marks: new Set(),
			cc: false,
			iotlb,
			...(dirty ? { dirty: false } : {}),
		};
		this.putDomain(domain);
		return shapeOf(domain, ops.enforcesCoherency(device));
	}
	putDomain(domain: Domain): void {
		this.domains = new Map(this.domains).set(domain.dom, domain);
	}
	dropDomain(dom: DomainId): void {
		this.doorbells.delete(dom);
		if (!this.domains.has(dom)) return;
		const domains = new Map(this.domains);
		domains.delete(dom);
		this.domains = domains;
	}
	/** The wish makes a nesting parent. */
	get wishesParent(): boolean {
		return (this.wish.flags & NEST_PARENT) !== 0;
	}
	/** Runs with a wish for the domain that is made meanwhile. */
	wishing<T>(wish: DomainWish, run: () => T): T {
		this.wish = wish;
		try {
			return run();
		} finally {
			this.wish = PLAIN_DOMAIN;
		}
	}

	device(dev: DeviceId): DeviceFacts {
		const found = this.devices.get(dev);
		if (found === undefined) throw new Error(`${dev} is not in the topology`);
		return found;
	}
	groupOf(dev: DeviceId): GroupId {
		return this.device(dev).group.group;
	}

	mem(ctx: CtxId): Mem {
		return this.#mem.get(ctx) ?? emptyMem();
	}
	setMem(ctx: CtxId, mem: Mem): void {
		this.#mem.set(ctx, mem);
	}

	/** What pins, limits and fails for the IOAS contents. */
	readonly env: IoptEnv = {
		pin: (mm, va, n) => ({ pfn: frameOf(mm, va), n }),
		limit: () => undefined,
		fail: (step) => {
			if (!this.failsNow()) return undefined;
			return step.includes("pin") ? "EFAULT" : "ENOMEM";
		},
	};

	/** The same for a step of a rollback. */
	rollbackEnv(): IoptEnv {
		return this.switches.failRollback
			? { ...this.env, fail: () => "ENOMEM" }
			: this.env;
	}

	/** The errno of the first refuse rule that speaks about attaching `dev` to a domain of one of these names. */
	refusal(
		dev: DeviceId,
		names: readonly string[],
		undo: boolean,
	): ErrnoName | undefined {
		return this.switches.refuse.find(
			(r) =>
				r.dev === dev &&
				(r.when === "any" || (r.when === "undo") === undo) &&
				(r.to === "any" || names.includes(r.to)),
		)?.errno;
	}

	/** The driver's word on attaching `dev` to `dom`; `names` are the ways a rule can name that domain. */
	verdict(
		dev: DeviceId,
		dom: DomainId,
		names: readonly string[],
		undo: boolean,
	): Verdict {
		const { refusalTearsDown } = this.switches;
		const { ops, dev: device } = this.device(dev);
		const domain = this.domains.get(dom);
		const errno: ErrnoName | undefined = this.failsNow()
			? "EINVAL"
			: (this.refusal(dev, names, undo) ??
				(domain === undefined || this.#driverIsBlind
					? undefined
					: ops.attachErrno(device, domain)));
		if (errno === undefined) return null;
		return { errno, blocked: refusalTearsDown && ops.refusalBlocks };
	}
}
