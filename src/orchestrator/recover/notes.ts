/** The notes of recovery as a fold over records, like the world; nothing is decided here. */
import type { ListedDevice } from "../../../machines/hwpt.ts";
import {
	PAGE_SIZE,
	storeAdd,
	storeRemove,
} from "../../../machines/iopt-pages.ts";
import { FAULT_FLAG } from "../../../machines/ops/fault.ts";
import type { FaultGroup } from "../../../machines/ops/types.ts";
import type {
	AccessId,
	CtxId,
	DeviceId,
	DomainId,
	FaultQueueId,
	HwptId,
	IoasId,
	ObjectId,
} from "../../vocabulary/ids.ts";
import { contextOf, kernelNumber } from "../../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../../vocabulary/records.ts";
import { frameOf } from "../outside.ts";
import { containerEnded, containerOpened, LEGACY } from "./notes-legacy.ts";
import type {
	Args,
	Content,
	DomainNote,
	IdTable,
	Notes,
	QueueNote,
} from "./notes-state.ts";

function tableOf(notes: Notes, ctx: CtxId): IdTable {
	let table = notes.ctxs.get(ctx);
	if (table === undefined) {
		table = {
			open: true,
			ids: new Map(),
			generations: new Map(),
			pagesMade: 0,
			fileOpen: new Set(),
		};
		notes.ctxs.set(ctx, table);
	}
	return table;
}
/** An object got its id. `published`: look-ups find it. */
function named(notes: Notes, obj: ObjectId, published: boolean): void {
	const table = tableOf(notes, contextOf(obj));
	const id = kernelNumber(obj);
	table.generations.set(id, Number(obj.slice(obj.lastIndexOf("@") + 1)));
	if (published) table.ids.set(id, obj);
}
function unnamed(notes: Notes, obj: ObjectId): void {
	named(notes, obj, false);
	const table = tableOf(notes, contextOf(obj));
	table.ids.delete(kernelNumber(obj));
	table.fileOpen.delete(kernelNumber(obj));
}

const text = (args: Args, name: string): bigint =>
	BigInt(typeof args[name] === "string" ? args[name] : "0x0");

function listOf(notes: Notes, hwpt: HwptId): readonly ListedDevice[] {
	return notes.devices.get(hwpt) ?? [];
}
function queueOf(notes: Notes, fq: FaultQueueId): QueueNote {
	let queue = notes.queues.get(fq);
	if (queue === undefined)
		notes.queues.set(fq, (queue = { deliver: [], response: [] }));
	return queue;
}
function domainNote(notes: Notes, dom: DomainId): DomainNote | undefined {
	return notes.domains.get(dom);
}

type Noters = {
	readonly [T in RecordType]?: (notes: Notes, record: LogRecord<T>) => void;
};

const OBJECTS: Noters = {
	"op.begin": (notes, { data }) => {
		notes.op = { name: data.op, args: (data.args ?? {}) as Args };
	},
	"ctx.opened": (notes, { data }) => {
		if (data.kind !== "type1") return void tableOf(notes, data.ctx);
		containerOpened(notes, data.ctx);
	},
	"ctx.closed": (notes, { data }) => {
		if (notes.legacy.containers.delete(data.ctx)) return;
		tableOf(notes, data.ctx).open = false;
	},
	"ioas.created": (notes, { data }) => named(notes, data.ioas, true),
	"hwpt.reserved": (notes, { data }) => named(notes, data.hwpt, false),
	"hwpt.live": (notes, { data }) => named(notes, data.hwpt, true),
	"dev.bound": (notes, { data }) => named(notes, data.idev, true),
	"dev.unbound": (notes, { data }) => {
		unnamed(notes, data.idev);
		notes.irqs.delete(data.dev);
	},
	"obj.gone": (notes, { data }) => {
		unnamed(notes, data.obj);
		notes.devices.delete(data.obj as HwptId);
		notes.invalidations.delete(data.obj as HwptId);
		notes.users.delete(data.obj);
		notes.filled.delete(data.obj as IoasId);
		notes.items.delete(data.obj as AccessId);
		notes.queues.delete(data.obj as FaultQueueId);
	},
	"obj.ref": (notes, { data }) => {
		if (!data.obj.includes("/fault-queue:")) return;
		notes.users.set(data.obj, data.u);
		if (data.why !== "file") return;
		const { fileOpen } = tableOf(notes, contextOf(data.obj));
		if (data.delta > 0) fileOpen.add(kernelNumber(data.obj));
		else fileOpen.delete(kernelNumber(data.obj));
	},
	"access.created": (notes, { data }) => {
		named(notes, data.access, true);
		const { deaf, mdev } = notes.op.args;
		const name = typeof mdev === "string" ? mdev : undefined;
		notes.items.set(data.access, { next: 0, items: [], mdev: name });
		if (deaf === true) notes.deaf.add(data.access);
	},
	"fault.queue.created": (notes, { data }) => {
		named(notes, data.fq, true);
		queueOf(notes, data.fq);
	},
	"hwpt.invalidated": (notes, { data }) => {
		if (data.done === 0) return;
		const list = notes.invalidations.get(data.hwpt) ?? [];
		notes.invalidations.set(data.hwpt, list);
		list.push({ args: notes.op.args, done: data.done });
	},
	"ig.msi.set": (notes, { data }) => void notes.msi.set(data.group, data.start),
	"ig.freed": (notes, { data }) => {
		notes.msi.delete(data.group);
		notes.igFreed.add(data.group);
	},
	"ig.list.add": (notes, { data }) => {
		const { group, dev, hwpt } = data;
		notes.devices.set(hwpt, [...listOf(notes, hwpt), { dev, group }]);
	},
	"ig.list.remove": (notes, { data }) => {
		for (const [hwpt, list] of notes.devices)
			if (list.some(({ dev }) => dev === data.dev))
				notes.devices.set(
					hwpt,
					list.filter(({ dev }) => dev !== data.dev),
				);
	},
	"irq.requested": (notes, { data }) =>
		void notes.irqs.set(data.dev, BigInt(data.doorbell)),
};

