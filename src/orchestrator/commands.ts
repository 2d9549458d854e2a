/**
 * The commands of a system, as data: what stands in `op.begin` is all there is to a command, so a log can be decided again. Numbers are
 * kernel object ids; 64-bit values are hex text.
 */
import { createPages } from "../../machines/iopt-pages.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import { hexOf, u64 } from "../vocabulary/fields.ts";
import type { CtxId, DeviceId, IoasId, ObjectId } from "../vocabulary/ids.ts";
import { kernelNumber } from "../vocabulary/ids.ts";
import { ask } from "../../machines/steps.ts";
import { idGet, idValues } from "../../machines/id-table.ts";
import type { CtxContext } from "../../machines/iommufd-ctx.ts";
import type { IoasContext } from "../../machines/ioas.ts";
import { destroyObject } from "../../machines/ops/destroy.ts";
import { pagingErrno } from "../../machines/ops/hwpt.ts";
import { objOf } from "../../machines/ops/exec.ts";
import { attachedTo } from "./begin.ts";
import type { AccessArgs } from "./commands-access.ts";
import { ACCESS_HANDLERS } from "./commands-access.ts";
import type { FaultArgs, HexData } from "./commands-fault.ts";
import { allocNested, FAULT_HANDLERS, userData } from "./commands-fault.ts";
import type { PlainArgs } from "./commands-plain.ts";
import { fromHex, PLAIN_HANDLERS, plainly } from "./commands-plain.ts";
import {
	isLegacyOp,
	LEGACY_HANDLERS,
	type LegacyArgs,
	nextCtx,
} from "./commands-legacy.ts";
import { VFIO_HANDLERS, type VfioArgs } from "./commands-vfio.ts";
import { unmapPlain } from "./unmap-plain.ts";
import { besideOf, isBeside, onPlain } from "./plain.ts";
import type { Executor } from "./executor.ts";
import { hotAdd, isPresent } from "./hot-add.ts";
import type { Outcome } from "./executor-parts.ts";
import type { Role } from "./flows.ts";

/** Arguments by operation; those that run on plain state are in commands-plain.ts, commands-access.ts, commands-fault.ts. */
export interface CommandArgs
	extends PlainArgs,
		AccessArgs,
		FaultArgs,
		VfioArgs,
		LegacyArgs {
	/** Opens /dev/iommu: an iommufd context. */
	readonly open: object;
	/** The last close of a context. EBUSY while devices, accesses or open queue files hold its file. */
	readonly close: { readonly ctx: CtxId };
	/** VFIO_DEVICE_BIND_IOMMUFD: binds a device to a context; claims its group (facts §2.1). */
	readonly bind: { readonly ctx: CtxId; readonly dev: DeviceId };
	/** Unbinds a detached device (close of its file). EBUSY while it is attached. */
	readonly unbind: { readonly ctx: CtxId; readonly dev: DeviceId };
	/** IOAS_ALLOC: makes an address space. */
	readonly ioasAlloc: { readonly ctx: CtxId };
	/** HWPT_ALLOC (facts §2.9). `pt` is an IOAS, or for a nested hwpt its parent. `flags`: 1 nesting parent, 2 dirty tracking, 4 `fault` names a fault queue. */
	readonly hwptAlloc: {
		readonly ctx: CtxId;
		readonly dev: DeviceId;
		readonly pt: number;
		readonly flags?: number;
		readonly data?: HexData;
		readonly fault?: number;
	};
	/** IOAS_MAP (facts §2.4). `va` is user memory of process `mm` (1 unless said); without `iova` the IOAS chooses. `prot`: 1 read, 2 write. */
	readonly map: {
		readonly ctx: CtxId;
		readonly ioas: number;
		readonly iova?: string;
		readonly length: string;
		readonly va: string;
		readonly prot: number;
		readonly mm?: number;
	};
	/** IOAS_UNMAP (facts §2.6): whole areas inside the range; those before a failing one stay unmapped. */
	readonly unmap: {
		readonly ctx: CtxId;
		readonly ioas: number;
		readonly iova: string;
		readonly length: string;
	};
	/** VFIO_DEVICE_ATTACH_IOMMUFD_PT. `pt` is the id of a hwpt, or of an IOAS. A device that is attached already is replaced, as VFIO does it. */
	readonly attach: {
		readonly ctx: CtxId;
		readonly dev: DeviceId;
		readonly pt: number;
	};
	/** iommufd_device_replace (facts §2.12): moves what an attached device is attached to. */
	readonly replace: {
		readonly ctx: CtxId;
		readonly dev: DeviceId;
		readonly pt: number;
	};
	/** VFIO_DEVICE_DETACH_IOMMUFD_PT. Cannot fail; of a device that is not attached it does nothing. */
	readonly detach: { readonly ctx: CtxId; readonly dev: DeviceId };
	/** IOMMU_DESTROY (facts §1.4): ENOENT, or EBUSY while something counts on the object. */
	readonly destroy: { readonly ctx: CtxId; readonly id: number };
	/** The platform, not user space: a device that the topology calls absent appears and is probed into its group (facts §4.7). One that is there already changes nothing. */
	readonly hotAdd: { readonly dev: DeviceId };
	/** VFIO_DEVICE_SET_IRQS: interrupts of a bound device; without an MSI cookie it succeeds all the same (dma-iommu.c:iommu_dma_prepare_msi). */
	readonly irqRequest: { readonly ctx: CtxId; readonly dev: DeviceId };
}
/** The name of an operation. */
export type OpName = keyof CommandArgs;
/** A command. */
export type Command<O extends OpName = OpName> = O extends OpName
	? { readonly op: O; readonly args: CommandArgs[O] }
	: never;

