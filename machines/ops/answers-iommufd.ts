/**
 * Answers to steps about ids, hwpts, IOASes and the outside (drivers/iommu/iommufd). See entities.ts.
 */
import type {
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
} from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { addDomain, removeDomain } from "../iopt-domains.ts";
import type { IoptMemResult, IoptResult } from "../iopt.ts";
import {
	dropReservations,
	emptyIopt,
	IOVA_LAST,
	reserveRegions,
} from "../iopt.ts";
import type { Answer, Step } from "../steps.ts";
import { no, undoing, YES, yes } from "../steps.ts";
import { type Answers, boundIdev, idOf } from "./answers-core.ts";
import { freeDomain, makeDomain } from "./domains.ts";
import { driverOf } from "./entities.ts";
import type { Exec } from "./exec.ts";
import {
	addUsers,
	ctxOf,
	domainOf,
	nameOf,
	objOf,
	publish,
	putCtx,
	putObj,
	reserveId,
} from "./exec.ts";
import { answerFaults } from "./fault-answer.ts";
import { unmapIoas } from "./map.ts";
import type { FaultGroup, Hwpt, Idev, Ioas, Obj } from "./types.ts";

const errno = (...args: Parameters<typeof no>): Answer => no(...args);
const done = (...facts: Parameters<typeof yes>[0]): Answer => yes(facts);
const gave = (value: unknown): Answer => yes([], value);

/** Runs something that speaks through the cursor's facts, and hands these over as the step's. */
function collecting(x: Exec, run: () => Answer | undefined): Answer {
	const from = x.facts.length;
	const answer = run() ?? YES;
	const facts = x.facts.splice(from);
	return { ...answer, facts: [...facts, ...answer.facts] };
}

function settle(
	x: Exec,
	ioas: Ioas,
	result: IoptResult | IoptMemResult,
	value?: unknown,
): Answer {
	putObj(x, { ...ioas, iopt: result.iopt });
	if ("mem" in result) x.host = { ...x.host, mem: result.mem };
	return result.ok
		? yes(result.facts, value)
		: errno(result.errno, result.facts, result.step);
}
const ioasNamed = (x: Exec, name: string): Ioas => objOf(x, idOf(name), "ioas");
const hwptNamed = (x: Exec, name: string): Hwpt => objOf(x, idOf(name), "hwpt");

function reserve(x: Exec, kind: "hwpt" | "ioas" | "idev"): Obj {
	if (kind === "ioas")
		return reserveId<Ioas>(x, "ioas", (base) => ({
			...base,
			type: "ioas",
			iopt: emptyIopt(),
			hwpts: [],
		}));
	if (kind === "hwpt")
		return reserveId<Hwpt>(x, "hwpt", (base) => ({
			...base,
			type: "hwpt",
			kind: "paging",
			dom: "domain:0",
			auto: false,
			cc: false,
			nestParent: x.pending?.nestParent ?? false,
			msiCookie: false,
		}));
	return reserveId<Idev>(x, "idev", (base) => ({
		...base,
		type: "idev",
		dev: "device:none",
		group: "group:0",
		cc: false,
		iopf: 0,
	}));
}

/** The id table. */
export const idAnswers: Answers = {
	"id.reserve": (x, s) => gave(nameOf(reserve(x, s.kind))),
	"id.publish": (x, s) => {
		publish(x, idOf(s.obj));
		return YES;
	},
	"id.free": (x, s) => {
		const ctx = ctxOf(x);
		const objs = new Map(ctx.objs);
		const freed = objs.get(idOf(s.obj));
		objs.delete(idOf(s.obj));
		putCtx(x, { ...ctx, objs });
		// A bind failed after it took the id: no object's own machine can tell.
		return freed?.type === "idev" && !freed.published
			? done(fact("obj.gone", s.obj, { obj: s.obj, undo: true }))
			: YES;
	},
	"id.look": (x, s) => {
		const obj = ctxOf(x).objs.get(s.id);
		if (obj?.published !== true) return errno("ENOENT");
		return gave(nameOf(obj) ?? "stdev");
	},
	"destroy.refused": (x, s) => {
		const obj = s.obj === undefined ? {} : { obj: s.obj };
		const data = { id: s.id, errno: s.errno, ...obj };
		return done(fact("obj.destroy.refused", x.ctx, data));
	},
	"obj.get": (x, s) => count(x, s, 1),
	"obj.put": (x, s) => count(x, s, -1),
};

