/**
 * What recovery must know beyond the world (src/world) that the judge folds: object ids and their generations, the user memory behind
 * maps, dirty marks, page requests under way, interrupts. notes.ts fills it in.
 */
import type { ListedDevice } from "../../../machines/hwpt.ts";
import type { PinnedRun } from "../../../machines/iopt-pages.ts";
import type { AccessItem, FaultGroup } from "../../../machines/ops/types.ts";
import type { LogHeader } from "../../vocabulary/header.ts";
import type {
	AccessId,
	CtxId,
	DeviceId,
	DomainId,
	FaultQueueId,
	GroupId,
	HwptId,
	IoasId,
	ObjectId,
	PagesId,
} from "../../vocabulary/ids.ts";

import { type LegacyNotes, newLegacyNotes } from "./notes-legacy.ts";

/** The arguments of the operation that is open. */
export type Args = { readonly [name: string]: unknown };

/** A context's id table. */
export interface IdTable {
	open: boolean;
	readonly ids: Map<number, ObjectId>;
	readonly generations: Map<number, number>;
	pagesMade: number;
	fileOpen: Set<number>;
}
/** The memory of one map call. */
export interface PagesNote {
	readonly mm: number;
	readonly uva: bigint;
	readonly npages: number;
	readonly writable: boolean;
	store: readonly PinnedRun[];
}
/** Page requests of a queue. */
export interface QueueNote {
	deliver: readonly FaultGroup[];
	response: readonly FaultGroup[];
}
/** How full a domain's page table is: the states of its statechart. */
export type Content = "Allocated" | "CcSet" | "Populated" | "Drained";
/** The call that a domain was made for. */
export interface DomainNote {
	readonly kind: string;
	/** The device that it was made for; of a container's domain, the first that was attached. */
	dev: DeviceId | undefined;
	readonly flags: number;
	readonly data: unknown;
	readonly pt: number;
	content: Content;
	readonly marks: Set<number>;
	pageSize: number;
}
/** Everything noted. */
export interface Notes {
	readonly header: LogHeader;
	readonly ctxs: Map<CtxId, IdTable>;
	readonly legacy: LegacyNotes;
	readonly domains: Map<DomainId, DomainNote>;
	domainsMade: number;
	readonly pages: Map<PagesId, PagesNote>;
	readonly msi: Map<GroupId, number | bigint>;
	/** 2023 flows: hwpt->devices. */
	readonly devices: Map<HwptId, readonly ListedDevice[]>;
	readonly doorbells: Set<DomainId>;
	readonly irqs: Map<DeviceId, bigint>;
	readonly deaf: Set<AccessId>;
	readonly items: Map<
		AccessId,
		{ next: number; items: AccessItem[]; readonly mdev: string | undefined }
	>;
	readonly queues: Map<FaultQueueId, QueueNote>;
	/** Users of fault queues, which the world learns of too late. */
	readonly users: Map<ObjectId, number>;
	/** Invalidations of nested hwpts that did something. */
	readonly invalidations: Map<HwptId, { args: Args; done: number }[]>;
	/** Domains that an IOAS keeps filled, in the order they came. */
	readonly filled: Map<IoasId, DomainId[]>;
	/** Groups that gave their last iommufd object back. */
	readonly igFreed: Set<GroupId>;
	/** The domain whose dirty marks the open operation read and cleared. */
	read: DomainId | undefined;
	op: { readonly name: string; readonly args: Args };
}

const NO_OP = { name: "", args: {} };

/** Nothing noted yet. */
export const newNotes = (header: LogHeader): Notes => ({
	header,
	ctxs: new Map(),
	legacy: newLegacyNotes(),
	domains: new Map(),
	domainsMade: 0,
	pages: new Map(),
	msi: new Map(),
	devices: new Map(),
	doorbells: new Set(),
	irqs: new Map(),
	deaf: new Set(),
	items: new Map(),
	queues: new Map(),
	users: new Map(),
	invalidations: new Map(),
	filled: new Map(),
	igFreed: new Set(),
	read: undefined,
	op: NO_OP,
});
