/**
 * The runner of ordered step lists. An operation is a list of named steps; each step changes the state or answers an errno; on an
 * errno the steps done so far are undone in reverse order (facts §0.4, §2). Fault injection asks once per failable step, in order.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { CtxId, DeviceId, ObjectId } from "../../src/vocabulary/ids.ts";
import { objectId } from "../../src/vocabulary/ids.ts";
import type { Fact } from "../../src/vocabulary/records.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { UserData } from "./driver.ts";
import type {
	Answer,
	Ctx,
	Domain,
	Group,
	Host,
	Ioas,
	Obj,
	ObjType,
	OpEnv,
	Outcome,
} from "./types.ts";

/** A cursor over immutable states: where one operation stands. Lives only inside `perform`. */
export interface Exec {
	host: Host;
	readonly facts: Fact[];
	readonly env: OpEnv;
	readonly ctx: CtxId;
	/** What the caller of a transaction wants of the domain it makes, and how to copy the answer back. */
	pending?: Pending | undefined;
}
/** Wishes that ride along with a transaction. */
export interface Pending {
	readonly dev?: DeviceId | undefined;
	readonly flags: number;
	readonly nestParent?: boolean;
	readonly data: UserData;
	/** Absent: nothing is copied back inside the transaction. */
	readonly respond?: (() => ErrnoName | undefined) | undefined;
}

/** One step. `fails` names what allocation or copy it stands for: fault injection may strike there. */
export interface Step<L> {
	readonly name: string;
	readonly fails?: ErrnoName;
	// void: most steps cannot fail and return nothing.
	// oxlint-disable-next-line typescript/no-invalid-void-type
	readonly run: (x: Exec, local: L) => ErrnoName | undefined | void;
	readonly undo?: (x: Exec, local: L) => void;
}

/** Runs steps in order; the errno and the step's name when one failed, everything before it undone. */
export function runSteps<L>(
	x: Exec,
	local: L,
	steps: readonly Step<L>[],
): { readonly errno: ErrnoName; readonly step: string } | undefined {
	for (const [i, step] of steps.entries()) {
		const injected =
			step.fails === undefined ? undefined : x.env.fail?.(step.name);
		const errno = injected ?? step.run(x, local);
		if (errno === undefined) continue;
		for (let k = i - 1; k >= 0; k--) steps[k]?.undo?.(x, local);
		return { errno, step: step.name };
	}
	return undefined;
}

/** Runs one operation from `host`: the only way in. */
export function perform(
	host: Host,
	ctx: CtxId,
	env: OpEnv,
	body: (x: Exec) => Answer,
): Outcome {
	const x: Exec = { host, facts: [], env, ctx };
	const answer = body(x);
	return { ...answer, host: settleMarks(x.host, x.facts), facts: x.facts };
}

/** Dirty marks go away with the entries that carried them: the hardware facts of the operation say which. */
function settleMarks(host: Host, facts: readonly Fact[]): Host {
	let domains: Map<Domain["dom"], Domain> | undefined;
	for (const f of facts) {
		if (f.type !== "dom.unmap") continue;
		const { dom: name, iova, len } = f.data;
		const dom = (domains ?? host.domains).get(name);
		if (dom === undefined || dom.marks.size === 0) continue;
		const size = Number(dom.pgsizes & -dom.pgsizes);
		const from = Number(iova) / size;
		const to = from + Number(len) / size;
		const marks = new Set([...dom.marks].filter((m) => m < from || m >= to));
		domains ??= new Map(host.domains);
		domains.set(name, { ...dom, marks });
	}
	return domains === undefined ? host : { ...host, domains };
}

/** Appends facts. */
export const emit = (x: Exec, ...facts: readonly Fact[]): void => {
	x.facts.push(...facts);
};

/** The context of the operation. Throws when it is closed: the file is held by the caller. */
export function ctxOf(x: Exec, name: CtxId = x.ctx): Ctx {
	const ctx = x.host.ctxs.get(name);
	if (ctx === undefined) throw new Error(`${name} is not open`);
	return ctx;
}
/** Replaces the context. */
export function putCtx(x: Exec, ctx: Ctx): void {
	x.host = { ...x.host, ctxs: new Map(x.host.ctxs).set(ctx.name, ctx) };
}
/** A published object of a type by its id; undefined answers ENOENT. */
export function lookUp<T extends ObjType>(
	x: Exec,
	id: number,
	type: T,
): Extract<Obj, { type: T }> | undefined {
	const obj = ctxOf(x).objs.get(id);
	return obj?.published === true && obj.type === type
		? (obj as Extract<Obj, { type: T }>)
		: undefined;
}
/** An object that must be there because something counts on it. */
export function objOf<T extends ObjType>(
	x: Exec,
	id: number,
	type: T,
): Extract<Obj, { type: T }> {
	const obj = ctxOf(x).objs.get(id);
	if (obj?.type !== type)
		throw new Error(`${x.ctx}: id ${id} is not a ${type}`);
	return obj as Extract<Obj, { type: T }>;
}
/** Replaces an object. */
export function putObj(x: Exec, obj: Obj): void {
	const ctx = ctxOf(x);
	putCtx(x, { ...ctx, objs: new Map(ctx.objs).set(obj.id, obj) });
}

