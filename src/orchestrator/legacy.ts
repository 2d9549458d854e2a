/**
 * Legacy VFIO containers in the live system (machines/ops/type1.ts, type1-dma.ts; facts iommufd §5). Groups are shared with iommufd, so their
 * actors are told what a container did with them; everything else of a container is kept here, and recovery folds it (recover/notes-legacy.ts).
 */
import { domain as domainMachine } from "../../machines/domain.ts";
import { emptyMem } from "../../machines/iopt-pages.ts";
import { IOVA_LAST } from "../../machines/iopt.ts";
import { type Exec, perform } from "../../machines/ops/exec.ts";
import type {
	Answer,
	Container,
	Dev,
	Domain,
	Group,
	Host,
} from "../../machines/ops/types.ts";
import type { CtxId, DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import { kernelNumber } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import { envOf } from "./plain.ts";

/** The containers of a system and the domains they made. */
export interface Legacy {
	readonly containers: ReadonlyMap<CtxId, Container>;
	readonly domains: ReadonlyMap<DomainId, Domain>;
	/** Containers ever opened: their names are those of contexts. */
	readonly opened: number;
}
export const NO_LEGACY: Legacy = {
	containers: new Map(),
	domains: new Map(),
	opened: 0,
};

/** A domain of the core, as drivers are asked about it. */
const coreDomain = (dom: DomainId, kind: Domain["kind"]): Domain => ({
	dom,
	kind,
	driver: "core",
	pgsizes: 0n,
	apertureStart: 0n,
	apertureLast: IOVA_LAST,
	nest: false,
	priv: {},
	marks: new Set(),
	cc: false,
	iotlb: [],
});

function groupsOf(x: Executor): Map<GroupId, Group> {
	const groups = new Map<GroupId, Group>();
	for (const { group } of x.parts.outside.devices.values()) {
		const g = x.group(group.group);
		groups.set(group.group, {
			group: group.group,
			members: g.members.map(({ dev }) => dev),
			def: g.def as DomainId,
			dom: g.dom as DomainId,
			ocnt: g.ocnt,
			handles: g.handles,
			...(g.blk === null ? {} : { blk: g.blk }),
			...(g.owner === null ? {} : { owner: g.owner as CtxId }),
		});
	}
	return groups;
}

function hostFor(x: Executor): Host {
	const { outside } = x.parts;
	const groups = groupsOf(x);
	const domains = new Map([...outside.domains, ...x.legacy.domains]);
	for (const { def, blk } of groups.values()) {
		if (!domains.has(def)) domains.set(def, coreDomain(def, "blocked"));
		if (blk !== undefined && !domains.has(blk))
			domains.set(blk, coreDomain(blk, "blocked"));
	}
	const devs = new Map<DeviceId, Dev>();
	for (const [name, { dev }] of outside.devices) {
		const { hw, requireDirect } = x.device(name);
		devs.set(name, { ...dev, requireDirect, ...(hw === null ? {} : { hw }) });
	}
	return {
		ctxs: new Map(),
		containers: x.legacy.containers,
		groups,
		devs,
		domains,
		mem: emptyMem(),
		nextDomain: kernelNumber(outside.nextDomain as never),
		nextGroup: 0,
	};
}

/** Tells a group's actors where it is now: blocked, then owned, then on a user's domain; or given back. */
function tellGroup(x: Executor, was: Group, now: Group): void {
	const { group } = now;
	const at = (dom: DomainId): void => {
		if (x.group(group).dom === dom) return;
		const before = x.group(group).dom;
		x.mirror(group, { type: "grp.domain.set", dom, torn: false });
		if (before !== null) x.actors.get(before)?.send({ type: "dom.left" });
		x.actors.get(dom)?.send({ type: "dom.current" });
	};
	if (now.blk !== undefined && now.blk !== was.blk)
		x.mirror(group, { type: "grp.blocking.set", dom: now.blk });
	if (was.owner === undefined && now.owner !== undefined) {
		if (now.blk !== undefined) at(now.blk);
		x.mirror(group, { type: "grp.own", owner: now.owner });
	}
	if (was.owner !== undefined && now.owner === undefined)
		x.mirror(group, { type: "grp.release" });
	at(now.dom as DomainId);
}

function takeOver(x: Executor, before: Host, after: Host): void {
	const { outside } = x.parts;
	while (kernelNumber(outside.nextDomain as never) < after.nextDomain)
		outside.countDomain();
	for (const [dom, { driver, kind }] of after.domains)
		if (driver === "core" && !x.actors.has(dom)) {
			x.spawn(dom, domainMachine, { dom }, "host");
			x.mirror(dom, { type: "dom.create", kind, shape: null });
		}
	for (const [id, now] of after.groups) {
		const was = before.groups.get(id);
		if (was !== undefined && was !== now) tellGroup(x, was, now);
	}
	for (const [dev, now] of after.devs)
		if (now.hw !== undefined && now.hw !== before.devs.get(dev)?.hw)
			x.mirror(dev, {
				type: "hw.attach",
				dom: now.hw,
				undo: false,
				blocking: false,
				verdict: null,
			});
	const own = new Map<DomainId, Domain>();
	for (const [dom, domain] of after.domains)
		if (!outside.domains.has(dom) && domain.driver !== "core")
			own.set(dom, domain);
	x.legacy = { ...x.legacy, containers: after.containers, domains: own };
}

/** Runs an operation of a container on the live state. */
export function onLegacy<A extends Answer>(
	x: Executor,
	ctx: CtxId,
	body: (exec: Exec) => A,
	proc = 1,
): A {
	const before = hostFor(x);
	let answer: A | undefined;
	const outcome = perform(before, ctx, envOf(x, proc), (exec) => {
		answer = body(exec);
		return answer;
	});
	for (const one of outcome.facts) x.parts.emit(one);
	takeOver(x, before, outcome.host);
	return answer as A;
}
