/**
 * What must hold between calls, and at two steps inside them, whatever the interleaving: rows of facts iommufd-semantics.md §6, read from
 * the entities' own contexts. The hazards W1 to W8 and race R1 of facts §3.6 and §9 show as these.
 */
import type { HwptContext } from "../../machines/hwpt.ts";
import type { IoasContext } from "../../machines/ioas.ts";
import type { Step } from "../../machines/steps.ts";
import { treeFloor } from "../../machines/iopt-tree.ts";
import { attachedTo } from "../orchestrator/begin.ts";
import type { Executor } from "../orchestrator/executor.ts";
import type { DeviceId, DomainId, HwptId } from "../vocabulary/ids.ts";
import { type CallGroup, type CallHost, windowOf } from "./call-host.ts";

/** Takes a violation. */
export type Report = (id: string, message: string) => void;

const ioasOf = (x: Executor, hwpt: HwptId): IoasContext | undefined => {
	const view = x.hwptView(hwpt);
	return view === undefined ? undefined : x.context<IoasContext>(view.ioas);
};

/** Devices of the host that are attached, by the books. */
const attachedIn = (x: Executor, devs: readonly DeviceId[]): DeviceId[] =>
	devs.filter((dev) => x.actors.get(dev)?.state === "Attached");

/** State predicates, when no call is under way. `windows`: devices with a window of their own. */
export function checkBetweenCalls(
	host: CallHost,
	windows: readonly Windowed[],
	report: Report,
): void {
	const x = host.executor;
	for (const group of host.groups) {
		checkGroup(x, group, report);
		checkWindows(x, group, windows, report);
	}
	const attached = attachedIn(x, host.devs);
	counts(x, attached, report);
	reservations(x, host.devs, attached, report);
}

function checkGroup(
	x: Executor,
	{ group: id, devs }: CallGroup,
	report: Report,
): void {
	const group = x.group(id);
	const attached = attachedIn(x, devs);
	for (const dev of devs)
		if (x.device(dev).hw !== group.dom)
			report(
				"GRP-1",
				`${dev} translates through ${x.device(dev).hw}, its group through ${group.dom}`,
			);
	const blocked = group.dom === group.blk;
	if (blocked === attached.length > 0)
		report(
			"GRP-8",
			blocked
				? `the group is blocked while ${attached.join(", ")} are attached`
				: `nobody is attached any more, but the group still translates through ${group.dom}`,
		);
	const hwpts = new Set<HwptId>();
	for (const dev of attached) {
		const hwpt = attachedTo(x, dev);
		if (hwpt === null) {
			report("GRP-3", `${dev} is attached, but to no hwpt`);
			continue;
		}
		hwpts.add(hwpt);
		checkAttached(x, dev, hwpt, group.dom, report);
	}
	if (hwpts.size > 1)
		report(
			"GRP-9",
			`attached devices of one group are on ${[...hwpts].join(" and ")}`,
		);
}

function checkAttached(
	x: Executor,
	dev: DeviceId,
	hwpt: HwptId,
	dom: DomainId | null,
	report: Report,
): void {
	const view = x.hwptView(hwpt);
	if (view?.dom !== dom)
		report(
			"GRP-4",
			`${dev} is attached to ${hwpt} (${view?.dom}), but its group's hardware uses ${dom}`,
		);
	const ioas = ioasOf(x, hwpt);
	if (!ioas?.iopt.resv.some((r) => r.owner === dev))
		report(
			"RSV-2",
			`${dev} is attached to ${hwpt} and has no reservation in its IOAS`,
		);
	const times = ioas?.iopt.doms.filter((d) => d.dom === view?.dom).length;
	if (times !== 1)
		report(
			"HWP-4",
			`${view?.dom} of ${hwpt} stands ${times ?? 0} times in the domain list of its IOAS`,
		);
}