const ok = (value?: Json): Outcome => ({ ok: true, value }) as Outcome;
const failed = (errno: ErrnoName, step: string): Outcome =>
	({ ok: false, errno, step }) as Outcome;
const idResult = (outcome: Outcome, name: string): Outcome =>
	outcome.ok
		? ok({ [name]: kernelNumber(outcome.value as ObjectId) })
		: outcome;
const run = (
	x: Executor,
	role: Role,
	owner: CtxId | DeviceId,
	fields: object,
): Outcome => x.run(role, owner, { type: "BEGIN", ...fields });

function ioasOf(x: Executor, ctx: CtxId, id: number): IoasId | undefined {
	const obj = idGet(x.context<CtxContext>(ctx).ids, id);
	return obj?.includes("/ioas:") ? (obj as IoasId) : undefined;
}

function attachOrReplace(
	x: Executor,
	args: CommandArgs["attach"],
	how: "attach" | "replace",
): Outcome {
	const state = x.actors.get(args.dev)!;
	const attached = state.state === "Attached";
	const bound =
		state.state !== "Unbound" && x.device(args.dev).ctx === args.ctx;
	const begin = {
		type: "BEGIN" as const,
		ctx: args.ctx,
		dev: args.dev,
		pt: args.pt,
		how: attached ? "replace" : how,
		bound,
		from: attached ? attachedTo(x, args.dev) : null,
		respFailureDetaches: x.parts.outside.switches.respFailureDetaches,
	};
	return idResult(x.run("attachPt", args.ctx, begin), "hwpt");
}

function map(x: Executor, args: CommandArgs["map"]): Outcome {
	const target = ioasOf(x, args.ctx, args.ioas);
	if (target === undefined) return failed("ENOENT", "ioas.look");
	const { outside } = x.parts;
	const length = fromHex(args.length);
	if (length === 0n) return failed("EINVAL", "pages.length");
	const uva = fromHex(args.va);
	const made = createPages(outside.mem(args.ctx), args.ctx, {
		mm: args.mm ?? 1,
		writable: (args.prot & 2) !== 0,
		acct: "NONE",
		account: "",
		uva,
		length,
	});
	const slices = [{ pages: made.pages.id, off: uva - made.pages.uva, length }];
	const event = {
		type: "area.map",
		slices,
		prot: args.prot,
		mem: made.mem,
		env: outside.env,
		...(args.iova === undefined ? {} : { iova: fromHex(args.iova) }),
	};
	const said = x.ask(target, event);
	if (!said.ok) return said as Outcome;
	const { iova } = said.value as { iova: bigint };
	if (outside.resultWritable) return ok({ iova: hexOf(u64(iova)) });
	// A10: the mapping stays although the caller does not learn where it is.
	if (!outside.switches.respFailureKeeps)
		x.ask(target, {
			type: "area.unmap",
			start: iova,
			last: iova + length - 1n,
			mem: outside.mem(args.ctx),
			env: outside.env,
		});
	return failed("EFAULT", "resp");
}