const DOMAINS: Noters = {
	"dom.created": (notes, { data }) => {
		const { args } = notes.op;
		notes.domainsMade = Math.max(notes.domainsMade, kernelNumber(data.dom));
		const bits = BigInt(data.pgsizes ?? 0);
		notes.domains.set(data.dom, {
			kind: data.kind,
			dev: args["dev"] as DeviceId | undefined,
			flags: Number(args["flags"] ?? 0),
			data: args["data"],
			pt: Number(args["pt"] ?? 0),
			content: "Allocated",
			marks: new Set(),
			pageSize: Number(bits & -bits),
		});
	},
	"dom.freed": (notes, { data }) => {
		notes.domains.delete(data.dom);
		notes.doorbells.delete(data.dom);
	},
	"dom.cc.set": (notes, { data }) => setContent(notes, data.dom, "CcSet"),
	"iopt.dom.added": (notes, { data }) => {
		setContent(notes, data.dom, "Populated");
		const list = notes.filled.get(data.ioas) ?? [];
		notes.filled.set(data.ioas, [...list, data.dom]);
	},
	"iopt.dom.removed": (notes, { data }) => {
		setContent(notes, data.dom, "Drained");
		const list = notes.filled.get(data.ioas) ?? [];
		notes.filled.set(
			data.ioas,
			list.filter((dom) => dom !== data.dom),
		);
	},
	"dom.msi.mapped": (notes, { data }) => void notes.doorbells.add(data.dom),
	"dirty.marked": (notes, { data }) => {
		const note = domainNote(notes, data.dom);
		note?.marks.add(Number(BigInt(data.iova) / BigInt(note.pageSize)));
	},
	"dirty.cleared": (notes, { data }) =>
		domainNote(notes, data.dom)?.marks.clear(),
	"dirty.read": (notes, { data }) => {
		if (data.cleared) notes.read = data.dom;
	},
	/** A dirty read clears whole leaves, which its answer names; a leaf is aligned to its size. */
	"op.commit": (notes, { data }) => {
		containerEnded(notes, false);
		const { read } = notes;
		if (read === undefined) return;
		notes.read = undefined;
		const { dirty = [] } = (data.result ?? {}) as {
			readonly dirty?: readonly { iova: string; length: string }[];
		};
		for (const leaf of dirty) {
			const length = BigInt(leaf.length);
			const iova = BigInt(leaf.iova);
			unmark(notes, read, iova - (iova % length), length);
		}
	},
	"op.fail": (notes) => containerEnded(notes, true),
	"dom.unmap": (notes, { data }) =>
		unmark(notes, data.dom, data.iova, data.len),
};
function setContent(notes: Notes, dom: DomainId, content: Content): void {
	const note = domainNote(notes, dom);
	if (note !== undefined) note.content = content;
}
function unmark(
	notes: Notes,
	dom: DomainId,
	iova: number | bigint,
	len: number | bigint,
): void {
	const note = domainNote(notes, dom);
	if (note === undefined || note.marks.size === 0) return;
	const from = Number(iova) / note.pageSize;
	const to = from + Number(len) / note.pageSize;
	for (const mark of note.marks)
		if (mark >= Math.floor(from) && mark < to) note.marks.delete(mark);
}

