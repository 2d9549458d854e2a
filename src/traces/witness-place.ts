/**
 * Where a trace begins in the emulator's log of a whole boot: invalidation descriptors come one to one and in the same order, but those of
 * one switch look like those of the next.
 */
import type { U64 } from "../vocabulary/fields.ts";

/** An invalidation descriptor, as far as the log prints it. */
export interface Descriptor {
	readonly kind: string;
	readonly did: number;
	readonly addr: U64 | undefined;
	readonly mask: number | undefined;
	readonly sid: number | undefined;
}

/** A log that begins long before the trace: as many commands in a row must fit one place of it, and fit no other place after so many. */
const SEEK_MIN = 4;
const SEEK_MAX = 1000;

/**
 * The search, fed with the trace's commands from its first on. "first": the log begins where the trace does. "open": not known yet, the command is
 * taken. A number: how many commands of the log lie behind, this one included. "none": the log is of something else.
 */
export class PlaceSearch {
	private readonly logged: readonly Descriptor[];
	private places: readonly number[] | undefined;
	private fitting = 0;

	constructor(logged: readonly Descriptor[]) {
		this.logged = logged;
	}

	/** The next command of the trace. */
	next(traced: Descriptor): number | "first" | "open" | "none" {
		if (this.places === undefined) {
			const [first] = this.logged;
			if (first === undefined || equal(first, traced)) return "first";
			this.places = [...this.logged.keys()];
		}
		this.places = this.places.filter((place) => {
			const logged = this.logged[place + this.fitting];
			return logged !== undefined && same(logged, traced);
		});
		this.fitting++;
		const [place, other] = this.places;
		if (place === undefined || this.fitting > SEEK_MAX) return "none";
		if (other !== undefined || this.fitting < SEEK_MIN) return "open";
		return place + this.fitting;
	}
}

/** Whether a descriptor of the log can be the traced one; the log leaves out what it does not print. */
export function same(logged: Descriptor, traced: Descriptor): boolean {
	return (
		logged.kind === traced.kind &&
		(logged.kind !== "iotlb" || logged.did === traced.did || traced.did < 0) &&
		(logged.addr === undefined || logged.addr === traced.addr) &&
		(traced.mask === undefined ||
			Number.isNaN(logged.mask ?? Number.NaN) ||
			logged.mask === traced.mask) &&
		(logged.sid === undefined ||
			traced.sid === undefined ||
			logged.sid === traced.sid)
	);
}

/** Whether they have everything in common: `same` takes a global command for any. */
const equal = (logged: Descriptor, traced: Descriptor): boolean =>
	same(logged, traced) &&
	(logged.kind === "iotlb"
		? logged.did === traced.did
		: logged.sid === traced.sid);
