/**
 * What each operation gives its caller, and how that is read from the `result` of its `op.commit`. Adding an operation to CommandArgs
 * without saying here what it returns does not compile.
 */
import type { Json, U64 } from "../vocabulary/fields.ts";
import { u64, u64FromHex } from "../vocabulary/fields.ts";
import type { CtxId } from "../vocabulary/ids.ts";
import type { CommandArgs, OpName } from "./commands.ts";

/** An inclusive range of IOVAs, in bytes. */
export interface IovaRange {
	readonly start: U64;
	readonly last: U64;
}
/** A stretch of IOVAs by its length, in bytes. */
export interface IovaSpan {
	readonly iova: U64;
	readonly length: U64;
}
/** A page request as read() of a fault queue shows it (struct iommu_hwpt_pgfault). */
export interface ReadPageFault {
	readonly flags: number;
	readonly dev_id: number;
	readonly pasid: number;
	readonly grpid: number;
	readonly perm: number;
	readonly addr: U64;
	readonly length: number;
	/** What to answer it by. */
	readonly cookie: number;
}

/** Results by operation; `undefined` for those that answer with success alone. */
export interface CommandResults {
	/** The context. */
	readonly open: CtxId;
	readonly close: undefined;
	/** The id of the device object (dev_id). */
	readonly bind: number;
	readonly unbind: undefined;
	/** The id of the IOAS. */
	readonly ioasAlloc: number;
	/** The id of the hwpt. */
	readonly hwptAlloc: number;
	/** The IOVA, in bytes. */
	readonly map: U64;
	/** How many bytes were unmapped. */
	readonly unmap: U64;
	/** The id of the hwpt that the device is attached to now. */
	readonly attach: number;
	/** The id of the hwpt that the device is attached to now. */
	readonly replace: number;
	readonly detach: undefined;
	readonly destroy: undefined;
	readonly hotAdd: undefined;
	/** The doorbell's IOVA where the group has a software MSI window. */
	readonly irqRequest: U64 | undefined;
	readonly iovaRanges: {
		readonly ranges: readonly IovaRange[];
		/** Alignment that areas must keep, in bytes. */
		readonly align: number;
	};
	readonly allowIovas: undefined;
	/** The IOVA in the destination, in bytes. */
	readonly copy: U64;
	readonly optionSet: undefined;
	readonly optionGet: number;
	/** The id of the IOAS in the compatibility slot; undefined after a SET. */
	readonly vfioIoas: number | undefined;
	readonly vfioIoasClear: undefined;
	readonly vfioSetIommu: undefined;
	/** 1 when the extension is there, else 0. */
	readonly vfioCheckExtension: number;
	/** The page sizes that all domains share, as a bitmap of bytes. */
	readonly vfioInfo: U64;
	readonly vfioMap: undefined;
	/** How many bytes were unmapped. */
	readonly vfioUnmap: U64;
	/** The container. */
	readonly containerOpen: CtxId;
	readonly containerClose: undefined;
	readonly groupSetContainer: undefined;
	readonly groupUnsetContainer: undefined;
	readonly containerSetIommu: undefined;
	readonly containerMap: undefined;
	/** How many bytes were unmapped; with "v1" more than asked when the last entry reaches beyond the request. */
	readonly containerUnmap: U64;
	readonly dirtySet: undefined;
	/** The dirty leaves of the range. */
	readonly dirtyGet: readonly IovaSpan[];
	/** How many pages were marked. */
	readonly deviceWrote: number;
	/** The id of the access. */
	readonly accessCreate: number;
	readonly accessAttach: undefined;
	readonly accessReplace: undefined;
	readonly accessDetach: undefined;
	/** The number of the pinned item. */
	readonly accessPin: number;
	readonly accessUnpin: undefined;
	readonly accessRw: undefined;
	readonly accessDestroy: undefined;
	/** The id of the fault queue. */
	readonly faultQueueAlloc: number;
	readonly faultQueueClose: undefined;
	readonly pageRequest: undefined;
	readonly faultRead: readonly ReadPageFault[];
	readonly faultAnswer: undefined;
	/** How many entries were done. */
	readonly invalidate: number;
}