const MEMORY: Noters = {
	"area.claimed": (notes, { data }) => {
		if (data.pages === undefined || notes.pages.has(data.pages)) return;
		const { args } = notes.op;
		const va = text(args, "va");
		const inPage = va & (PAGE_SIZE - 1n);
		const bytes = inPage + text(args, "length");
		notes.pages.set(data.pages, {
			mm: Number(args["mm"] ?? 1),
			uva: va - inPage,
			npages: Number((bytes + PAGE_SIZE - 1n) / PAGE_SIZE),
			writable: (Number(args["prot"]) & 2) !== 0,
			store: [],
		});
		const table = tableOf(notes, contextOf(data.pages));
		table.pagesMade = Math.max(table.pagesMade, kernelNumber(data.pages));
	},
	"pages.pinned": (notes, { data }) => {
		const pages = notes.pages.get(data.pages);
		if (pages !== undefined)
			pages.store = storeAdd(pages.store, {
				first: data.first,
				n: data.n,
				pfn: frameOf(pages.mm, pages.uva + BigInt(data.first) * PAGE_SIZE),
			});
	},
	"pages.unpinned": (notes, { data }) => {
		const pages = notes.pages.get(data.pages);
		if (pages !== undefined)
			pages.store = storeRemove(
				pages.store,
				data.first,
				data.first + data.n - 1,
			);
	},
	"pages.freed": (notes, { data }) => {
		notes.pages.delete(data.pages);
		const table = tableOf(notes, contextOf(data.pages));
		table.pagesMade = Math.max(table.pagesMade, kernelNumber(data.pages));
	},
	"access.pinned": (notes, { data }) => {
		const access = notes.items.get(data.access);
		if (access === undefined) return;
		const iova = BigInt(data.iova);
		access.items.push({
			id: access.next++,
			iova,
			last: iova + BigInt(data.len) - 1n,
		});
	},
	"access.unpinned": (notes, { data }) => {
		const access = notes.items.get(data.access);
		if (access === undefined) return;
		const { name, args } = notes.op;
		const iova = BigInt(data.iova);
		const last = iova + BigInt(data.len) - 1n;
		const at = access.items.findIndex((item) =>
			name === "accessUnpin"
				? item.id === args["item"]
				: item.iova === iova && item.last === last,
		);
		if (at >= 0) access.items.splice(at, 1);
	},
};

const FAULTS: Noters = {
	"fault.queued": (notes, { data }) => {
		const { args } = notes.op;
		const pasid = Number(args["pasid"] ?? 0);
		const valid = pasid === 0 ? 0 : FAULT_FLAG.PASID_VALID;
		const queue = queueOf(notes, data.fq);
		const request = {
			pasid,
			grpid: data.grpid,
			perm: Number(args["perm"] ?? 0),
			addr: text(args, "addr"),
			flags: FAULT_FLAG.LAST_PAGE | valid,
		};
		// Which hwpt and device object took it is known from the group's handle: recover.ts fills both in.
		queue.deliver = [
			...queue.deliver,
			{
				devId: 0,
				dev: data.dev,
				hwpt: 0,
				grpid: data.grpid,
				faults: [request],
			},
		];
	},
	"fault.read": (notes, { data }) => {
		const queue = queueOf(notes, data.fq);
		const [group, ...deliver] = queue.deliver;
		if (group === undefined) return;
		queue.deliver = deliver;
		queue.response = [...queue.response, { ...group, cookie: data.cookie }];
	},
	"fault.answered": (notes, { data }) => {
		const queue = queueOf(notes, data.fq);
		const answered = (group: FaultGroup): boolean =>
			data.cookie === undefined
				? group.grpid === data.grpid &&
					(data.dev === undefined || group.dev === data.dev)
				: group.cookie === data.cookie;
		const { deliver, response } = queue;
		const from = response.some(answered) ? "response" : "deliver";
		const list = from === "response" ? response : deliver;
		const at = list.findIndex(answered);
		queue[from] = list.filter((_, i) => i !== at);
	},
};

const NOTERS: ReadonlyMap<string, (notes: Notes, record: LogRecord) => void> =
	new Map(
		Object.entries({
			...OBJECTS,
			...DOMAINS,
			...MEMORY,
			...FAULTS,
			...LEGACY,
		}) as [string, (notes: Notes, record: LogRecord) => void][],
	);

/** Notes one record. */
export function noteRecord(notes: Notes, record: LogRecord): void {
	NOTERS.get(record.type)?.(notes, record);
}