function count(x: Exec, s: Step<"obj.get" | "obj.put">, sign: number): Answer {
	const id = idOf(s.to);
	return collecting(x, () => {
		addUsers(x, id, sign * s.n, s.why, s.undo === true);
		const obj = ctxOf(x).objs.get(id);
		return gave({ unused: obj?.type === "hwpt" && obj.auto && obj.u === 1 });
	});
}

/** Hwpts and their domains. */
export const hwptAnswers: Answers = {
	"hwpt.reserve": (x, s) => {
		const hwpt = s.to as HwptId;
		putObj(x, { ...hwptNamed(x, hwpt), ioas: idOf(s.ioas) });
		return done(fact("hwpt.reserved", hwpt, { hwpt }));
	},
	"hwpt.build": (x, s) => {
		putObj(x, { ...hwptNamed(x, s.to), dom: s.dom, cc: s.cc });
		return YES;
	},
	"hwpt.publish": (x, s) => {
		const h = hwptNamed(x, s.to);
		putObj(x, { ...h, auto: s.auto });
		const data = {
			hwpt: h.name,
			kind: "paging",
			dom: h.dom,
			ioas: objOf(x, h.ioas as number, "ioas").name,
			auto: s.auto,
			cc: h.cc,
			...(h.nestParent ? { nestParent: true } : {}),
		};
		return done(fact("hwpt.live", h.name, data));
	},
	"hwpt.destroy": (x, s) => {
		const h = hwptNamed(x, s.to);
		if (h.u > 1) return errno("EBUSY");
		return s.auto
			? done(fact("hwpt.autodestroyed", h.name, { hwpt: h.name }))
			: YES;
	},
	"hwpt.gone": (_, s) => {
		const obj = s.to as HwptId;
		return done(fact("obj.gone", obj, undoing(s.undo, { obj })));
	},
	"hwpt.link": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		putObj(x, { ...ioas, hwpts: [...ioas.hwpts, idOf(s.hwpt)] });
		return YES;
	},
	"hwpt.unlink": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		const id = idOf(s.hwpt);
		putObj(x, { ...ioas, hwpts: ioas.hwpts.filter((h) => h !== id) });
		const data = undoing(s.undo, { hwpt: s.hwpt });
		return done(fact("hwpt.unlinked", s.hwpt, data));
	},
	/** Faults whose handle is not installed any more are answered; other groups on the same hwpt keep theirs (FLT-4). */
	"fault.answer": (x, s) => {
		const h = hwptNamed(x, s.to);
		return collecting(x, () => {
			const { fault } = h;
			const stale = (g: FaultGroup): boolean =>
				g.hwpt === h.id && handleDomain(x, g.dev) !== h.dom;
			if (fault !== undefined) answerFaults(x, fault, stale, "detach");
			return YES;
		});
	},
	"dom.create": (x, s) => {
		if (s.kind === "blocked") return blockingDomain(x, s.to as DomainId);
		const { dev, flags, data } = x.pending ?? PLAIN;
		if (dev === undefined)
			throw new Error("no device to allocate a domain for");
		const { ops, dev: device } = driverOf(x, dev);
		const spec = ops.allocPaging(device, flags, data);
		if ("errno" in spec) return errno(spec.errno);
		return collecting(x, () => {
			makeDomain(x, ops.name, spec);
			return YES;
		});
	},
	"dom.free": (x, s) =>
		collecting(x, () => {
			freeDomain(x, s.to as DomainId, s.undo);
			return YES;
		}),
};
function handleDomain(x: Exec, dev: DeviceId): DomainId | undefined {
	const { group } = driverOf(x, dev).dev;
	return x.host.groups.get(group)?.handles["none"]?.dom;
}
const PLAIN = {
	dev: undefined,
	flags: 0,
	data: { type: 0, length: 0 },
} as const;

function blockingDomain(x: Exec, dom: DomainId): Answer {
	return collecting(x, () => {
		makeDomain(x, "core", {
			kind: "blocked",
			pgsizes: 0n,
			apertureStart: 0n,
			apertureLast: IOVA_LAST,
			nest: false,
			dirty: false,
			priv: {},
		});
		if (!x.host.domains.has(dom))
			throw new Error(`${dom} is not the next name`);
		return YES;
	});
}

