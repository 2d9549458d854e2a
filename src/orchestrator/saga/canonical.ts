/**
 * The state of a system as user space and hardware see it: kernel ids, not our counts. Two states are the same here when no call and no DMA
 * could tell them apart. Generations of ids and numbers of domains are ours; a list of attached devices, of domains and of reservations
 * has no order that anybody sees.
 */
import type { DeviceContext } from "../../../machines/device.ts";
import type { HwptContext } from "../../../machines/hwpt.ts";
import type { IoasContext } from "../../../machines/ioas.ts";
import type { GroupContext } from "../../../machines/iommu-group.ts";
import { idValues } from "../../../machines/id-table.ts";
import type { CtxContext } from "../../../machines/iommufd-ctx.ts";
import { treeValues } from "../../../machines/iopt-tree.ts";
import { areasOf } from "../../../machines/iopt.ts";
import type { ActorId, DomainId } from "../../vocabulary/ids.ts";
import type { SystemState } from "../state.ts";

const withoutGeneration = (name: string | null): string | null =>
	name === null ? null : name.replace(/@\d+$/, "");

/** What a domain is to somebody: the domain of a hwpt, or a group's own. */
function rolesOf(state: SystemState): Map<string, string> {
	const roles = new Map<string, string>();
	for (const [id, { context }] of state.actors) {
		if (id.includes("/hwpt:")) {
			const { dom } = context as HwptContext;
			if (dom !== null) roles.set(dom, `domain of ${withoutGeneration(id)}`);
		} else if (id.startsWith("group:")) {
			const { def, blk } = context as GroupContext;
			if (def !== null) roles.set(def, `default of ${id}`);
			if (blk !== null) roles.set(blk, `blocking of ${id}`);
		}
	}
	return roles;
}

/** The state as text; equal texts, equal states. */
export function canonical(state: SystemState): string {
	const roles = rolesOf(state);
	const role = (dom: ActorId | null): string | null =>
		dom === null ? null : (roles.get(dom) ?? withoutGeneration(dom));
	const queues = new Set<string>();
	for (const { context } of state.actors.values())
		if ((context as HwptContext).fault === true)
			queues.add((context as HwptContext).dom!);
	const faulting = (dom: string): boolean => queues.has(dom);
	const actors: Record<string, unknown> = {};
	for (const [id, { context, state: at }] of state.actors) {
		const one = described(id, context, role, faulting);
		if (one === undefined) continue;
		const name = roles.get(id) ?? withoutGeneration(id)!;
		// An empty page table is an empty page table, whether it was ever filled or not.
		const state = at.replace(
			/content\.(?:Allocated|CcSet|Drained)/,
			"content.Empty",
		);
		actors[name] = { at: state, ...one };
	}
	const { outside } = state;
	const pages = [...outside.mem.values()].flatMap((mem) =>
		[...treeValues(mem.pages)].map(({ id, ref, npin }) => ({ id, ref, npin })),
	);
	return stable({
		actors,
		pages: sorted(pages),
		doorbells: sorted([...outside.doorbells].map(role)),
		irqs: sorted([...outside.irqs]),
	});
}

function described(
	id: ActorId,
	context: object,
	role: (dom: ActorId | null) => string | null,
	faulting: (dom: string) => boolean,
): object | undefined {
	if (id.startsWith("group:")) {
		const {
			members: _,
			def: __,
			blk: ___,
			answer: ____,
			...g
		} = context as GroupContext;
		return {
			...g,
			dom: role(g.dom),
			hwpt: withoutGeneration(g.hwpt),
			list: sorted(g.list),
			handles: Object.entries(g.handles).map(([pasid, { dev, dom }]) => [
				pasid,
				role(dom),
				// Which device made the switch is seen in page requests only (dev_id of a read).
				faulting(dom) ? dev : null,
			]),
		};
	}
	if (id.startsWith("device:")) {
		const { hw, ctx, idev, u, hwpt } = context as DeviceContext;
		return {
			hw: role(hw),
			ctx,
			idev: withoutGeneration(idev),
			u,
			hwpt: withoutGeneration(hwpt),
		};
	}
	if (id.includes("/hwpt:")) {
		const { ioas, cc, auto, fault, nestParent, u, devices } =
			context as HwptContext;
		return {
			ioas: withoutGeneration(ioas),
			cc,
			auto,
			fault,
			nestParent,
			u,
			devices: sorted(devices),
		};
	}
	if (id.includes("/ioas:")) return ioasDescribed(context as IoasContext, role);
	if (id.startsWith("ctx:")) {
		const { ids } = context as CtxContext;
		return { ids: idValues(ids).map(withoutGeneration) };
	}
	if (!id.startsWith("domain:") || role(id as DomainId) === id)
		return undefined;
	const { cookie, groups } = context as { cookie: boolean; groups: number };
	return { cookie, groups };
}

function ioasDescribed(
	{ u, hwpts, iopt }: IoasContext,
	role: (dom: ActorId | null) => string | null,
): object {
	return {
		u,
		hwpts: sorted(hwpts.map(({ hwpt }) => withoutGeneration(hwpt))),
		// Their order decides which one the next attach that names the IOAS gets.
		automatic: hwpts
			.filter(({ auto }) => auto)
			.map(({ hwpt }) => withoutGeneration(hwpt)),
		areas: [...areasOf(iopt)].map(({ sdom, ...area }) => ({
			...area,
			stored: sdom !== undefined,
		})),
		allowed: iopt.allowed,
		resv: sorted(
			iopt.resv.map(({ owner, start, last }) => [role(owner), start, last]),
		),
		doms: sorted(iopt.doms.map(({ dom }) => role(dom))),
		accs: sorted(iopt.accs),
		align: iopt.align,
		noLarge: iopt.noLarge,
	};
}

const sorted = (list: readonly unknown[]): string[] => list.map(stable).sort();

/** JSON with keys in order and 64-bit values as text. */
function stable(value: unknown): string {
	return JSON.stringify(value, (_key, v: unknown) => {
		if (typeof v === "bigint") return `0x${v.toString(16)}`;
		if (typeof v !== "object" || v === null || Array.isArray(v)) return v;
		return Object.fromEntries(
			Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)),
		);
	});
}
