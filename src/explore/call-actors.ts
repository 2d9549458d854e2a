/** The actors of an executor whose entities stand in a store: which hwpts and domains there are is a field like any other. */
import type { ActorId } from "../vocabulary/ids.ts";
import type { TrackedCell } from "./call-cells.ts";
import type { Store } from "./call-store.ts";

const comesAndGoes = (id: ActorId): boolean =>
	id.includes("/hwpt:") || id.startsWith("domain:");

/** The map of actors. Those that come and go are looked up through a field each, and listed through one for all. */
export class TrackedActors extends Map<ActorId, TrackedCell> {
	readonly #store: Store;
	readonly #cells = new Map<ActorId, TrackedCell>();
	readonly #exists = new Map<ActorId, number>();
	readonly #living: number;

	constructor(
		store: Store,
		actors: readonly (readonly [ActorId, TrackedCell])[],
	) {
		super();
		this.#store = store;
		const living = actors.map(([id]) => id).filter(comesAndGoes);
		this.#living = store.add("living", living.toSorted());
		for (const [id, cell] of actors)
			if (comesAndGoes(id)) {
				this.#cells.set(id, cell);
				this.#exists.set(id, store.add(`${id} exists`, true));
			} else super.set(id, cell);
	}

	#field(id: ActorId): number {
		const known = this.#exists.get(id);
		if (known !== undefined) return known;
		const field = this.#store.add(`${id} exists`, false);
		this.#exists.set(id, field);
		return field;
	}
	#alive(): readonly ActorId[] {
		return this.#store.read(this.#living) as readonly ActorId[];
	}

	override get(id: ActorId): TrackedCell | undefined {
		if (!comesAndGoes(id)) return super.get(id);
		return this.#store.read(this.#field(id)) === true
			? this.#cells.get(id)
			: undefined;
	}
	override has(id: ActorId): boolean {
		return this.get(id) !== undefined;
	}
	override set(id: ActorId, cell: TrackedCell): this {
		if (!comesAndGoes(id))
			throw new Error(`${id} comes into being: not explored`);
		this.#cells.set(id, cell);
		this.#store.write(this.#field(id), true);
		this.#store.write(this.#living, [...this.#alive(), id].toSorted());
		return this;
	}
	override delete(id: ActorId): boolean {
		if (!this.has(id)) return false;
		this.#cells.get(id)?.reset();
		this.#store.write(this.#field(id), false);
		const rest = this.#alive().filter((one) => one !== id);
		this.#store.write(this.#living, rest);
		return true;
	}
	override *entries(): MapIterator<[ActorId, TrackedCell]> {
		yield* super.entries();
		for (const id of this.#alive()) {
			const cell = this.#cells.get(id);
			if (cell !== undefined) yield [id, cell];
		}
	}
	override [Symbol.iterator](): MapIterator<[ActorId, TrackedCell]> {
		return this.entries();
	}
}
