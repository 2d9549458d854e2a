/**
 * The setting of facts §3.5: one group {1,2,3}, all bound; H1 on IOAS A, H2 on IOAS B, each with one mapped area, so that filled and
 * drained domains can be told apart. Variants: automatic hwpts (calls name the IOASes), and both hwpts on one IOAS.
 */
import type { ReservedRegion, Topology } from "../vocabulary/header.ts";
import { deviceId, groupId } from "../vocabulary/ids.ts";
import type { ScenarioStep } from "./run-scenario.ts";

/** How hwpts come to be. */
export type Variant = "manual" | "auto" | "one-ioas";

/** The interrupt window of every device (VT-d, x86). */
export const MSI: ReservedRegion = {
	start: "0xfee00000",
	last: "0xfeefffff",
	kind: "msi",
};
/** A window that only device 3 has (facts §3.2 point 3: a sibling's region). */
export const DEV3_WINDOW: ReservedRegion = {
	start: "0xa0000000",
	last: "0xa0003fff",
	kind: "reserved",
};

/** The three devices by name. */
export const DEVICES = {
	dev1: deviceId("0000:01:00.0"),
	dev2: deviceId("0000:02:00.0"),
	dev3: deviceId("0000:02:01.0"),
} as const;

/** One group of three behind a bridge. `extra`: further reserved regions by device. */
export function threeInOneGroup(
	extra: { readonly [name: string]: readonly ReservedRegion[] } = {},
): Topology {
	const members = Object.entries(DEVICES).map(([name, dev]) => ({
		dev,
		resv: [MSI, ...(extra[name] ?? [])],
	}));
	return {
		known: "complete",
		groups: [{ group: groupId(7), driver: "vtd", members }],
	};
}

/** A call. */
export const call = (
	label: string,
	op: ScenarioStep["do"],
	args: ScenarioStep["args"],
	as?: string,
): ScenarioStep => ({
	label,
	do: op,
	args:
		op === "open" || op === "containerOpen" ? args : { ctx: "ctx", ...args },
	...(as === undefined ? {} : { as }),
});

/** One page-aligned area of 16 KiB in an IOAS. */
export const area = (
	label: string,
	ioas: string,
	va: string,
	iova = "0x100000",
): ScenarioStep =>
	call(label, "map", { ioas, iova, length: "0x4000", va, prot: 3 });

/** Everything up to the first attach. */
export function setUp(variant: Variant): ScenarioStep[] {
	const steps = [
		call("open", "open", {}, "ctx"),
		...Object.keys(DEVICES).map((dev) => call(`bind ${dev}`, "bind", { dev })),
		call("ioas A", "ioasAlloc", {}, "A"),
		area("map A", "A", "0x700000"),
	];
	if (variant !== "one-ioas")
		steps.push(
			call("ioas B", "ioasAlloc", {}, "B"),
			area("map B", "B", "0x900000"),
		);
	if (variant === "auto") return steps;
	const second = variant === "one-ioas" ? "A" : "B";
	return [
		...steps,
		call("hwpt H1", "hwptAlloc", { dev: "dev1", pt: "A" }, "H1"),
		call("hwpt H2", "hwptAlloc", { dev: "dev1", pt: second }, "H2"),
	];
}

/** What a call names for hwpt 1 or 2. */
export const target = (variant: Variant, which: 1 | 2): string =>
	variant === "auto" ? (which === 1 ? "A" : "B") : `H${which}`;

/** Attach, replace and detach calls of one variant; labels are the mail's. */
export function callsOf(variant: Variant) {
	const to = (
		label: string,
		op: "attach" | "replace",
		dev: string,
		which: 1 | 2,
	) => call(label, op, { dev, pt: target(variant, which) }, `H${which}`);
	return {
		attach: (label: string, dev: string, which: 1 | 2) =>
			to(label, "attach", dev, which),
		replace: (label: string, dev: string, which: 1 | 2) =>
			to(label, "replace", dev, which),
		detach: (label: string, dev: string) => call(label, "detach", { dev }),
	};
}

/** Calls a, b, c: all three devices attached to H1. */
export function allAttached(
	variant: Variant,
	n: 1 | 2 | 3 = 3,
): ScenarioStep[] {
	const { attach } = callsOf(variant);
	return ["a", "b", "c"]
		.slice(0, n)
		.map((label, i) => attach(label, `dev${i + 1}`, 1));
}
