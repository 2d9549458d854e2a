/**
 * What can be chosen for a run: the replace flow of seed mail 3, known anomalies of the kernel (facts §9; the default is the kernel as
 * it is) and faults to inject. All of it stands in the log's header, so that a run can be decided again.
 */
import type { ErrnoName } from "../vocabulary/errno.ts";
import { isErrnoName } from "../vocabulary/errno.ts";
import type { Json } from "../vocabulary/fields.ts";
import { Faults } from "./faults.ts";

/** The five replace flows (DESIGN §3). */
export const FLOWS = [
	"detach-attach",
	"posted-v2",
	"device-lagging",
	"device-forced",
	"group-owned",
] as const;
/** One of the five. */
export type Flow = (typeof FLOWS)[number];

/** A driver that refuses: device `dev` for the domain of `to` (a domain or hwpt actor, "blocking", "default" or "any"). */
export interface RefuseRule {
	readonly dev: string;
	readonly to: string;
	readonly errno: ErrnoName;
	/** Going there, coming back (an undo), or both. */
	readonly when: "forward" | "undo" | "any";
}

/** Every switch with its value. */
export interface Switches {
	readonly flow: Flow;
	/** A1: a failed replace within one IOAS drops the live reservations. Linux: true. */
	readonly sameIoasUnreserve: boolean;
	/** A2: a dirty read succeeds although its walk met an error. Linux: true. */
	readonly dirtyWalkErrorsLost: boolean;
	/** A3: enabling dirty tracking a second time drops the bits gathered. Linux: true. */
	readonly enablingClears: boolean;
	/** A4: page requests may be enabled in a group of several devices. Linux: true. */
	readonly pageRequestsInAnyGroup: boolean;
	/** A6: an area that an unmap gave up on refuses accesses for good. Linux: true. */
	readonly preventSticks: boolean;
	/** A7: a replace leaves the doorbells of live interrupts behind. Linux up to 6.14: true. */
	readonly doorbellsLost: boolean;
	/** A9: an unmap asks every attached access, those without a hook too. Linux: true. */
	readonly asksEveryAccess: boolean;
	/** A10: a mapping stays when its IOVA cannot be copied out. Linux: true. */
	readonly respFailureKeeps: boolean;
	/** A11: an unmap that fails half way leaves the areas before the failing one unmapped. Linux: true. */
	readonly partialUnmapStays: boolean;
	/** A8: when the answer cannot be copied out the device is detached. Linux: true. */
	readonly respFailureDetaches: boolean;
	/** A12: the software MSI window is learned on attach only. Linux: true. */
	readonly msiLearnedOnAttachOnly: boolean;
	/** A13: a driver that tears down before it refuses leaves the device blocked until the revert. Linux with VT-d: true. */
	readonly refusalTearsDown: boolean;
	/** A14: a bound but unattached sibling may move its group. Up to 6.12.23: true; since 6.12.24: false. */
	readonly replaceByUnattached: boolean;
	/** A5 mended: replace checks that the device's driver made the domain, as attach does. Linux: false. */
	readonly replaceChecksOwner: boolean;
	/** The n-th failable step fails (allocation, pin, driver attach, copy out), counted from 1 over the whole run; 0 = none. */
	readonly failNth: number;
	/** The operation whose answer cannot be copied out (EFAULT): "attach", "replace", "hwptAlloc", "ioasAlloc"; "" = none. */
	readonly unwritableResult: string;
	/**
	 * Steps that the kernel forgets: record types, separated by commas; `TYPE#n` is only the n-th of the run. What the record would have told does not
	 * happen, and everything goes on as if it had. "" = none.
	 */
	readonly omit: string;
	/** Steps that the kernel does twice; written as for `omit`. */
	readonly repeat: string;
	/** Steps that it does too late: when their operation ends, or `TYPE#n+K`, K steps of the operation later. */
	readonly late: string;
	/** One step that it does with a wrong value: `TYPE#n:FIELD=VALUE`, the value as JSON, hex text or an actor. */
	readonly wrong: string;
	/** Guards that never see anything, `MACHINE.GUARD` as docs/machines.md names them, or `driver.attach`, the driver's own look at a domain. */
	readonly blind: string;
	/** What a rollback must allocate (reserve again, fill again) cannot be had: ENOMEM. Hazard W6 of facts §3.6. */
	readonly failRollback: boolean;
	readonly refuse: readonly RefuseRule[];
}

