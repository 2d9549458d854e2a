/**
 * Builds the state that operations start from (machines/ops/types.ts:Host) out of a topology (vocabulary/header.ts): devices with
 * reserved regions and capabilities, groups on their default domains, kernel drivers counted.
 */
import { emptyMem } from "../../machines/iopt-pages.ts";
import type { Dev, Domain, Group, Host } from "../../machines/ops/types.ts";
import type {
	Topology,
	TopologyDevice,
	TopologyGroup,
} from "../vocabulary/header.ts";
import { presentMembers } from "../vocabulary/header.ts";
import type { DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import { kernelNumber } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { domainCreated, groupFacts } from "../../machines/ops/domains.ts";
import { driverNamed } from "./personalities.ts";

const staticDomain = (
	dom: DomainId,
	driver: string,
	kind: Domain["kind"],
): Domain => ({
	dom,
	kind,
	driver,
	pgsizes: 0n,
	apertureStart: 0n,
	apertureLast: 0n,
	nest: false,
	marks: new Set(),
	cc: false,
	priv: {},
	iotlb: [],
});

/** A device as the core knows it. Relaxable direct regions never reach attach (facts §3.3). */
export function deviceOf(
	group: GroupId,
	driver: string,
	member: TopologyDevice,
	hw: DomainId,
): Dev {
	return {
		dev: member.dev,
		group,
		driver,
		resv: member.resv
			.filter((r) => r.kind !== "direct-relaxable")
			.map((r) => ({
				start: BigInt(r.start),
				last: BigInt(r.last),
				kind: r.kind,
			})),
		requireDirect: member.resv.some((r) => r.kind === "direct"),
		caps: member.caps ?? {},
		hw,
	};
}

/** An empty machine: only the mock's one static domain, which is default and blocking for every mock device (facts §4.1). */
export function emptyHost(): Host {
	const shared = staticDomain("domain:1", "mock", "blocked");
	return {
		ctxs: new Map(),
		containers: new Map(),
		groups: new Map(),
		devs: new Map(),
		domains: new Map([[shared.dom, shared]]),
		mem: emptyMem(),
		nextDomain: 2,
		nextGroup: 0,
	};
}

/** Adds one group with its default domain. */
export function addGroup(host: Host, group: TopologyGroup): Host {
	const ops = driverNamed(group.driver);
	const shared = ops.sharedBlocking;
	const def: DomainId = shared ? "domain:1" : `domain:${host.nextDomain}`;
	const domains = new Map(host.domains);
	if (!shared) domains.set(def, staticDomain(def, ops.name, "dma"));
	const devs = new Map<DeviceId, Dev>(host.devs);
	const present = presentMembers(group);
	for (const member of present)
		devs.set(member.dev, deviceOf(group.group, group.driver, member, def));
	const entry: Group = {
		group: group.group,
		members: present.map((m) => m.dev),
		def,
		dom: def,
		ocnt: present.filter((m) => m.kernelDriver !== undefined).length,
		handles: {},
		...(shared ? { blk: def } : {}),
	};
	return {
		...host,
		devs,
		domains,
		groups: new Map(host.groups).set(group.group, entry),
		nextDomain: host.nextDomain + (shared ? 0 : 1),
		nextGroup: Math.max(host.nextGroup, kernelNumber(group.group) + 1),
	};
}

/** What happened before the first operation: static domains, groups on their default domains (facts §4.1). */
export function bootFacts(host: Host): Fact[] {
	const domains = [...host.domains.values()].map(domainCreated);
	const groups = [...host.groups.values()].flatMap((g) =>
		groupFacts(
			g,
			[...host.devs.values()].filter((d) => d.group === g.group),
		),
	);
	return [...domains, ...groups];
}

/** The machine of a topology. Throws RangeError for an unknown driver personality. */
export const hostOf = (topology: Topology): Host =>
	topology.groups.reduce(addGroup, emptyHost());
