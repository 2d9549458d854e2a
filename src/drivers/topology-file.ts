/**
 * The topology file: a real host's iommu_groups in YAML or JSON, checked against a schema (issue 3). IOMMU units carry a driver personality and its
 * properties; groups name their unit; devices their reserved regions, bridges and kernel drivers.
 *
 *     topology: 1
 *     iommus:
 *       dmar0: { driver: vtd, aw: 48, reserved: [{ kind: msi, start: 0xfee00000, last: 0xfeefffff }] }
 *     groups:
 *       - group: 11
 *         iommu: dmar0
 *         devices:
 *           - { name: "0000:02:01.0", bridge: "0000:01:00.0" }
 */
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { Json } from "../vocabulary/fields.ts";
import type {
	ReservedRegion,
	Topology,
	TopologyDevice,
	TopologyGroup,
} from "../vocabulary/header.ts";
import { deviceId, groupId } from "../vocabulary/ids.ts";
import { PERSONALITIES } from "./personalities.ts";

const U64_LAST = 0xffff_ffff_ffff_ffffn;
/** A 64-bit address as hex text: from a number, or from hex text for what exceeds 2^53. */
function addressOf(value: unknown): string | undefined {
	const safe =
		typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
	const wide = typeof value === "bigint" && value >= 0n && value <= U64_LAST;
	const text = typeof value === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(value);
	return safe || wide || text ? `0x${BigInt(value).toString(16)}` : undefined;
}
const address = z.unknown().transform((value, context) => {
	const hex = addressOf(value);
	if (hex !== undefined) return hex;
	context.addIssue(
		'expected an address: a number, or hex text such as "0xfee00000"',
	);
	return z.NEVER;
});

const region = z
	.strictObject({
		kind: z.enum(["direct", "direct-relaxable", "reserved", "msi", "sw-msi"]),
		start: address,
		last: address,
	})
	.refine((r) => BigInt(r.start) <= BigInt(r.last), "start is above last");

const caps = z.record(
	z.string(),
	z.union([z.boolean(), z.number(), z.string()]),
);
const name = z.string().min(1).max(200);

const schema = z.strictObject({
	topology: z.literal(1),
	iommus: z.record(
		name,
		z.looseObject({
			driver: z.string().refine((d) => Object.hasOwn(PERSONALITIES, d), {
				error: (issue) =>
					`unknown driver personality ${JSON.stringify(issue.input)}; known: ${Object.keys(PERSONALITIES).join(", ")}`,
			}),
			reserved: z.array(region).default([]),
		}),
	),
	groups: z.array(
		z.strictObject({
			group: z.number().int().nonnegative().max(1e9),
			iommu: name,
			reserved: z.array(region).default([]),
			devices: z
				.array(
					z.strictObject({
						name,
						bridge: name.optional(),
						aliases: z.array(z.number().int().min(0).max(0xffff)).default([]),
						kernelDriver: name.optional(),
						absent: z.boolean().default(false),
						reserved: z.array(region).default([]),
						caps: caps.default({}),
					}),
				)
				.min(1),
		}),
	),
});
type File = z.infer<typeof schema>;

/** A topology file that cannot be used; `line` and `column` count from 1. */
export class TopologyError extends Error {
	readonly line: number;
	readonly column: number;
	constructor(message: string, line: number, column: number) {
		super(`${message} (line ${line}, column ${column})`);
		this.name = "TopologyError";
		this.line = line;
		this.column = column;
	}
}

