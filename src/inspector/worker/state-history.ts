/**
 * When which actor changed its state: written down during the one pass over the log, so that the statechart at any cursor, and the
 * transition that led there, are found by a binary search.
 */
import type { LogRecord } from "../../vocabulary/records.ts";
import type { World } from "../../world/types.ts";
import { type ActorState, actorState } from "../model/actor-state.ts";
import type { Witness } from "./world-track.ts";

/** An actor's state from a record on. */
export interface Stay {
	/** Position of the record that led to it. */
	readonly since: number;
	readonly state: ActorState;
}

/** Record families that change no entity's state and are most of a log. */
const QUIET =
	/^(?:pages|inv|iotlb|slot|table|witness|dma|fq|iova|acct|area|tag|did|ctx\.entry)\b/;

/** A witness of the fold. */
export class StateHistory implements Witness {
	readonly #stays = new Map<string, Stay[]>();

	record(world: World, record: LogRecord, at: number): void {
		if (QUIET.test(record.type)) return;
		this.#look(world, record.actor, at);
		for (const value of Object.values(record.data))
			if (typeof value === "string" && value !== record.actor)
				this.#look(world, value, at);
		if (record.type === "hw.attach") {
			const group = world.devices.map.get(record.data.dev)?.group;
			if (group !== undefined) this.#look(world, group, at);
		}
	}

	/** The state at a position and the one before it. */
	at(
		actor: string,
		position: number,
	): { now: Stay; before: Stay | undefined } | undefined {
		const stays = this.#stays.get(actor) ?? [];
		const found = stays.findLastIndex((stay) => stay.since <= position);
		const now = stays[found];
		return now === undefined ? undefined : { now, before: stays[found - 1] };
	}

	#look(world: World, actor: string, at: number): void {
		const state = actorState(world, actor);
		if (state === undefined) return;
		let stays = this.#stays.get(actor);
		if (stays === undefined) {
			stays = [];
			this.#stays.set(actor, stays);
		}
		const last = stays.at(-1);
		const isSame =
			last !== undefined &&
			last.state.states.length === state.states.length &&
			last.state.states.every((path, i) => path === state.states[i]);
		if (!isSame) stays.push({ since: at, state });
	}
}
