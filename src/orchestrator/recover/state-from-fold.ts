/**
 * The state of a live system out of a folded log: what recovery goes on from. Nothing is decided again; a log of an older model version
 * gives what its records say. test/orchestrator/recover.test.ts holds it to the live state after every operation.
 */
import type { IoasContext } from "../../../machines/ioas.ts";
import type { Iopt } from "../../../machines/iopt.ts";
import { YES } from "../../../machines/steps.ts";
import type { ActorId, CtxId, HwptId } from "../../vocabulary/ids.ts";
import type { Ioas, World } from "../../world/types.ts";
import type { Standing } from "../engine.ts";
import { Outside } from "../outside.ts";
import type { Beside } from "../plain.ts";
import type { SystemState } from "../state.ts";
import { switchesFrom } from "../switches.ts";
import {
	besideOfCtx,
	ctxActor,
	deviceActor,
	groupActor,
	hwptActor,
} from "./actors.ts";
import { contentsOf, memoryOf } from "./contents.ts";
import { domainActors, driverDomains } from "./domains.ts";
import { legacyState } from "./legacy-state.ts";
import type { Notes } from "./notes-state.ts";

function hostActor(notes: Notes): Standing {
	const contexts =
		[...notes.ctxs.values()].filter(({ open }) => open).length +
		notes.legacy.containers.size;
	return {
		state: contexts > 0 ? "Serving" : "Idle",
		context: { contexts },
	};
}

/** Hwpts in the list of an IOAS; in the 2023 flows they come and go with their domain (seed mail 3). */
const linked = (ioas: Ioas, world: World, notes: Notes): readonly HwptId[] =>
	world.perDevice
		? (notes.filled.get(ioas.id) ?? []).map(
				(dom) => world.domains.map.get(dom)!.hwpt!,
			)
		: ioas.hwpts;

function ioasActor(
	ioas: Ioas,
	iopt: Iopt,
	world: World,
	notes: Notes,
): Standing {
	const u = ioas.u ?? 1;
	const context: IoasContext = {
		ioas: ioas.id,
		u,
		hwpts: linked(ioas, world, notes).map((hwpt) => ({
			hwpt,
			auto: world.hwpts.map.get(hwpt)?.auto === true,
		})),
		iopt,
		answer: YES,
	};
	return { state: u > 1 ? "Live.Held" : "Live.Unused", context };
}

/** Puts the state together. The log must end between two operations. */
export function stateFromFold(world: World, notes: Notes): SystemState {
	const { header } = notes;
	const outside = new Outside(header.topology, switchesFrom(header.switches));
	const made = driverDomains(world, notes, outside);
	const legacy = legacyState(world, notes, made);
	const actors = new Map<ActorId, Standing>([["host", hostActor(notes)]]);
	for (const group of header.topology.groups) {
		actors.set(group.group, groupActor(world, notes, group));
		for (const member of group.members)
			actors.set(member.dev, deviceActor(world, outside, member));
	}
	for (const [dom, standing] of domainActors(world, notes, outside, made))
		if (!legacy.domains.has(dom)) actors.set(dom, standing);
	const beside = new Map<CtxId, Beside>();
	for (const ctx of notes.ctxs.keys()) {
		actors.set(ctx, ctxActor(notes, ctx));
		beside.set(ctx, besideOfCtx(world, notes, ctx));
	}
	const contents = new Map<Ioas, Iopt>();
	for (const ioas of world.ioases.map.values()) {
		if (ioas.gone) continue;
		const iopt = contentsOf(ioas, world, notes, made);
		contents.set(ioas, iopt);
		actors.set(ioas.id, ioasActor(ioas, iopt, world, notes));
	}
	for (const hwpt of world.hwpts.map.values())
		if (hwpt.state === "live")
			actors.set(hwpt.id, hwptActor(world, notes, hwpt));
	return {
		actors,
		beside,
		deaf: notes.deaf,
		legacy,
		outside: {
			mem: memoryOf(world, notes, contents),
			domains: made,
			domainsMade: notes.domainsMade,
			doorbells: notes.doorbells,
			irqs: notes.irqs,
		},
	};
}
