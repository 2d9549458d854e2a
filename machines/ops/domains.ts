/**
 * Making and freeing struct iommu_domain. Its name is a count of ours (vocabulary/ids.ts); its properties are the driver's.
 */
import type { DomainId } from "../../src/vocabulary/ids.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import type { Fact } from "../../src/vocabulary/records.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { DomainSpec } from "./driver.ts";
import type { Exec } from "./exec.ts";
import { emit, putDomain } from "./exec.ts";
import type { Dev, Domain, Group } from "./types.ts";

/** Adds a domain as the driver described it. */
export function makeDomain(
	x: Exec,
	driver: string,
	spec: DomainSpec,
): DomainId {
	const dom: DomainId = `domain:${x.host.nextDomain}`;
	const { dirty, iotlb, ...rest } = spec;
	const domain: Domain = {
		...rest,
		dom,
		driver,
		marks: new Set(),
		cc: false,
		iotlb: iotlb ?? [],
		...(dirty ? { dirty: false } : {}),
	};
	x.host = { ...x.host, nextDomain: x.host.nextDomain + 1 };
	putDomain(x, domain);
	emit(x, domainCreated(domain));
	return dom;
}

/** The record of a new domain. */
export const domainCreated = (d: Domain) =>
	fact("dom.created", d.dom, {
		dom: d.dom,
		kind: d.kind,
		driver: d.driver,
		...(d.pgsizes === 0n
			? {}
			: {
					pgsizes: u64(d.pgsizes),
					apertureStart: u64(d.apertureStart),
					apertureLast: u64(d.apertureLast),
				}),
		dirty: d.dirty !== undefined,
		nest: d.nest,
	});

/** Frees a domain. */
export function freeDomain(x: Exec, dom: DomainId, undo: boolean): void {
	const domains = new Map(x.host.domains);
	domains.delete(dom);
	x.host = { ...x.host, domains };
	emit(x, fact("dom.freed", dom, { dom, ...(undo ? { undo } : {}) }));
}

/** How a group came to be: members, default domain, what the hardware uses. */
export function groupFacts(g: Group, members: readonly Dev[]): Fact[] {
	const { group, def: dom } = g;
	return [
		...members.map(({ dev }) =>
			fact("grp.member.added", group, { group, dev }),
		),
		fact("grp.default.set", group, { group, dom }),
		...(g.blk === undefined
			? []
			: [fact("grp.blocking.set", group, { group, dom: g.blk })]),
		...members.map(({ dev }) => fact("hw.attach", dev, { dev, dom })),
		fact("grp.domain.set", group, { group, dom }),
	];
}
