/**
 * Faults of the kernel itself, by name (switches omit, repeat, late, wrong, blind): a log that breaks an invariant comes from a run of the model with one of
 * them. The first four change what becomes of a step; the machines go on as if it had been done right, as kernel code does that does not know
 * of its own mistake. `blind` makes a guard of a machine say no whatever is asked: the machine itself goes where it should not.
 */
import type { AnyDefinition } from "../../machines/define.ts";
import { device } from "../../machines/device.ts";
import { domain } from "../../machines/domain.ts";
import { hwpt } from "../../machines/hwpt.ts";
import { ioas } from "../../machines/ioas.ts";
import { iommuGroup } from "../../machines/iommu-group.ts";
import { iommufdCtx } from "../../machines/iommufd-ctx.ts";
import type { FieldKind, Json } from "../vocabulary/fields.ts";
import { isOfKind, u64FromHex } from "../vocabulary/fields.ts";
import type { Fact, RecordType } from "../vocabulary/records.ts";
import { isRecordType, RECORD_FIELDS } from "../vocabulary/records.ts";
import { transactionsOf } from "./flows.ts";

/** One step: every one of its type, or (n > 0) only the n-th of the run. */
interface Place {
	readonly type: RecordType;
	readonly n: number;
}
/** `after` further steps of its operation; -1: when the operation ends. */
interface Delay extends Place {
	readonly after: number;
}
interface Change extends Place {
	readonly field: string;
	readonly value: unknown;
}
/** The switches that this file reads, "" = none. */
export interface FaultSwitches {
	readonly omit: string;
	readonly repeat: string;
	readonly late: string;
	readonly wrong: string;
	readonly blind: string;
}

const each = (list: string): readonly string[] =>
	list === "" ? [] : list.split(",").map((one) => one.trim());

function placeOf(fault: string, text: string): Place {
	const [type = "", n = "0", ...rest] = text.split("#");
	if (
		!isRecordType(type) ||
		type.startsWith("op.") ||
		!/^\d{1,9}$/.test(n) ||
		rest.length > 0
	)
		throw new RangeError(
			`${fault}: ${JSON.stringify(text)} is no step; a step is a record type as docs/log-format.md lists them (op.* apart), with #n only the n-th`,
		);
	return { type, n: Number(n) };
}
function delayOf(text: string): Delay {
	const [place = "", after, ...rest] = text.split("+");
	if (rest.length > 0 || (after !== undefined && !/^[1-9]\d{0,5}$/.test(after)))
		throw new RangeError(
			`late: ${JSON.stringify(text)}: + takes how many steps later`,
		);
	return { ...placeOf("late", place), after: Number(after ?? -1) };
}
/** One change only: values may hold commas. */
function changeOf(text: string): Change {
	const [, place = "", field = "", value = ""] =
		/^([^:]*):([^=]*)=(.*)$/s.exec(text) ?? [];
	if (field === "")
		throw new RangeError(
			`wrong: ${JSON.stringify(text)} is not STEP:FIELD=VALUE`,
		);
	let json: Json = value;
	try {
		json = JSON.parse(value) as Json;
	} catch {
		// Not JSON: an actor, or another word.
	}
	const at = placeOf("wrong", place);
	return { ...at, field, value: valueOf(at.type, field, json) };
}
/** The value as the record holds it. A record that no log could hold would be judged here and refused when it is written. */
function valueOf(type: RecordType, field: string, json: Json): unknown {
	const table: { readonly [field: string]: string } = RECORD_FIELDS[type];
	if (!Object.hasOwn(table, field))
		throw new RangeError(
			`wrong: ${type} has no field ${JSON.stringify(field)}; it has: ${Object.keys(table).join(", ")}`,
		);
	const kind = table[field]!.replace("?", "") as FieldKind;
	const value =
		kind === "hex" && typeof json === "string" ? u64FromHex(json) : json;
	if (isOfKind(kind, value)) return value;
	throw new RangeError(
		`wrong: ${type}'s ${field} is of kind ${kind}, and ${JSON.stringify(json)} is not`,
	);
}
/** The driver's own look at a domain before it attaches a device to it; the others are guards. */
const DRIVER_ATTACH = "driver.attach";
const machines = (): readonly AnyDefinition[] => [
	iommuGroup,
	device,
	domain,
	hwpt,
	ioas,
	iommufdCtx,
	...Object.values(transactionsOf("group-owned")),
];
function guardOf(text: string): readonly [machine: string, guard: string] {
	const [machine = "", guard = ""] = text.split(".");
	const all = machines();
	const known = all.find(({ id }) => id === machine);
	if (
		text !== DRIVER_ATTACH &&
		(known === undefined || !Object.hasOwn(known.guards, guard))
	)
		throw new RangeError(
			`blind: ${JSON.stringify(text)} is no guard (MACHINE.GUARD, or ${DRIVER_ATTACH}); ${known === undefined ? `machines: ${all.map(({ id }) => id).join(", ")}` : `guards of ${machine}: ${Object.keys(known.guards).join(", ")}`}`,
		);
	return [machine, guard];
}
/** Does the driver not look? */
export const driverIsBlind = (blind: string): boolean =>
	each(blind).includes(DRIVER_ATTACH);