/** Accesses must be asked and dirty marks go with their entries: then the operation runs on plain state. */
function hasOnlookers(x: Executor, ioas: IoasId): boolean {
	const { accs, doms } = x.context<IoasContext>(ioas).iopt;
	const { domains, switches } = x.parts.outside;
	return (
		accs.length > 0 ||
		!switches.partialUnmapStays ||
		doms.some(({ dom }) => domains.get(dom)?.dirty !== undefined)
	);
}

function unmap(x: Executor, args: CommandArgs["unmap"]): Outcome {
	const target = ioasOf(x, args.ctx, args.ioas);
	if (target === undefined) return failed("ENOENT", "ioas.look");
	const start = fromHex(args.iova);
	const length = fromHex(args.length);
	if (length === 0n) return failed("EINVAL", "area.range");
	if (start + length > 1n << 64n) return failed("EOVERFLOW", "area.range");
	if (hasOnlookers(x, target)) return unmapPlain(x, args);
	const { outside } = x.parts;
	const event = {
		type: "area.unmap",
		start,
		last: start + length - 1n,
		mem: outside.mem(args.ctx),
		env: outside.env,
	};
	const said = x.ask(target, event);
	if (!said.ok) return said as Outcome;
	const { bytes } = said.value as { bytes: bigint };
	return bytes === 0n
		? failed("ENOENT", "area.none")
		: ok({ bytes: hexOf(u64(bytes)) });
}

/** HWPT_ALLOC: on an IOAS the transaction, on a hwpt the nested kind. */
function hwptAlloc(x: Executor, args: CommandArgs["hwptAlloc"]): Outcome {
	const { ctx, idev } = x.device(args.dev);
	const number = ctx === args.ctx && idev !== null ? kernelNumber(idev) : 0;
	const { flags = 0, fault = 0 } = args;
	const data = userData(args.data);
	const target = idGet(x.context<CtxContext>(args.ctx).ids, args.pt);
	if (target?.includes("/hwpt:") === true)
		return allocNested(x, args.ctx, {
			idev: number,
			pt: args.pt,
			flags,
			data,
			fault,
		});
	const begin = { ctx: args.ctx, dev: args.dev, pt: args.pt, idev: number };
	if (flags === 0 && data.length === 0)
		return idResult(run(x, "allocIoctl", args.ctx, begin), "hwpt");
	if (number !== 0) {
		const errno = onPlain(x, args.ctx, (exec) => {
			const device = objOf(exec, number, "idev");
			const refusal = pagingErrno(exec, device, flags, data);
			return refusal === undefined ? {} : { errno: refusal };
		}).errno;
		if (errno !== undefined) return failed(errno, "flags");
	}
	const outcome = x.parts.outside.wishing({ flags, data }, () =>
		run(x, "allocIoctl", args.ctx, begin),
	);
	return idResult(outcome, "hwpt");
}

/** Close: what is kept beside actors goes first; accesses and open queue files hold the file, as bound devices do. */
function close(x: Executor, args: CommandArgs["close"]): Outcome {
	const { ctx } = args;
	const { objs, nested } = besideOf(x, ctx);
	const held = [...objs.values()].some(
		(o) => o.type === "access" || o.fileOpen,
	);
	const bound = idValues(x.context<CtxContext>(ctx).ids).some(
		(id) => id?.includes("/idev:") === true,
	);
	if (held && !bound) return failed("EBUSY", "ctx.file");
	if (!bound && objs.size + nested.size > 0)
		onPlain(x, ctx, (exec) => {
			for (const id of [...nested.keys(), ...objs.keys()])
				destroyObject(exec, id);
			return {};
		});
	const outcome = run(x, "close", ctx, args);
	if (outcome.ok) x.actors.get("host")!.send({ type: "host.ctx.closed" });
	return outcome;
}

