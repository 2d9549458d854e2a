/**
 * PASIDs and two stages against concrete hardware: caches whose entries know the address that the device asked for, the one between the
 * stages, and what both lead to. It walks, fills, evicts, hands entries to devices and carries commands out when it likes, and what a
 * command drops is decided here entry by entry (facts pagetable-semantics.md §5.2). Whatever it holds must be among what the projection
 * allows, which knows nothing of the guest's first stage.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	spacesOf,
	walkerOf,
	type FrameRange,
	type Space,
} from "../../src/iotlb/state.ts";
import { visitPossible } from "../../src/iotlb/walks.ts";
import type { RecordData } from "../../src/vocabulary/records.ts";
import { TOPOLOGY, UNIT } from "../world/build.ts";
import { D, DID, Exact, page, pointer } from "./exact.ts";

const FAMILIES = ["vtd", "smmu-v3", "amd-vi"] as const;
type Family = (typeof FAMILIES)[number];

const RANGED = "domain:8" as const;
const NESTED = "domain:9" as const;
const PASID = 7;
/** Requesters: of the domain without and with a PASID, and of the nested one. */
const WHO = [
	{ sid: 0x200, pasid: 0, isNested: false },
	{ sid: 0x208, pasid: PASID, isNested: false },
	{ sid: 0x210, pasid: 0, isNested: true },
] as const;
type Who = (typeof WHO)[number];
const PAGES = 3;

interface Cached {
	readonly sid: number;
	readonly pasid: number;
	readonly isNested: boolean;
	readonly did: number;
	/** In a device's own TLB. */
	readonly inDevice: boolean;
	/** What the device asked for; what the logged table translates; where it leads. */
	readonly asked: number;
	readonly between: number;
	readonly pa: number;
}
type Fields = Partial<RecordData<"inv.issued">>;
interface Command {
	readonly inv: number;
	readonly fields: Fields;
	done: boolean;
}

/** Does a command have to drop an entry? */
function hits(family: Family, command: Fields, entry: Cached): boolean {
	const { kind, gran, addr, did, mask, pasid, sid, stage } = command;
	const isIn = (frame: number): boolean => {
		if (addr === undefined) return true;
		const first = Number(addr) / 4096;
		return frame >= first && frame < first + 2 ** (mask ?? 0);
	};
	if (kind === "devtlb")
		return (
			entry.inDevice &&
			sid === entry.sid &&
			(pasid === undefined || pasid === entry.pasid) &&
			isIn(entry.asked)
		);
	if (entry.inDevice) return false;
	if (gran === "global") return true;
	if (did !== entry.did) return false;
	if (kind === "piotlb" && pasid !== entry.pasid) return false;
	const isFirstOnly = kind === "piotlb" || stage === 1;
	if (gran !== "page") return true;
	if (!entry.isNested) return isIn(entry.between);
	if (isFirstOnly) return isIn(entry.asked);
	return family !== "smmu-v3" && isIn(entry.between);
}

class Setup {
	readonly log: Exact;
	readonly dom: typeof D | typeof RANGED;
	readonly did: number;
	readonly nestedDid: number;
	/** The logged table, and the guest's. */
	readonly table = new Array<number>(PAGES).fill(0);
	readonly guest = [0, 1, 2];
	cache: Cached[] = [];
	readonly pending: Command[] = [];

	readonly exact: boolean;
	readonly family: Family;
	readonly isTwoStage: boolean;