/** What becomes of the steps of one run. Throws RangeError that names what is no step. */
export class Faults {
	readonly #omit: readonly Place[];
	readonly #repeat: readonly Place[];
	readonly #late: readonly Delay[];
	readonly #wrong: readonly Change[];
	readonly #blind: readonly (readonly [machine: string, guard: string])[];
	/** Nothing is faulty. */
	readonly none: boolean;
	/** Steps so far, by type. */
	readonly #counted = new Map<string, number>();
	/** Steps that are still to come. */
	#held: { readonly fact: Fact; left: number }[] = [];
	readonly #blinded = new Map<AnyDefinition, AnyDefinition>();

	constructor({ omit, repeat, late, wrong, blind }: FaultSwitches) {
		this.#omit = each(omit).map((text) => placeOf("omit", text));
		this.#repeat = each(repeat).map((text) => placeOf("repeat", text));
		this.#late = each(late).map(delayOf);
		this.#wrong = wrong === "" ? [] : [changeOf(wrong)];
		this.#blind = each(blind).map(guardOf);
		this.none = [omit, repeat, late, wrong].every((list) => list === "");
	}

	/** What is done in the place of a step, in order. The end of an operation brings what was held back. */
	insteadOf(fact: Fact): readonly Fact[] {
		if (fact.type.startsWith("op."))
			return fact.type === "op.begin" ? [fact] : [...this.#release(), fact];
		const n = (this.#counted.get(fact.type) ?? 0) + 1;
		this.#counted.set(fact.type, n);
		const here = (place: Place): boolean =>
			place.type === fact.type && (place.n === 0 || place.n === n);
		const due = this.#due();
		const delay = this.#late.find(here);
		if (delay !== undefined)
			this.#held.push({ fact, left: delay.after < 0 ? Infinity : delay.after });
		if (delay !== undefined || this.#omit.some(here)) return due;
		const change = this.#wrong.find(here);
		const done =
			change === undefined
				? fact
				: ({
						...fact,
						data: { ...fact.data, [change.field]: change.value },
					} as Fact);
		return this.#repeat.some(here) ? [done, done, ...due] : [done, ...due];
	}

	#due(): readonly Fact[] {
		for (const held of this.#held) held.left--;
		const due = this.#held.filter(({ left }) => left <= 0);
		this.#held = this.#held.filter(({ left }) => left > 0);
		return due.map(({ fact }) => fact);
	}
	#release(): readonly Fact[] {
		const held = this.#held.map(({ fact }) => fact);
		this.#held = [];
		return held;
	}

	/** A definition with the guards that are blind. */
	blinded(definition: AnyDefinition): AnyDefinition {
		if (this.#blind.length === 0) return definition;
		const blind = this.#blind.filter(([machine]) => machine === definition.id);
		if (blind.length === 0) return definition;
		const known = this.#blinded.get(definition);
		if (known !== undefined) return known;
		const made = {
			...definition,
			guards: {
				...definition.guards,
				...Object.fromEntries(blind.map(([, guard]) => [guard, () => false])),
			},
		} as AnyDefinition;
		this.#blinded.set(definition, made);
		return made;
	}
}