type Handlers = {
	readonly [O in OpName]: (x: Executor, args: CommandArgs[O]) => Outcome;
};
const HANDLERS: Handlers = {
	open: (x) => {
		const ctx = nextCtx(x);
		x.spawnCtx(ctx);
		x.tell(ask({ type: "ctx.open", to: ctx }));
		x.actors.get("host")!.send({ type: "host.ctx.opened" });
		return ok({ ctx });
	},
	close,
	bind: (x, args) => {
		const { outside } = x.parts;
		const group = outside.groupOf(args.dev);
		return idResult(
			x.run("bind", group, {
				type: "BEGIN",
				...args,
				group,
				dom: outside.nextDomain,
			} as { type: "BEGIN" }),
			"idev",
		);
	},
	unbind: (x, args) => {
		const group = x.parts.outside.groupOf(args.dev);
		const { ctx, idev } = x.device(args.dev);
		return x.run("unbind", group, {
			type: "BEGIN",
			...args,
			group,
			idev: ctx === args.ctx ? idev : null,
		} as { type: "BEGIN" });
	},
	ioasAlloc: (x, args) => idResult(run(x, "ioasAlloc", args.ctx, args), "ioas"),
	hwptAlloc,
	map,
	unmap,
	attach: (x, args) => attachOrReplace(x, args, "attach"),
	replace: (x, args) => attachOrReplace(x, args, "replace"),
	detach: (x, args) => {
		// VFIO's DETACH_PT says 0 also when nothing is attached (facts §2.16).
		if (
			x.actors.get(args.dev)!.state !== "Attached" ||
			x.device(args.dev).ctx !== args.ctx
		)
			return ok();
		return x.perform(ask({ type: "call.detach", to: args.dev, dev: args.dev }));
	},
	destroy: (x, args) =>
		isBeside(x, args.ctx, args.id)
			? plainly(x, args.ctx, (exec) => destroyObject(exec, args.id))
			: run(x, "destroy", args.ctx, args),
	irqRequest: (x, args) => {
		if (x.device(args.dev).ctx !== args.ctx)
			return failed("EINVAL", "dev.bound");
		const doorbell = x.requestInterrupts(args.dev);
		return ok(doorbell === undefined ? {} : { doorbell: hexOf(u64(doorbell)) });
	},
	hotAdd,
	...PLAIN_HANDLERS,
	...ACCESS_HANDLERS,
	...FAULT_HANDLERS,
	...VFIO_HANDLERS,
	...LEGACY_HANDLERS,
};

/** Tells whether `name` is an operation. */
export const isOpName = (name: string): name is OpName =>
	Object.hasOwn(HANDLERS, name);

/** Operations that are not asked of a context. */
const WITHOUT_CTX: {
	readonly [O in OpName as "ctx" extends keyof CommandArgs[O]
		? never
		: O]: true;
} = { open: true, containerOpen: true, hotAdd: true };

/**
 * Carries a command out. Unknown contexts are EBADF, unknown devices ENODEV: the file or device does not exist. RangeError when no context is named
 * where one must be.
 */
export function carryOut(x: Executor, command: Command): Outcome {
	const { ctx, dev } = command.args as {
		readonly ctx?: CtxId;
		readonly dev?: DeviceId;
	};
	if (ctx === undefined && !Object.hasOwn(WITHOUT_CTX, command.op))
		throw new RangeError(`operation ${command.op} needs a ctx`);
	const open = isLegacyOp(command.op)
		? ctx === undefined || x.legacy.containers.has(ctx)
		: ctx === undefined || x.actors.get(ctx)?.state === "Open";
	if (!open) return failed("EBADF", "ctx.look");
	const there =
		dev === undefined ||
		(command.op === "hotAdd"
			? x.parts.outside.devices.has(dev)
			: isPresent(x, dev));
	if (!there) return failed("ENODEV", "dev.look");
	// The table pairs each operation with its own arguments; TypeScript cannot follow the pair through the lookup.
	const handler = HANDLERS[command.op] as (
		x: Executor,
		args: object,
	) => Outcome;
	return handler(x, command.args);
}
