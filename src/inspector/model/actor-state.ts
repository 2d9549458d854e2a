/**
 * In which states of their statecharts the entities are, read off the world. The names are those of machines/ (facts §1.8); a
 * test compares them with the definitions, so a renamed state is noticed.
 */
import type { World } from "../../world/types.ts";

/** An actor's place in its statechart. */
export interface ActorState {
	/** Id of the machine. */
	readonly machine: string;
	/** Paths of the innermost active states. */
	readonly states: readonly string[];
	/** What the drawing cannot say. */
	readonly note: string;
}

/** The state of an actor, or undefined when it is not known or has no statechart. */
export function actorState(
	world: World,
	actor: string,
): ActorState | undefined {
	if (actor.startsWith("group:")) return groupState(world, actor);
	if (actor.startsWith("device:")) return deviceState(world, actor);
	if (actor.startsWith("domain:")) return domainState(world, actor);
	if (actor.includes("/hwpt:")) return hwptState(world, actor);
	if (actor.includes("/ioas:")) return ioasState(world, actor);
	return undefined;
}

function groupState(world: World, actor: string): ActorState | undefined {
	const group = world.groups.map.get(actor as never);
	if (group === undefined) return undefined;
	const { owner, dom, blk } = group;
	const isTorn = group.members.some((id) => {
		const hw = world.devices.map.get(id)?.hw;
		return hw !== undefined && dom !== undefined && dom !== null && hw !== dom;
	});
	const isOpen = [...world.ops.values()].length > 0;
	const ownership =
		owner === null || owner === undefined
			? "Default"
			: isTorn && !isOpen
				? "Owned.Torn"
				: dom === blk || dom === null || dom === undefined
					? "Owned.OwnedIdle"
					: "Owned.OwnedUser";
	const igs = [...world.igs.map.values()].filter((ig) => ig.group === actor);
	const attachment = igs.some((ig) => ig.list.length > 0)
		? "Held.Attached"
		: igs.some((ig) => ig.ref > 0)
			? "Held.Idle"
			: igs.length > 0
				? "Gone"
				: "Empty";
	return {
		machine: "iommu-group",
		states: [`ownership.${ownership}`, `attachment.${attachment}`],
		note: owner === undefined ? "the log does not tell the owner" : "",
	};
}

function deviceState(world: World, actor: string): ActorState | undefined {
	const device = world.devices.map.get(actor as never);
	if (device === undefined) return undefined;
	const state =
		device.hwpt !== undefined || device.idevHwpt !== undefined
			? "Attached"
			: device.idev !== undefined
				? "Bound"
				: "Unbound";
	return {
		machine: "device",
		states: [state],
		note:
			device.hw === undefined ? "" : `hardware translates through ${device.hw}`,
	};
}

function hwptState(world: World, actor: string): ActorState | undefined {
	const hwpt = world.hwpts.map.get(actor as never);
	if (hwpt === undefined) return undefined;
	const inIopt =
		hwpt.ioas !== undefined &&
		hwpt.dom !== undefined &&
		(world.ioases.map.get(hwpt.ioas)?.doms ?? []).includes(hwpt.dom);
	const state =
		hwpt.state === "gone"
			? "Gone"
			: hwpt.state === "live"
				? inIopt
					? "Live.Filled"
					: "Live.Empty"
				: inIopt
					? "InIopt"
					: hwpt.dom === undefined
						? "Reserved"
						: "Built";
	return {
		machine: "hwpt",
		states: [state],
		note: `${hwpt.devices} devices attached`,
	};
}

function domainState(world: World, actor: string): ActorState | undefined {
	const domain = world.domains.map.get(actor as never);
	if (domain === undefined) return undefined;
	const isListed = domain.ioas !== undefined;
	const content =
		domain.freedSeq > 0
			? "Freed"
			: isListed
				? "Populated"
				: domain.mapped > 0
					? "Populating"
					: domain.unmapSeq > 0
						? "Drained"
						: domain.cc
							? "CcSet"
							: "Allocated";
	const use = domain.groupCount > 0 ? "Current" : "Unused";
	return {
		machine: "domain",
		states: [`content.${content}`, `use.${use}`],
		note: `current for ${domain.groupCount} groups, used by ${domain.hwCount} devices`,
	};
}

function ioasState(world: World, actor: string): ActorState | undefined {
	const ioas = world.ioases.map.get(actor as never);
	if (ioas === undefined) return undefined;
	const isHeld = ioas.doms.length > 0 || ioas.accs.length > 0;
	const state = ioas.gone ? "Gone" : isHeld ? "Live.Held" : "Live.Unused";
	return {
		machine: "ioas",
		states: [state],
		note: `${ioas.areas.count} areas, ${ioas.doms.length} domains`,
	};
}
