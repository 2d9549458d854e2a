/**
 * Takes what an operation of machines/ops changed back to the live system: events for the actors that own it, the rest to what is kept beside
 * them. The records of the operation are out already, so what the actors say to these events is not written down again.
 */
import { hwpt as hwptMachine } from "../../machines/hwpt.ts";
import { domain as domainMachine } from "../../machines/domain.ts";
import type { CtxContext } from "../../machines/iommufd-ctx.ts";
import type {
	Ctx,
	Domain,
	Host,
	Hwpt,
	Ioas,
	Obj,
} from "../../machines/ops/types.ts";
import type { CtxId, DomainId, ObjectId } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import type { Beside } from "./plain.ts";

const isNested = (obj: Obj): obj is Hwpt =>
	obj.type === "hwpt" && obj.kind === "nested";
const hasNoActor = (obj: Obj) => obj.type === "access" || obj.type === "fault";

const KIND = {
	access: "access",
	fault: "fault-queue",
	hwpt: "hwpt",
} as const;

/** Takes an id from the context's table and, unless the object is gone already, puts its name there. */
function takeId(x: Executor, ctx: CtxId, obj: Obj): void {
	const kind = KIND[obj.type as keyof typeof KIND];
	x.mirror(ctx, { type: "id.reserve", kind });
	x.mirror(ctx, { type: "id.publish", obj: (obj as Hwpt).name });
}

function bornHwpt(x: Executor, ctx: CtxId, h: Hwpt, parent: Hwpt): void {
	x.spawn(h.name, hwptMachine, { hwpt: h.name }, ctx);
	const ioas = x.hwptView(parent.name)!.ioas;
	x.mirror(h.name, { type: "hwpt.reserve", ctx, ioas });
	const fault = h.fault !== undefined;
	x.mirror(h.name, { type: "hwpt.build", dom: h.dom, cc: h.cc, fault });
	x.mirror(h.name, { type: "hwpt.publish", auto: false });
}

function count(x: Executor, obj: Hwpt | Ioas, delta: number): void {
	const type = delta > 0 ? "obj.get" : "obj.put";
	x.mirror(obj.name, { type, n: Math.abs(delta), why: "" });
}

function changed(x: Executor, before: Obj, after: Obj): void {
	if (after.type !== "hwpt" && after.type !== "ioas") return;
	if (after.u !== before.u) count(x, after, after.u - before.u);
	if (after.type === "ioas" && after.iopt !== (before as Ioas).iopt)
		x.mirror(after.name, { type: "iopt.changed", iopt: after.iopt });
}

/** Ids that were taken and given back within the operation: their generation is used up. */
function usedUp(x: Executor, ctx: CtxId, before: Ctx, after: Ctx): void {
	for (const [id, generation] of after.gens) {
		if (generation === (before.gens.get(id) ?? 0) || after.objs.has(id))
			continue;
		x.mirror(ctx, { type: "id.reserve", kind: "hwpt" });
		const { answer } = x.context<CtxContext>(ctx);
		const obj = (answer as { readonly value?: unknown }).value as ObjectId;
		x.mirror(ctx, { type: "id.free", obj });
	}
}

function besideAfter(after: Ctx): Beside {
	const objs = [...after.objs.values()];
	return {
		objs: new Map(
			objs.filter(hasNoActor).map((o) => [o.id, o]),
		) as Beside["objs"],
		nested: new Map(objs.filter(isNested).map((h) => [h.id, nestedPart(h)])),
		acct: after.acct,
		...(after.vfioIoas === undefined ? {} : { vfioIoas: after.vfioIoas }),
	};
}
const nestedPart = ({ parent, fault }: Hwpt) => ({
	...(parent === undefined ? {} : { parent }),
	...(fault === undefined ? {} : { fault }),
});

function bornDomain(x: Executor, dom: Domain): void {
	x.parts.outside.countDomain();
	x.spawn(dom.dom, domainMachine, { dom: dom.dom }, "host");
	const { driver } = dom;
	const shape = { driver, pgsizes: 0, apertureStart: 0, apertureLast: 0 };
	x.mirror(dom.dom, {
		type: "dom.create",
		kind: dom.kind,
		shape: { ...shape, coherent: false },
	});
}

function domains(x: Executor, before: Host, after: Host): void {
	if (
		before.domains === after.domains &&
		before.nextDomain === after.nextDomain
	)
		return;
	const { outside } = x.parts;
	for (const [dom, domain] of after.domains)
		if (!before.domains.has(dom)) bornDomain(x, domain);
	for (const dom of before.domains.keys())
		if (!after.domains.has(dom)) gone(x, dom);
	outside.domains = after.domains;
	while (outside.nextDomain !== (`domain:${after.nextDomain}` as DomainId))
		outside.countDomain();
}

function gone(x: Executor, id: DomainId | ObjectId): void {
	x.actors.get(id)?.stop();
	x.actors.delete(id);
}

/** Takes the change from `before` to `after` over. */
export function writeBack(
	x: Executor,
	ctx: CtxId,
	before: Host,
	after: Host,
): void {
	const was = before.ctxs.get(ctx)!;
	const now = after.ctxs.get(ctx)!;
	if (after.mem !== before.mem) x.parts.outside.setMem(ctx, after.mem);
	domains(x, before, after);
	if (now === was) return;
	for (const [id, obj] of was.objs) {
		if (now.objs.has(id)) continue;
		const { name } = obj as Hwpt;
		x.mirror(ctx, { type: "id.free", obj: name });
		gone(x, name);
	}
	for (const [id, obj] of now.objs) {
		const old = was.objs.get(id);
		if (old === undefined) {
			takeId(x, ctx, obj);
			if (isNested(obj))
				bornHwpt(x, ctx, obj, now.objs.get(obj.parent!) as Hwpt);
		} else if (old !== obj) changed(x, old, obj);
	}
	usedUp(x, ctx, was, now);
	x.beside.set(ctx, besideAfter(now));
}