	constructor(exact: boolean, family: Family, isTwoStage: boolean) {
		this.exact = exact;
		this.family = family;
		this.isTwoStage = isTwoStage;
		this.log = new Exact(
			{},
			{
				topology: {
					...TOPOLOGY,
					groups: TOPOLOGY.groups.map((one) => ({ ...one, driver: family })),
				},
			},
		);
		const { log } = this;
		this.dom = exact ? D : RANGED;
		this.did = exact ? DID : 6;
		// An SMMUv3 tags combined entries with the VMID of the second stage.
		this.nestedDid = family === "smmu-v3" ? this.did : 9;
		if (exact) {
			log.table(4, 1);
			log.write(3, 0, pointer(4));
		} else {
			log.add("dom.created", { dom: RANGED, kind: "unmanaged" });
			log.add("did.assigned", { iommu: UNIT, did: 6, dom: RANGED });
		}
		if (isTwoStage)
			log.add("dom.created", { dom: NESTED, kind: "nested", parent: this.dom });
		for (const who of this.requesters()) {
			const { sid, pasid } = who;
			log.add("ctx.entry.set", {
				iommu: UNIT,
				sid,
				pasid,
				dom: who.isNested ? NESTED : this.dom,
				did: this.didOf(who),
			});
			log.flush({ kind: "devtlb", gran: "page", sid, did: undefined } as never);
		}
		for (let at = 0; at < PAGES; at++) this.store(at, 1000);
	}
	/** A nesting parent's own table is a second stage, which PASID-based commands do not speak about: there only one requester has it. */
	requesters(): readonly Who[] {
		return this.isTwoStage ? [WHO[0], WHO[2]] : [WHO[0], WHO[1]];
	}
	didOf({ isNested }: Who): number {
		return isNested ? this.nestedDid : this.did;
	}
	store(at: number, pa: number): void {
		const { dom, log } = this;
		const iova = at * 4096;
		const old = this.table[at] as number;
		if (this.exact) log.write(4, at, pa === 0 ? 0 : page(pa));
		else {
			if (old > 0)
				log.add("dom.unmap", { dom, iova, len: 4096, unmapped: 4096 });
			if (pa > 0) log.add("dom.map", { dom, iova, pa: pa * 4096, len: 4096 });
		}
		this.table[at] = pa;
	}
	walk(who: Who, asked: number, inDevice: boolean): void {
		const between = who.isNested ? (this.guest[asked] as number) : asked;
		const pa = this.table[between] ?? 0;
		if (pa === 0) return;
		const did = this.didOf(who);
		this.cache.push({ ...who, did, inDevice, asked, between, pa });
	}
	/** A device asks the IOTLB. */
	handOver(which: number): void {
		const one = this.cache[which];
		if (one !== undefined) this.cache.push({ ...one, inDevice: true });
	}
	commands(): readonly Fields[] {
		const { did, nestedDid } = this;
		const at = { addr: 4096, mask: 0 } as const;
		const plain: Fields[] = [
			{ gran: "global" },
			{ did },
			{ did, gran: "page", ...at },
			{ did, gran: "page", addr: 0, mask: 1, ih: true },
			...this.requesters().flatMap(({ sid, pasid }): Fields[] => [
				{ kind: "devtlb", gran: "page", sid, ...at },
				{ kind: "devtlb", gran: "page", sid, pasid, addr: 0, mask: 52 },
				{ kind: "devtlb", gran: "page", sid, pasid: PASID, ...at },
			]),
		];
		if (this.family === "smmu-v3")
			return this.isTwoStage
				? [
						...plain,
						{ did, stage: 1 },
						{ did, gran: "page", stage: 1, ...at },
						{ did, gran: "page", stage: 2, ...at },
					]
				: plain;
		const pasids = this.isTwoStage ? [0] : [0, PASID];
		return [
			...plain,
			{ did: nestedDid },
			{ did: nestedDid, gran: "page", ...at },
			...pasids.flatMap((pasid) =>
				(this.isTwoStage ? [nestedDid] : [did]).flatMap((id): Fields[] => [
					{ kind: "piotlb", gran: "pasid", did: id, pasid },
					{ kind: "piotlb", gran: "page", did: id, pasid, ...at },
				]),
			),
		];
	}
	issue(which: number): void {
		const list = this.commands();
		const fields = list[which % list.length] as Fields;
		const inv = this.log.issue({ did: undefined, ...fields } as never);
		this.pending.push({ inv, fields, done: false });
	}
	perform(command: Command | undefined): void {
		if (command === undefined || command.done) return;
		command.done = true;
		this.cache = this.cache.filter(
			(entry) =>
				!hits(this.family, { kind: "iotlb", ...command.fields }, entry),
		);
	}
	complete(): void {
		const next = this.pending.shift();
		this.perform(next);
		if (next !== undefined) this.log.complete(next.inv);
	}

