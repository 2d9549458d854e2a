/**
 * The operations of machines/ops in the live system. They work on plain state (machines/ops/types.ts); here that state is put together from
 * the actors, an operation runs on it, and what it changed goes back to the actors as events. Accesses, fault queues and what nested hwpts and
 * drivers know beyond an actor's context are kept here.
 */
import { perform, type Exec } from "../../machines/ops/exec.ts";
import type {
	Access,
	Answer,
	Ctx,
	FaultQueue,
	Host,
	Hwpt,
	Ig,
	Idev,
	Ioas,
	Obj,
	OpEnv,
	Outcome as PlainOutcome,
} from "../../machines/ops/types.ts";
import type { HwptContext } from "../../machines/hwpt.ts";
import type { IoasContext } from "../../machines/ioas.ts";
import { idGet, idNumbers, idValues } from "../../machines/id-table.ts";
import type { CtxContext } from "../../machines/iommufd-ctx.ts";
import { PERSONALITIES } from "../drivers/personalities.ts";
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	IoasId,
	ObjectId,
} from "../vocabulary/ids.ts";
import { contextOf, kernelNumber } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import { writeBack } from "./write-back.ts";

/** What no actor knows of a context: its objects of other kinds, and its accounting mode. */
export interface Beside {
	readonly objs: ReadonlyMap<number, Access | FaultQueue>;
	/** Parent and fault queue of nested hwpts, by object id. */
	readonly nested: ReadonlyMap<number, Pick<Hwpt, "parent" | "fault">>;
	readonly acct: Ctx["acct"];
	readonly vfioIoas?: number;
}
const NOTHING: Beside = { objs: new Map(), nested: new Map(), acct: "USER" };

/** What is kept of a context beside its actors. */
export const besideOf = (x: Executor, ctx: CtxId): Beside =>
	x.beside.get(ctx) ?? NOTHING;

const idOrUndefined = (id: ObjectId | null): number | undefined =>
	id === null ? undefined : kernelNumber(id);

function hwptOf(x: Executor, beside: Beside, id: number, name: ObjectId): Hwpt {
	const c = x.context<HwptContext>(name);
	const base = { id, u: c.u, published: true, type: "hwpt" as const };
	const dom = c.dom as DomainId;
	const nested = beside.nested.get(id);
	const rest = {
		name: c.hwpt,
		dom,
		auto: c.auto,
		cc: c.cc,
		nestParent: c.nestParent,
		msiCookie: x.domainOf(dom).cookie,
	};
	return nested === undefined
		? { ...base, ...rest, kind: "paging", ioas: idOrUndefined(c.ioas) ?? 0 }
		: { ...base, ...rest, kind: "nested", ...nested };
}

function ioasOf(x: Executor, id: number, name: ObjectId): Ioas {
	const c = x.context<IoasContext>(name);
	return {
		id,
		u: c.u,
		published: true,
		type: "ioas",
		name: c.ioas,
		iopt: c.iopt,
		hwpts: c.hwpts.map(({ hwpt }) => kernelNumber(hwpt)),
	};
}

function idevOf(x: Executor, id: number, dev: DeviceId): Idev {
	const c = x.device(dev);
	return {
		id,
		u: c.u,
		published: true,
		type: "idev",
		name: c.idev!,
		dev,
		group: x.parts.outside.groupOf(dev),
		cc: c.cc,
		iopf: 0,
	};
}

/** Devices bound to a context, by object name. */
function boundDevices(x: Executor, ctx: CtxId): Map<ObjectId, DeviceId> {
	const bound = new Map<ObjectId, DeviceId>();
	for (const dev of x.parts.outside.devices.keys()) {
		const c = x.device(dev);
		if (c.ctx === ctx && c.idev !== null) bound.set(c.idev, dev);
	}
	return bound;
}

function objOf(
	x: Executor,
	beside: Beside,
	bound: ReadonlyMap<ObjectId, DeviceId>,
	name: ObjectId,
): Obj {
	const id = kernelNumber(name);
	const plain = beside.objs.get(id);
	if (plain !== undefined) return plain;
	if (name.includes("/hwpt:")) return hwptOf(x, beside, id, name);
	if (name.includes("/ioas:")) return ioasOf(x, id, name);
	const dev = bound.get(name);
	if (dev === undefined) throw new Error(`${name} is unknown`);
	return idevOf(x, id, dev);
}

function igOf(x: Executor, group: GroupId): Ig {
	const g = x.group(group);
	const hwpt = idOrUndefined(g.hwpt);
	return {
		group,
		list: g.list,
		ref: g.ref,
		...(hwpt === undefined ? {} : { hwpt }),
		...(g.msi === null ? {} : { msi: BigInt(g.msi) }),
	};
}