/** The requester id of a PCI name: bus, device, function. */
function requesterId(pci: string): number | undefined {
	const m = /([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(pci);
	if (m === null) return undefined;
	const [bus, slot, fn] = [m[1], m[2], m[3]].map((t) =>
		Number.parseInt(t ?? "0", 16),
	);
	return ((bus ?? 0) << 8) | ((slot ?? 0) << 3) | (fn ?? 0);
}

type FileGroup = File["groups"][number];
function memberOf(
	file: File,
	group: FileGroup,
	d: FileGroup["devices"][number],
): TopologyDevice {
	const unit = file.iommus[group.iommu];
	const { driver: _, reserved: __, ...unitCaps } = unit ?? {};
	const resv: ReservedRegion[] = [
		...(unit?.reserved ?? []),
		...group.reserved,
		...d.reserved,
	];
	// Behind a PCIe-to-PCI bridge the IOMMU sees the bridge's secondary bus with device 0 (facts/trace-formats.md §1).
	const behind = d.bridge === undefined ? undefined : requesterId(d.name);
	const aliases =
		behind === undefined ? d.aliases : [...d.aliases, behind & 0xff00];
	return {
		dev: deviceId(d.name),
		resv,
		...(d.kernelDriver === undefined ? {} : { kernelDriver: d.kernelDriver }),
		...(d.absent ? { absent: true } : {}),
		...(aliases.length === 0 ? {} : { aliases }),
		caps: { iommu: group.iommu, ...unitCaps, ...d.caps } as {
			[name: string]: Json;
		},
	};
}

type Locate = (path: readonly PropertyKey[]) => { line: number; col: number };

/** What a schema cannot say: units and names exist once, and a group has a device at boot. */
function crossCheck(file: File, locate: Locate): void {
	const groups = new Set<number>();
	const devices = new Set<string>();
	const fail = (message: string, path: readonly PropertyKey[]): never => {
		const at = locate(path);
		throw new TopologyError(message, at.line, at.col);
	};
	for (const [i, g] of file.groups.entries()) {
		if (!Object.hasOwn(file.iommus, g.iommu))
			fail(
				`group ${g.group} names iommu ${JSON.stringify(g.iommu)}, which is not under iommus`,
				["groups", i, "iommu"],
			);
		if (groups.has(g.group))
			fail(`group ${g.group} stands here twice`, ["groups", i, "group"]);
		groups.add(g.group);
		if (g.devices.every(({ absent }) => absent))
			fail(
				`every device of group ${g.group} is absent: one must be there at boot`,
				["groups", i, "devices"],
			);
		for (const [k, d] of g.devices.entries()) {
			if (d.absent && d.kernelDriver !== undefined)
				fail(
					`device ${d.name} is absent at boot, so no kernel driver has it: leave out one of absent and kernelDriver`,
					["groups", i, "devices", k],
				);
			if (devices.has(d.name))
				fail(`device ${d.name} is in two groups`, [
					"groups",
					i,
					"devices",
					k,
					"name",
				]);
			devices.add(d.name);
		}
	}
}

/** Reads a topology file's text (YAML, of which JSON is a part). Throws TopologyError with line and column. */
export function parseTopology(text: string): Topology {
	const counter = new LineCounter();
	const doc = parseDocument(text, { lineCounter: counter, intAsBigInt: false });
	const locate: Locate = (path) => {
		for (let n = path.length; n >= 0; n--) {
			const node = doc.getIn(path.slice(0, n), true) as
				| { range?: [number, number, number] }
				| undefined;
			if (node?.range !== undefined) return counter.linePos(node.range[0]);
		}
		return { line: 1, col: 1 };
	};
	const bad = doc.errors[0];
	if (bad !== undefined) {
		const at = counter.linePos(bad.pos[0]);
		throw new TopologyError(
			bad.message.split("\n")[0] ?? "not YAML",
			at.line,
			at.col,
		);
	}
	const parsed = schema.safeParse(doc.toJS({ maxAliasCount: 100 }));
	const issue = parsed.error?.issues[0];
	if (issue !== undefined) {
		const at = locate(issue.path);
		const where =
			issue.path.length === 0 ? "" : `${issue.path.map(String).join(".")}: `;
		throw new TopologyError(`${where}${issue.message}`, at.line, at.col);
	}
	const file = parsed.data as File;
	crossCheck(file, locate);
	const groups = file.groups.map(
		(g): TopologyGroup => ({
			group: groupId(g.group),
			driver: file.iommus[g.iommu]?.driver ?? "",
			members: g.devices.map((d) => memberOf(file, g, d)),
		}),
	);
	return { groups, known: "complete" };
}
