/**
 * Legacy containers as a fold over records (machines/ops/type1.ts, type1-dma.ts write them): which groups have joined, the type, domains and
 * who is on them, DMA entries with the frames they pinned. legacy-state.ts makes containers of it.
 */
import { PAGE_SIZE, type PinnedRun } from "../../../machines/iopt-pages.ts";
import type { U64Range } from "../../vocabulary/fields.ts";
import type { CtxId, DomainId, GroupId } from "../../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../../vocabulary/records.ts";
import type { Notes } from "./notes-state.ts";

/** One MAP_DMA. */
export interface EntryNote {
	readonly iova: bigint;
	readonly size: bigint;
	readonly vaddr: bigint;
	readonly prot: number;
	readonly mm: number;
	mapped: boolean;
	charged: number;
	readonly runs: PinnedRun[];
}
/** An open container. */
export interface ContainerNote {
	/** Groups that it has claimed, in order, and the domain that each is on; who came to a domain later stands later. */
	readonly groups: Set<GroupId>;
	readonly at: Map<GroupId, DomainId>;
	/** undefined: SET_IOMMU was not called, or its last group took the IOMMU driver away. */
	version: string | undefined;
	/** The newest first, as in the kernel's list. */
	domains: readonly { readonly dom: DomainId; readonly fgsp: boolean }[];
	ranges: readonly U64Range[] | undefined;
	readonly entries: Map<bigint, EntryNote>;
	/** The operation under way set the type: if it fails, it has not. */
	typing: boolean;
}
/** Containers that are open, who has claimed which group, and how many containers there ever were. */
export interface LegacyNotes {
	readonly containers: Map<CtxId, ContainerNote>;
	readonly claims: Map<GroupId, CtxId>;
	opened: number;
}

/** Nothing noted yet. */
export const newLegacyNotes = (): LegacyNotes => ({
	containers: new Map(),
	claims: new Map(),
	opened: 0,
});

const emptied = (c: ContainerNote): void => {
	c.version = undefined;
	c.ranges = undefined;
	c.domains = [];
	c.entries.clear();
};
const containerOf = (
	{ legacy }: Notes,
	ctx: CtxId,
): ContainerNote | undefined => legacy.containers.get(ctx);

/** The entry that the map under way has added. */
function newest(notes: Notes, c: ContainerNote): EntryNote | undefined {
	const { name, args } = notes.op;
	if (name !== "containerMap" || typeof args["iova"] !== "string") return;
	return c.entries.get(BigInt(args["iova"]));
}

/** A container opens. */
export function containerOpened({ legacy }: Notes, ctx: CtxId): void {
	legacy.opened += 1;
	legacy.containers.set(ctx, {
		groups: new Set(),
		at: new Map(),
		version: undefined,
		domains: [],
		ranges: undefined,
		entries: new Map(),
		typing: false,
	});
}

type Noters = {
	readonly [T in RecordType]?: (notes: Notes, record: LogRecord<T>) => void;
};

/** What records say of containers. */
export const LEGACY: Noters = {
	"grp.owner.claimed": (notes, { data }) => {
		const { claims } = notes.legacy;
		const c = containerOf(notes, data.owner as CtxId);
		if (c === undefined) return;
		c.groups.add(data.group);
		claims.set(data.group, data.owner as CtxId);
	},
	"grp.owner.released": (notes, { data }) => {
		const { claims } = notes.legacy;
		const ctx = claims.get(data.group);
		const c = ctx && containerOf(notes, ctx);
		if (c === undefined) return;
		claims.delete(data.group);
		c.groups.delete(data.group);
		c.at.delete(data.group);
		if (c.groups.size === 0) emptied(c);
	},
	"grp.domain.set": (notes, { data }) => {
		const ctx = notes.legacy.claims.get(data.group);
		const c = ctx && containerOf(notes, ctx);
		if (c === undefined) return;
		c.at.delete(data.group);
		c.at.set(data.group, data.dom);
	},
	/** No operation names the device that a container's domain is made for; it is the first that is attached. */
	"hw.attach": (notes, { data }) => {
		const note = notes.domains.get(data.dom);
		if (note?.kind === "unmanaged") note.dev ??= data.dev;
	},
	"type1.created": (notes, { data }) => {
		const c = containerOf(notes, data.ctx);
		if (c === undefined) return;
		c.version = data.version;
		c.typing = true;
	},
	"type1.domain.added": (notes, { data }) => {
		const c = containerOf(notes, data.ctx);
		if (c === undefined) return;
		const { dom, fgsp } = data;
		c.domains = [{ dom, fgsp: fgsp === true }, ...c.domains];
	},
	"type1.domain.removed": (notes, { data }) => {
		const c = containerOf(notes, data.ctx);
		if (c === undefined) return;
		c.domains = c.domains.filter(({ dom }) => dom !== data.dom);
	},
	"type1.ranges.set": (notes, { data }) => {
		const c = containerOf(notes, data.ctx);
		if (c !== undefined) c.ranges = data.ranges;
	},
	"type1.entry.added": (notes, { data }) => {
		const c = containerOf(notes, data.ctx);
		if (c === undefined) return;
		const { va, mm = 1 } = notes.op.args;
		const iova = BigInt(data.iova);
		c.entries.set(iova, {
			iova,
			size: BigInt(data.len),
			vaddr: BigInt(typeof va === "string" ? va : "0x0"),
			prot: data.prot,
			mm: Number(mm),
			mapped: false,
			charged: 0,
			runs: [],
		});
	},
	"type1.entry.mapped": (notes, { data }) => {
		const entry = containerOf(notes, data.ctx)?.entries.get(BigInt(data.iova));
		if (entry !== undefined) entry.mapped = true;
	},
	"type1.entry.removed": (notes, { data }) =>
		void containerOf(notes, data.ctx)?.entries.delete(BigInt(data.iova)),
	/** Every domain gets the same frames: the first one tells them. */
	"dom.map": (notes, { data }) => {
		if (notes.op.name !== "containerMap") return;
		const c = containerOf(notes, notes.op.args["ctx"] as CtxId);
		if (c === undefined || c.domains[0]?.dom !== data.dom) return;
		const entry = newest(notes, c);
		entry?.runs.push({
			first: Number((BigInt(data.iova) - entry.iova) / PAGE_SIZE),
			n: Number(BigInt(data.len) / PAGE_SIZE),
			pfn: Number(BigInt(data.pa) / PAGE_SIZE),
		});
	},
	"acct.charged": (notes, { data }) => {
		const c = data.ctx && containerOf(notes, data.ctx);
		const entry = c && newest(notes, c);
		if (entry) entry.charged = data.n;
	},
};

/** How an operation on a container ended. */
export function containerEnded(notes: Notes, failed: boolean): void {
	const { name, args } = notes.op;
	if (name !== "containerSetIommu") return;
	const c = containerOf(notes, args["ctx"] as CtxId);
	if (c === undefined) return;
	if (failed && c.typing) emptied(c);
	c.typing = false;
}