function ctxOf(
	x: Executor,
	name: CtxId,
	bound: ReadonlyMap<ObjectId, DeviceId>,
): Ctx {
	const { ids, generations } = x.context<CtxContext>(name);
	const beside = besideOf(x, name);
	const objs = new Map<number, Obj>();
	for (const obj of idValues(ids))
		if (obj !== null) objs.set(kernelNumber(obj), objOf(x, beside, bound, obj));
	const groups = new Set(
		[...bound.values()].map((dev) => x.parts.outside.groupOf(dev)),
	);
	return {
		name,
		objs,
		gens: new Map(
			idNumbers(generations).map((id) => [id, idGet(generations, id) ?? 0]),
		),
		groups: new Map([...groups].map((group) => [group, igOf(x, group)])),
		noIommu: false,
		acct: beside.acct,
		...(beside.vfioIoas === undefined ? {} : { vfioIoas: beside.vfioIoas }),
	};
}

/** The plain state as an operation of `ctx` can see it: the context, the groups it has part in, every domain. */
export function hostFor(x: Executor, ctx: CtxId): Host {
	const { outside } = x.parts;
	const bound = boundDevices(x, ctx);
	const view = ctxOf(x, ctx, bound);
	const devs = new Map(
		[...bound].map(([idev, dev]) => [
			dev,
			{ ...outside.device(dev).dev, idev },
		]),
	);
	const groups = [...view.groups.keys()].map((group) => {
		const g = x.group(group);
		return [
			group,
			{
				group,
				members: g.members.map(({ dev }) => dev),
				def: g.def as DomainId,
				dom: g.dom as DomainId,
				ocnt: g.ocnt,
				handles: g.handles,
			},
		] as const;
	});
	return {
		ctxs: new Map([[ctx, view]]),
		containers: new Map(),
		groups: new Map(groups),
		devs: devs as Host["devs"],
		domains: outside.domains,
		mem: outside.mem(ctx),
		nextDomain: kernelNumber(outside.nextDomain as never),
		nextGroup: 0,
	};
}

/** The caller of live commands: process 1, root. */
const CALLER = {
	proc: 1,
	uid: 0,
	ipcLock: true,
	sysResource: true,
	rawIo: true,
};

/** The ways a refuse rule can name a domain that an operation on plain state attaches to: by its name, or by its role in the group. */
function rolesOf(
	x: Executor,
	dev: DeviceId,
	dom: DomainId,
	blocking: boolean,
): string[] {
	const { def, blk } = x.group(x.parts.outside.groupOf(dev));
	const isBlocking = blocking || dom === blk;
	return [
		dom,
		...(isBlocking ? ["blocking"] : []),
		...(dom === def ? ["default"] : []),
	];
}

/** What operations on plain state ask of the outside. */
export function envOf(x: Executor, proc: number): OpEnv {
	const { outside } = x.parts;
	const { env, op, switches } = outside;
	return {
		...env,
		fail: (step) => {
			if (step === "resp" && op === switches.unwritableResult) return "EFAULT";
			const errno = env.fail?.(step);
			return errno !== undefined && step === "resp" ? "EFAULT" : errno;
		},
		caller: { ...CALLER, proc },
		drivers: PERSONALITIES,
		touch: () => undefined,
		refuse: (dev, dom, { undo, blocking }) =>
			switches.refuse.length === 0
				? undefined
				: outside.refusal(dev, rolesOf(x, dev, dom, blocking), undo),
	};
}

/** How an operation runs: the calling process, and for mended anomalies an answer that takes the place of all that was done. */
export interface PlainOptions<A> {
	readonly proc?: number;
	readonly veto?: (outcome: PlainOutcome, answer: A) => A | undefined;
}

/** Runs an operation of machines/ops on the live state: records out, changes to the actors. A veto undoes it without a trace. */
export function onPlain<A extends Answer>(
	x: Executor,
	ctx: CtxId,
	body: (exec: Exec) => A,
	{ proc = 1, veto }: PlainOptions<A> = {},
): A {
	const before = hostFor(x, ctx);
	let answer: A | undefined;
	const outcome = perform(before, ctx, envOf(x, proc), (exec) => {
		answer = body(exec);
		return answer;
	});
	const instead = veto?.(outcome, answer as A);
	if (instead !== undefined) return instead;
	for (const one of outcome.facts) x.parts.emit(one);
	writeBack(x, ctx, before, outcome.host);
	return answer as A;
}

/** The compatibility slot is emptied with its IOAS (facts §1.4). */
export function emptySlot(x: Executor, ioas: IoasId): void {
	const ctx = contextOf(ioas);
	const beside = x.beside.get(ctx);
	if (beside?.vfioIoas !== kernelNumber(ioas)) return;
	const { vfioIoas: _, ...rest } = beside;
	x.beside.set(ctx, rest);
}

/** Whether an object is one that has no actor, or a nested hwpt. */
export const isBeside = (x: Executor, ctx: CtxId, id: number): boolean => {
	const { objs, nested } = besideOf(x, ctx);
	return objs.has(id) || nested.has(id);
};