/** Reserves a device's regions; attach also looks at its MSI windows (facts §3.3). */
function reserveDevice(x: Exec, s: Step<"resv.add">): Answer {
	const ioas = ioasNamed(x, s.to);
	// A region the driver cannot allocate is left out without an errno (facts/kernel-findings.md F3, intel_iommu_get_resv_regions).
	const { resv: all } = driverOf(x, s.dev).dev;
	const resv = all.filter(() => x.env.fail?.("regions.get") === undefined);
	const soft = resv.filter((r) => r.kind === "sw-msi");
	const hard = resv.filter((r) => r.kind === "msi");
	const conflict =
		s.attaching && (soft.length > 1 || (soft.length > 0 && hard.length > 0));
	const swMsi = s.attaching ? soft[0]?.start : undefined;
	const done = reserveRegions(ioas.iopt, ioas.name, s.dev, resv, x.env);
	const found = swMsi === undefined ? {} : { swMsi };
	return settle(x, ioas, done, { conflict, ...found });
}

/** IOASes and their contents. */
export const ioasAnswers: Answers = {
	"ioas.create": (_, s) => {
		const ioas = s.to as IoasId;
		return done(fact("ioas.created", ioas, { ioas }));
	},
	"ioas.destroy": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		if (ioas.u > 1) return errno("EBUSY");
		return collecting(x, () => {
			unmapIoas(x, ioas, 0n, IOVA_LAST);
			return YES;
		});
	},
	"ioas.gone": (_, s) => {
		const obj = s.to as IoasId;
		return done(fact("obj.gone", obj, undoing(s.undo, { obj })));
	},
	"ioas.candidates": (x, s) => {
		const hwpts = ioasNamed(x, s.to).hwpts.map((id) => objOf(x, id, "hwpt"));
		return gave(hwpts.filter((h) => h.auto).map((h) => h.name));
	},
	"resv.add": reserveDevice,
	"resv.drop": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		const { owner, undo } = s;
		return settle(
			x,
			ioas,
			dropReservations(ioas.iopt, ioas.name, owner, { undo }),
		);
	},
	"iopt.add": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		const dom = domainOf(x, s.dom);
		return settle(
			x,
			ioas,
			addDomain(ioas.iopt, ioas.name, x.host.mem, dom, x.env),
		);
	},
	"iopt.remove": (x, s) => {
		const ioas = ioasNamed(x, s.to);
		if (!ioas.iopt.doms.some((d) => d.dom === s.dom)) return YES;
		const { undo } = s;
		return settle(
			x,
			ioas,
			removeDomain(ioas.iopt, ioas.name, x.host.mem, s.dom, { undo }),
		);
	},
};

/** Binding, and what the outside is asked for. */
export const outsideAnswers: Answers = {
	"bind.coherent": (x, s) => {
		const { dev, ops } = driverOf(x, s.to as DeviceId);
		return ops.cacheCoherent(dev) ? YES : errno("EINVAL");
	},
	"bind.isolated": (x, s) => {
		const members = x.host.groups.get(s.to as GroupId)?.members ?? [];
		const isolated = members.every((member) => {
			const { dev, ops } = driverOf(x, member);
			return ops.isSelftest || ops.isolatedMsi(dev);
		});
		return isolated ? YES : errno("EPERM");
	},
	"dev.bind": (x, s) => {
		const name = s.to as DeviceId;
		const { dev, ops } = driverOf(x, name);
		const idev = objOf(x, idOf(s.idev), "idev");
		const cc = ops.enforcesCoherency(dev);
		putObj(x, { ...idev, dev: name, group: dev.group, cc, u: 2 });
		const devs = new Map(x.host.devs).set(name, { ...dev, idev: s.idev });
		x.host = { ...x.host, devs };
		const dirty = ops.tracksDirty(dev);
		const data = { dev: name, ctx: s.ctx, idev: s.idev, cc, dirty };
		return done(fact("dev.bound", name, data));
	},
	"dev.check.detached": (x, s) =>
		boundIdev(x, s.to as DeviceId).u > 2 ? errno("EBUSY", [], "attached") : YES,
	"dev.unbind": (x, s) => {
		const name = s.to as DeviceId;
		const { idev, ...dev } = driverOf(x, name).dev;
		x.host = { ...x.host, devs: new Map(x.host.devs).set(name, dev) };
		return done(fact("dev.unbound", name, { dev: name, idev: idev as IdevId }));
	},
	"handle.alloc": () => YES,
	"handle.free": () => YES,
	resp: (x) => {
		const refusal = x.pending?.respond?.();
		return refusal === undefined ? YES : errno(refusal);
	},
};
