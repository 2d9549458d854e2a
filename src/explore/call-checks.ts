/**
 * What must hold between calls, and at two steps inside them, whatever the interleaving: rows of facts iommufd-semantics.md §6, read from
 * the entities' own contexts. The hazards W1 to W8 and race R1 of facts §3.6 and §9 show as these.
 */
import type { HwptContext } from "../../machines/hwpt.ts";
import type { IoasContext } from "../../machines/ioas.ts";
import type { Step } from "../../machines/steps.ts";
import { attachedTo } from "../orchestrator/begin.ts";
import type { Executor } from "../orchestrator/executor.ts";
import type { DomainId, HwptId } from "../vocabulary/ids.ts";
import { DEVS, GROUP } from "./call-host.ts";

/** Takes a violation. */
export type Report = (id: string, message: string) => void;

const ioasOf = (x: Executor, hwpt: HwptId): IoasContext | undefined => {
	const view = x.hwptView(hwpt);
	return view === undefined ? undefined : x.context<IoasContext>(view.ioas);
};

/** State predicates, when no call is under way. */
export function checkBetweenCalls(x: Executor, report: Report): void {
	const group = x.group(GROUP);
	const attached = DEVS.filter(
		(dev) => x.actors.get(dev)?.state === "Attached",
	);
	for (const dev of DEVS)
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
		const view = x.hwptView(hwpt);
		if (view?.dom !== group.dom)
			report(
				"GRP-4",
				`${dev} is attached to ${hwpt} (${view?.dom}), but its group's hardware uses ${group.dom}`,
			);
		const ioas = ioasOf(x, hwpt);
		if (!ioas?.iopt.resv.some((r) => r.owner === dev))
			report(
				"RSV-2",
				`${dev} is attached to ${hwpt} and has no reservation in its IOAS`,
			);
	}
	if (hwpts.size > 1)
		report(
			"GRP-9",
			`attached devices of one group are on ${[...hwpts].join(" and ")}`,
		);
	counts(x, attached, report);
	reservations(x, attached, report);
}

function counts(
	x: Executor,
	attached: readonly (typeof DEVS)[number][],
	report: Report,
): void {
	for (const [id, runner] of x.actors) {
		if (!id.includes("/hwpt:")) continue;
		const users = attached.filter((dev) => attachedTo(x, dev) === id).length;
		const { u } = runner.context as HwptContext;
		if (u !== 1 + users)
			report(
				"REF-1",
				`${id} is counted ${u} times: once by the id table, and ${users} devices are attached to it`,
			);
	}
}

function reservations(
	x: Executor,
	attached: readonly (typeof DEVS)[number][],
	report: Report,
): void {
	for (const [id, runner] of x.actors) {
		if (!id.includes("/ioas:")) continue;
		for (const { owner } of (runner.context as IoasContext).iopt.resv) {
			const dev = DEVS.find((d) => d === owner);
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
	x: Executor,
	step: Step,
	replacing: boolean,
	report: Report,
): void {
	const group = x.group(GROUP);
	if (
		step.type === "hw.attach" &&
		step.dom !== group.def &&
		step.dom !== group.blk &&
		!step.undo
	)
		if (
			x.hwptByDomain(step.dom) !== undefined &&
			!filled(x, step.dom) &&
			group.dom !== group.blk
		)
			report(
				"HWP-10",
				`${step.to} is switched to ${step.dom}, which its IOAS has not filled`,
			);
	if (step.type === "iopt.remove" && replacing) {
		const user = DEVS.find((dev) => x.device(dev).hw === step.dom);
		if (user !== undefined)
			report(
				"HWP-11",
				`${step.dom} is emptied while ${user} translates through it`,
			);
	}
}