/** A device with a window of its own. */
export interface Windowed {
	readonly dev: DeviceId;
	/** The scenario's number of it. */
	readonly number: number;
}

/** A member whose group's hardware uses an IOAS in which it has reserved nothing, and an area over its window there (W7). */
function checkWindows(
	x: Executor,
	{ group, devs }: CallGroup,
	windows: readonly Windowed[],
	report: Report,
): void {
	const dom = x.group(group).dom;
	const hwpt = dom === null ? undefined : x.hwptByDomain(dom);
	const ioas = hwpt === undefined ? undefined : ioasOf(x, hwpt);
	if (ioas === undefined || !ioas.iopt.doms.some((d) => d.dom === dom)) return;
	for (const { dev, number } of windows) {
		if (!devs.includes(dev)) continue;
		if (ioas.iopt.resv.some((r) => r.owner === dev)) continue;
		const { start, last } = windowOf(number);
		const below = treeFloor(ioas.iopt.areas, BigInt(last));
		if (below !== undefined && below.last >= BigInt(start))
			report(
				"RSV-6",
				`an area lies over ${start}-${last}, a region of ${dev}, whose group uses the IOAS although the device has reserved nothing in it`,
			);
	}
}

/** Ids that are risks, not violations (src/invariants: severity warning). */
export const WARNINGS: ReadonlySet<string> = new Set(["RSV-6"]);

function counts(
	x: Executor,
	attached: readonly DeviceId[],
	report: Report,
): void {
	for (const [id, runner] of x.actors) {
		if (!id.includes("/hwpt:")) continue;
		const users = attached.filter((dev) => attachedTo(x, dev) === id).length;
		const { u, auto } = runner.context as HwptContext;
		if (u !== 1 + users)
			report(
				"REF-1",
				`${id} is counted ${u} times: once by the id table, and ${users} devices are attached to it`,
			);
		if (auto && users === 0)
			report(
				"HWP-1",
				`the automatic ${id} is there although nobody is attached to it`,
			);
	}
}

function reservations(
	x: Executor,
	devs: readonly DeviceId[],
	attached: readonly DeviceId[],
	report: Report,
): void {
	for (const [id, runner] of x.actors) {
		if (!id.includes("/ioas:")) continue;
		for (const { owner } of (runner.context as IoasContext).iopt.resv) {
			const dev = devs.find((d) => d === owner);
			if (dev === undefined) continue;
			const hwpt = attachedTo(x, dev);
			const view = hwpt === null ? undefined : x.hwptView(hwpt);
			if (!attached.includes(dev) || view?.ioas !== id)
				report(
					"RSV-1",
					`${id} holds a reservation of ${dev}, which is not attached through it`,
				);
		}
	}
}

const filled = (x: Executor, dom: DomainId): boolean =>
	[...x.actors].some(
		([id, runner]) =>
			id.includes("/ioas:") &&
			(runner.context as IoasContext).iopt.doms.some((d) => d.dom === dom),
	);

/** Before a step is performed: switches to an empty domain (W4), and in a replace drains of a domain in use (W5). */
export function checkStep(
	host: CallHost,
	step: Step,
	replacing: boolean,
	report: Report,
): void {
	const x = host.executor;
	if (step.type === "hw.attach" && !step.undo) {
		const group = x.group(host.outside.groupOf(step.to as DeviceId));
		if (
			step.dom !== group.def &&
			step.dom !== group.blk &&
			x.hwptByDomain(step.dom) !== undefined &&
			!filled(x, step.dom) &&
			group.dom !== group.blk
		)
			report(
				"HWP-10",
				`${step.to} is switched to ${step.dom}, which its IOAS has not filled`,
			);
	}
	if (step.type === "iopt.remove" && replacing) {
		const user = host.devs.find((dev) => x.device(dev).hw === step.dom);
		if (user !== undefined)
			report(
				"HWP-11",
				`${step.dom} is emptied while ${user} translates through it`,
			);
	}
}