/** Linux 6.12.117 with nothing injected. */
export const DEFAULT_SWITCHES: Switches = {
	flow: "group-owned",
	sameIoasUnreserve: true,
	dirtyWalkErrorsLost: true,
	enablingClears: true,
	pageRequestsInAnyGroup: true,
	preventSticks: true,
	doorbellsLost: true,
	asksEveryAccess: true,
	respFailureKeeps: true,
	partialUnmapStays: true,
	respFailureDetaches: true,
	msiLearnedOnAttachOnly: true,
	refusalTearsDown: true,
	replaceByUnattached: false,
	replaceChecksOwner: false,
	failNth: 0,
	unwritableResult: "",
	omit: "",
	repeat: "",
	late: "",
	wrong: "",
	blind: "",
	failRollback: false,
	refuse: [],
};

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

function refuseProblem(rule: unknown): string | undefined {
	if (!isObject(rule)) return "is not an object";
	const { dev, to, errno, when } = rule;
	if (typeof dev !== "string" || typeof to !== "string")
		return "needs dev and to";
	if (typeof errno !== "string" || !isErrnoName(errno))
		return "needs a known errno";
	return when === "forward" || when === "undo" || when === "any"
		? undefined
		: "needs when: forward, undo or any";
}

/**
 * Fills the switches given by name up with the defaults. Throws RangeError that names the switch when one is unknown or its value is of
 * the wrong kind.
 */
export function switchesFrom(given: {
	readonly [name: string]: Json | undefined;
}): Switches {
	for (const [name, value] of Object.entries(given)) {
		if (!Object.hasOwn(DEFAULT_SWITCHES, name))
			throw new RangeError(
				`unknown switch ${name}; known: ${Object.keys(DEFAULT_SWITCHES).join(", ")}`,
			);
		if (name === "flow" && !FLOWS.includes(value as Flow))
			throw new RangeError(
				`unknown flow ${JSON.stringify(value)}; known: ${FLOWS.join(", ")}`,
			);
		const wanted = DEFAULT_SWITCHES[name as keyof Switches];
		if (
			name === "failNth" &&
			!(Number.isSafeInteger(value) && (value as number) >= 0)
		)
			throw new RangeError("failNth must be a count, 0 for none");
		if (name === "refuse") {
			if (!Array.isArray(value))
				throw new RangeError("refuse must be a list of rules");
			const problem = value.map(refuseProblem).find((p) => p !== undefined);
			if (problem !== undefined)
				throw new RangeError(`a refuse rule ${problem}`);
		} else if (typeof value !== typeof wanted)
			throw new RangeError(`switch ${name} must be a ${typeof wanted}`);
	}
	const switches = { ...DEFAULT_SWITCHES, ...given } as Switches;
	// Says which fault is none.
	void new Faults(switches);
	return switches;
}

/** The kernel's own faults that came after the first logs: a header names them when they are set. */
const NAMED_WHEN_SET: readonly string[] = ["repeat", "late", "wrong", "blind"];

/** The switches as the header holds them. */
export const switchesToJson = (
	switches: Switches,
): { readonly [name: string]: Json } =>
	Object.fromEntries(
		Object.entries({
			...switches,
			refuse: switches.refuse.map((rule) => ({ ...rule })),
		}).filter(
			([name, value]) => value !== "" || !NAMED_WHEN_SET.includes(name),
		),
	);