type Fields = { readonly [name: string]: Json };
type Readers = {
	readonly [O in OpName]: (result: Fields) => CommandResults[O];
};
type Row = { readonly [name: string]: string };

const nothing = (): undefined => undefined;
const num =
	(name: string) =>
	(result: Fields): number =>
		Number(result[name]);
/** A 64-bit value of the log. Throws RangeError when it is none: then the log is not one of ours. */
function hex(text: Json | undefined): U64 {
	const value = typeof text === "string" ? u64FromHex(text) : undefined;
	if (value === undefined)
		throw new RangeError(`not a 64-bit hex value: ${JSON.stringify(text)}`);
	return u64(value);
}
const address =
	(name: string) =>
	(result: Fields): U64 =>
		hex(result[name]);
const rows = (result: Fields, name: string): readonly Row[] =>
	result[name] as unknown as readonly Row[];

const READERS: Readers = {
	open: (result) => result["ctx"] as CtxId,
	close: nothing,
	bind: num("idev"),
	unbind: nothing,
	ioasAlloc: num("ioas"),
	hwptAlloc: num("hwpt"),
	map: address("iova"),
	unmap: address("bytes"),
	attach: num("hwpt"),
	replace: num("hwpt"),
	detach: nothing,
	destroy: nothing,
	hotAdd: nothing,
	irqRequest: (result) =>
		result["doorbell"] === undefined ? undefined : hex(result["doorbell"]),
	iovaRanges: (result) => ({
		ranges: rows(result, "ranges").map(({ start, last }) => ({
			start: hex(start),
			last: hex(last),
		})),
		align: Number(result["align"]),
	}),
	allowIovas: nothing,
	copy: address("iova"),
	optionSet: nothing,
	optionGet: num("value"),
	vfioIoas: (result) =>
		result["ioas"] === undefined ? undefined : Number(result["ioas"]),
	vfioIoasClear: nothing,
	vfioSetIommu: nothing,
	vfioCheckExtension: num("ret"),
	vfioInfo: address("pgsizes"),
	vfioMap: nothing,
	vfioUnmap: address("bytes"),
	containerOpen: (result) => result["ctx"] as CtxId,
	containerClose: nothing,
	groupSetContainer: nothing,
	groupUnsetContainer: nothing,
	containerSetIommu: nothing,
	containerMap: nothing,
	containerUnmap: address("bytes"),
	dirtySet: nothing,
	dirtyGet: (result) =>
		rows(result, "dirty").map(({ iova, length }) => ({
			iova: hex(iova),
			length: hex(length),
		})),
	deviceWrote: num("marked"),
	accessCreate: num("access"),
	accessAttach: nothing,
	accessReplace: nothing,
	accessDetach: nothing,
	accessPin: num("item"),
	accessUnpin: nothing,
	accessRw: nothing,
	accessDestroy: nothing,
	faultQueueAlloc: num("fault"),
	faultQueueClose: nothing,
	pageRequest: nothing,
	faultRead: (result) =>
		rows(result, "faults").map((fault) => ({
			...(fault as unknown as ReadPageFault),
			addr: hex(fault["addr"]),
		})),
	faultAnswer: nothing,
	invalidate: num("done"),
};

/** Every operation's name. */
export const OP_NAMES = Object.keys(READERS) as readonly OpName[];

/** Reads the result of an operation from the log's form. */
export const resultOf = <O extends OpName>(
	op: O,
	result: Json | undefined,
): CommandResults[O] => READERS[op]((result ?? {}) as Fields);

/** The arguments of an operation's method: may be left out where nothing must be said. */
export type ArgsOf<O extends OpName> = object extends CommandArgs[O]
	? [args?: CommandArgs[O]]
	: [args: CommandArgs[O]];
/** Every operation as a method. Throws IommuError with the kernel's errno. */
export type Operations = {
	readonly [O in keyof CommandArgs]: (...args: ArgsOf<O>) => CommandResults[O];
};
/** Every operation as a method that answers when its records are durable. Rejects with IommuError and the kernel's errno. */
export type AsyncOperations = {
	readonly [O in keyof CommandArgs]: (
		...args: ArgsOf<O>
	) => Promise<CommandResults[O]>;
};