	/** Does the projection allow an entry? */
	allows({ between, inDevice, isNested, pa, pasid, sid }: Cached): boolean {
		const space = spacesOf(this.log.world.iotlb, this.dom).find(
			(one) =>
				one.pasid === pasid && one.dom === (isNested ? NESTED : this.dom),
		) as Space;
		const leads = (one: FrameRange & { pa: number }): boolean =>
			between >= one.start &&
			between < one.start + one.n &&
			one.pa + (between - one.start) === pa;
		if (!this.exact)
			return (
				this.table[between] === pa ||
				space.stale.some((stale) =>
					stale.parts.some((part) =>
						leads({ ...part, pa: stale.pa + (part.start - stale.start) }),
					),
				) ||
				(inDevice && space.device.some((one) => one.sid === sid && leads(one)))
			);
		const walker = walkerOf(this.log.world.iotlb, space);
		if (walker === undefined) return false;
		let found = false;
		visitPossible(walker, between, 1, { memory: true, holes: false }, (one) => {
			found ||= (inDevice || !one.device) && leads(one);
		});
		return found;
	}
}

const move = fc.oneof(
	{
		weight: 4,
		arbitrary: fc.record({
			do: fc.constant("store" as const),
			at: fc.nat(PAGES - 1),
			pa: fc.nat(2),
		}),
	},
	fc.record({
		do: fc.constant("guest" as const),
		at: fc.nat(PAGES - 1),
		to: fc.nat(PAGES),
	}),
	{
		weight: 5,
		arbitrary: fc.record({
			do: fc.constant("walk" as const),
			who: fc.nat(1),
			at: fc.nat(PAGES - 1),
			inDevice: fc.boolean(),
		}),
	},
	fc.record({ do: fc.constant("hand" as const), which: fc.nat(5) }),
	{
		weight: 4,
		arbitrary: fc.record({
			do: fc.constant("issue" as const),
			which: fc.nat(30),
		}),
	},
	{ weight: 4, arbitrary: fc.record({ do: fc.constant("complete" as const) }) },
	fc.record({ do: fc.constant("perform" as const) }),
	fc.record({ do: fc.constant("evict" as const), which: fc.nat(5) }),
);
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

function apply(setup: Setup, m: Move): void {
	switch (m.do) {
		case "store":
			return setup.store(m.at, [0, 1000, 2000][m.pa] as number);
		case "guest":
			setup.guest[m.at] = m.to;
			return;
		case "walk":
			return setup.walk(setup.requesters()[m.who] as Who, m.at, m.inDevice);
		case "hand":
			return setup.handOver(m.which);
		case "issue":
			return setup.issue(m.which);
		case "complete":
			return setup.complete();
		case "perform":
			return setup.perform(setup.pending.find(({ done }) => !done));
		default:
			setup.cache.splice(m.which, 1);
	}
}

describe.each(
	FAMILIES.flatMap((family) =>
		[true, false].flatMap((isTwoStage) =>
			[true, false].map(
				(exact) =>
					[
						`${family}, ${isTwoStage ? "two stages" : "two PASIDs"}, log of ${exact ? "entries" : "ranges"}`,
						{ family, isTwoStage, exact },
					] as const,
			),
		),
	),
)("%s", (_, { family, isTwoStage, exact }) => {
	test("every concrete cache lies in the may-set", () => {
		let stale = 0;
		fc.assert(
			fc.property(
				fc.array(move, { minLength: 20, maxLength: 60, size: "max" }),
				(moves) => {
					const setup = new Setup(exact, family, isTwoStage);
					for (const [i, m] of moves.entries()) {
						apply(setup, m);
						for (const one of setup.cache) {
							if (setup.table[one.between] !== one.pa) stale++;
							expect(
								setup.allows(one),
								`after move ${i} (${JSON.stringify(m)}): ${JSON.stringify(one)}`,
							).toBe(true);
						}
					}
				},
			),
			{ numRuns: 60 },
		);
		expect(stale).toBeGreaterThan(100);
	});
});