/** The name of an object in records; the selftest's stdev has none. */
export const nameOf = (obj: Obj): ObjectId | undefined =>
	obj.type === "stdev" ? undefined : obj.name;

const KINDS = {
	ioas: "ioas",
	hwpt: "hwpt",
	idev: "idev",
	access: "access",
	fault: "fault-queue",
	stdev: "idev",
} as const;

/** Reserves the lowest free id, unpublished, one user (_iommufd_object_alloc); `make` fills in the rest. */
export function reserveId<T extends Obj>(
	x: Exec,
	type: T["type"],
	// The name fits the type: KINDS says so.
	make: (base: { id: number; u: 1; published: false; name: never }) => T,
): T {
	const ctx = ctxOf(x);
	let held = x.env.heldIds ?? 0;
	let id = 1;
	while (ctx.objs.has(id) || held-- > 0) id++;
	const gen = (ctx.gens.get(id) ?? 0) + 1;
	const name = objectId(KINDS[type], ctx.name, id, gen) as never;
	const obj = make({ id, u: 1, published: false, name });
	putCtx(x, {
		...ctx,
		objs: new Map(ctx.objs).set(id, obj),
		gens: new Map(ctx.gens).set(id, gen),
	});
	return obj;
}
/** Makes an object visible (iommufd_object_finalize). */
export function publish(x: Exec, id: number): void {
	const obj = ctxOf(x).objs.get(id) as Obj;
	putObj(x, { ...obj, published: true });
}
/** Frees an id. `undo`: a creation that failed. */
export function freeId(x: Exec, id: number, undo = false): void {
	const ctx = ctxOf(x);
	const obj = ctx.objs.get(id) as Obj;
	const objs = new Map(ctx.objs);
	objs.delete(id);
	putCtx(x, { ...ctx, objs });
	const name = nameOf(obj);
	if (name !== undefined)
		emit(x, fact("obj.gone", name, { obj: name, ...(undo ? { undo } : {}) }));
}
/** Changes a users count and says so. */
export function addUsers(
	x: Exec,
	id: number,
	delta: number,
	why: string,
	undo = false,
): void {
	const obj = ctxOf(x).objs.get(id) as Obj;
	const u = obj.u + delta;
	putObj(x, { ...obj, u });
	const name = nameOf(obj);
	if (name === undefined) return;
	const flag = undo ? { undo } : {};
	emit(x, fact("obj.ref", name, { obj: name, delta, u, why, ...flag }));
}

/** The core's group. */
export function groupOf(x: Exec, group: Group["group"]): Group {
	const g = x.host.groups.get(group);
	if (g === undefined) throw new Error(`${group} is not known`);
	return g;
}
export function putGroup(x: Exec, group: Group): void {
	x.host = {
		...x.host,
		groups: new Map(x.host.groups).set(group.group, group),
	};
}
export function domainOf(x: Exec, dom: Domain["dom"]): Domain {
	const d = x.host.domains.get(dom);
	if (d === undefined) throw new Error(`${dom} is not known`);
	return d;
}
export function putDomain(x: Exec, dom: Domain): void {
	x.host = { ...x.host, domains: new Map(x.host.domains).set(dom.dom, dom) };
}

/** Takes over the outcome of an iopt function; its errno and step when it failed. */
export function settleIopt(
	x: Exec,
	ioas: Ioas,
	result: {
		readonly ok: boolean;
		readonly iopt: Ioas["iopt"];
		readonly mem?: Host["mem"];
		readonly facts: readonly Fact[];
		readonly errno?: ErrnoName;
	},
): ErrnoName | undefined {
	const now = objOf(x, ioas.id, "ioas");
	if (result.iopt !== now.iopt) putObj(x, { ...now, iopt: result.iopt });
	if (result.mem !== undefined && result.mem !== x.host.mem)
		x.host = { ...x.host, mem: result.mem };
	emit(x, ...result.facts);
	return result.ok ? undefined : result.errno;
}

/** A call that is several operations for the kernel: ends the current one (with `failure`) and begins the next. */
export function nextOperation(
	x: Exec,
	op: string,
	failure?: Answer,
	args: { readonly [name: string]: number } = {},
): void {
	const { errno, step = "" } = failure ?? {};
	emit(
		x,
		errno === undefined
			? fact("op.commit", x.ctx, {})
			: fact("op.fail", x.ctx, { errno, step }),
		fact("op.begin", x.ctx, { op, args }),
	);
}

export const EOK: Answer = {};
/** A refusal before any step. */
export const refused = (errno: ErrnoName, step: string): Answer => ({
	errno,
	step,
});
