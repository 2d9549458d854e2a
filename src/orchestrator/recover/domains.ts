/** Domains out of the fold: the actor's half and the driver's half. What a driver makes of a device, flags and data is its own pure function. */
import type { DomainContext } from "../../../machines/domain.ts";
import type { DomainSpec } from "../../../machines/ops/driver.ts";
import type { Domain } from "../../../machines/ops/types.ts";
import { YES } from "../../../machines/steps.ts";
import type { DomainId, HwptId } from "../../vocabulary/ids.ts";
import type { World } from "../../world/types.ts";
import { userData, type HexData } from "../commands-fault.ts";
import type { Standing } from "../engine.ts";
import { type Outside, shapeOf } from "../outside.ts";
import type { DomainNote, Notes } from "./notes-state.ts";

/** The driver's half of every domain that a driver made, by name. */
export function driverDomains(
	world: World,
	notes: Notes,
	outside: Outside,
): Map<DomainId, Domain> {
	const made = new Map<DomainId, Domain>();
	const nested: (readonly [DomainId, DomainNote])[] = [];
	for (const entry of notes.domains) {
		const [dom, note] = entry;
		if (note.kind === "nested") nested.push(entry);
		else if (note.kind === "unmanaged" && note.dev !== undefined) {
			const { ops, dev } = outside.device(note.dev);
			const data = userData(note.data as HexData | undefined);
			const spec = ops.allocPaging(dev, note.flags, data);
			if (!("errno" in spec))
				made.set(dom, finished(world, dom, note, ops.name, spec));
		}
	}
	for (const [dom, note] of nested) {
		const hwpt = world.domains.map.get(dom)?.hwpt;
		const parent = hwpt && world.hwpts.map.get(hwpt)?.parent;
		const over = parent && world.hwpts.map.get(parent)?.dom;
		const below = over && made.get(over);
		if (hwpt === undefined || !below || note.dev === undefined) continue;
		const { ops, dev } = outside.device(note.dev);
		const data = userData(note.data as HexData | undefined);
		const spec = ops.allocNested(dev, 0, below, data);
		if (!("errno" in spec))
			made.set(
				dom,
				invalidated(
					finished(world, dom, note, ops.name, spec),
					notes,
					hwpt,
					ops.invalidate,
				),
			);
	}
	return made;
}

function finished(
	world: World,
	dom: DomainId,
	note: DomainNote,
	driver: string,
	spec: DomainSpec,
): Domain {
	const { dirty, iotlb = [], ...rest } = spec;
	const now = world.domains.map.get(dom);
	return {
		...rest,
		dom,
		driver,
		marks: new Set(note.marks),
		cc: now?.cc === true,
		iotlb,
		...(dirty ? { dirty: now?.dirtyOn === true } : {}),
	};
}

type Invalidate = NonNullable<
	ReturnType<Outside["device"]>["ops"]["invalidate"]
>;
function invalidated(
	domain: Domain,
	notes: Notes,
	hwpt: HwptId,
	invalidate: Invalidate | undefined,
): Domain {
	let { iotlb } = domain;
	for (const { args, done } of notes.invalidations.get(hwpt) ?? []) {
		const bytes = Uint8Array.from(Buffer.from(String(args["entries"]), "hex"));
		const { type, entryLen } = args as { type: number; entryLen: number };
		iotlb =
			invalidate?.({ ...domain, iotlb }, type, entryLen, done, bytes).iotlb ??
			iotlb;
	}
	return { ...domain, iotlb };
}

/** The actors of all domains that are alive. */
export function* domainActors(
	world: World,
	notes: Notes,
	outside: Outside,
	made: ReadonlyMap<DomainId, Domain>,
): Generator<readonly [DomainId, Standing]> {
	const users = new Map<DomainId, number>();
	for (const { dom } of world.groups.map.values())
		if (dom != null) users.set(dom, (users.get(dom) ?? 0) + 1);
	for (const [dom, note] of notes.domains) {
		const groups = users.get(dom) ?? 0;
		const domain = made.get(dom);
		const context: DomainContext = {
			dom,
			shape: domain === undefined ? null : shaped(domain, note, outside),
			cookie: world.domains.map.get(dom)?.cookie === true,
			groups,
			answer: YES,
		};
		const use = groups > 0 ? "Current" : "Unused";
		yield [dom, { state: `content.${note.content}|use.${use}`, context }];
	}
}

function shaped(domain: Domain, note: DomainNote, outside: Outside) {
	if (domain.kind === "nested") {
		const { driver } = domain;
		const none = { pgsizes: 0, apertureStart: 0, apertureLast: 0 };
		return { driver, ...none, coherent: false };
	}
	const { ops, dev } = outside.device(note.dev!);
	return shapeOf(domain, ops.enforcesCoherency(dev));
}
