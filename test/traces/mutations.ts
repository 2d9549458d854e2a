/** Mutates recordings and says how each mutation shows: by an invariant, as damage, not at all because nothing in the records changed, or silently. */
import { createVerifier, type Report } from "../../src/replay/verify.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { eventOf, MUTATIONS, random } from "./mutate.ts";
import { type Imported, importAll, load } from "./support.ts";

/** Recordings that are mutated: strict with a group, lazy with the DMA API, strict with real DMA. */
export const MUTATED = [
	"b_mfunc_v1.M1",
	"f_dma_driver_unbind.M6",
	"f2_ctl_late_v1.B1",
] as const;
/** Positions per kind and recording. */
export const POSITIONS = 20;

/** Why a mutation that changes records can stay without a finding: by the event it hit. */
export const REASONS: readonly (readonly [RegExp, string])[] = [
	[
		/^(?:unmap|map)(?:_sg|_fast)?(?:_in|_ret)?$/,
		"the domain is older than the trace, so what it held is not known; or a failing iommu_map, whose take-back no record requires",
	],
	[
		/^(?:free_iova|alloc_iova_ret|fq_|dma_)/,
		"the IOVA allocator is not modelled: a range that is freed late, twice or never is no fault of translation",
	],
	[
		/^(?:ct_|cache_tag_)/,
		"a tag is told twice, by its probe and by its tracepoint; the one that fits the rest is taken",
	],
	[
		/^vtd_(?:attach|blocking|block|dom_attach|identity)/,
		"the device and its domain are told again by the switch around the driver's attach",
	],
	[
		/^vtd_tlb_sync|^ct_flush/,
		"the range to flush is told again by the flush and by the unmap's return",
	],
	[/^vtd_ctx_/, "the next switch of the same requester writes its entry anew"],
	[
		/^qi_/,
		"a wider command than needed is legal; what is dropped or moved was not needed for anything the trace unmaps",
	],
	[
		/^(?:dev_set_domain|group_set_domain|attach_device|.*_group_handle|claim_|release_|use_|unuse_)/,
		"a switch is told by every member and by its return; a single deviation that leaves all of them on one domain agrees with the rest",
	],
	[
		/^(?:ifd_|hwpt_|igroup|vfio_|obj_remove|ioas_|iopt_|area_|resv_)/,
		"the call's own answer tells the same; the answer of the program is believed",
	],
	[/^dmar_fault$/, "which access a fault belongs to is told by no line"],
	[/^domain_/, "a pointer that nothing else names"],
	[/^t1_/, "the container's answer tells the same"],
	[/^setup_default|^(?:add|remove)_device/, "nothing later depends on it"],
];

/** How the mutations of one kind showed. */
export interface Outcome {
	tried: number;
	/** By id: new findings, or checks that became unexplained. */
	readonly ids: Map<string, number>;
	flagged: number;
	/** Lines named as damage, disorder or loss. */
	named: number;
	/** No record changed: the line adds nothing, or another one says the same. */
	same: number;
	/** By event: records changed and nothing was found. */
	readonly silent: Map<string, number>;
}

const newOutcome = (): Outcome => ({
	tried: 0,
	ids: new Map(),
	flagged: 0,
	named: 0,
	same: 0,
	silent: new Map(),
});
const bump = (table: Map<string, number>, key: string): void => {
	table.set(key, (table.get(key) ?? 0) + 1);
};

const EVENTS_ONLY = /^(?!tracing_mark_write$).+/;
const HEAD_LINES = 11;
const TRIES_MAX = 4000;

interface Judged {
	readonly imported: Imported;
	readonly report: Report;
	readonly records: string;
}

async function judge(parts: Parameters<typeof importAll>[0]): Promise<Judged> {
	const imported = await importAll(parts);
	const verifier = createVerifier(imported.header);
	for (const record of imported.records) verifier.next(record);
	const records = imported.records.map(recordText).join("\n");
	return { imported, report: verifier.finish(), records };
}

const recordText = ({ type, data }: LogRecord): string =>
	type +
	JSON.stringify(data, (key, value: unknown) =>
		typeof value === "bigint" ? String(value) : key === "from" ? 0 : value,
	);

/** Ids of findings and of unexplained checks that `base` does not have as often. */
function newIds(base: Report, report: Report): Set<string> {
	const count = (r: Report): Map<string, number> => {
		const ids = new Map<string, number>();
		for (const { id } of [...r.violations, ...r.warnings]) bump(ids, id);
		for (const { id } of r.unexplained) if (id !== "-") bump(ids, id);
		return ids;
	};
	const before = count(base);
	return new Set(
		[...count(report)]
			.filter(([id, n]) => n > (before.get(id) ?? 0))
			.map(([id]) => id),
	);
}

const damage = ({ imported, report }: Judged): string =>
	[
		imported.report.unexplainedCount,
		imported.report.witness.skipped,
		[...imported.report.undecided.values()].reduce((a, b) => a + b, 0),
		imported.records.filter(({ type }) => type === "trace.lost").length,
		report.verdict,
	].join(" ");

/** Mutates every recording of MUTATED with one kind, and adds up how it showed. */
export async function mutateAll(kind: string): Promise<Outcome> {
	const outcome = newOutcome();
	for (const name of MUTATED) {
		const parts = load(name);
		const lines = (parts.trace ?? "").split("\n");
		const base = await judge(parts);
		const next = random(kind.length * 7919 + name.length);
		let done = 0;
		for (let tries = 0; tries < TRIES_MAX && done < POSITIONS; tries++) {
			const copy = [...lines];
			const at =
				HEAD_LINES + Math.floor(next() * (lines.length - HEAD_LINES - 2));
			const event = eventOf(copy[at] ?? "");
			if (!EVENTS_ONLY.test(event)) continue;
			if (MUTATIONS[kind]?.(copy, at, next) !== true) continue;
			done++;
			const after = await judge({ ...parts, trace: copy.join("\n") });
			note(outcome, event, base, after);
		}
	}
	return outcome;
}

function note(
	outcome: Outcome,
	event: string,
	base: Judged,
	after: Judged,
): void {
	outcome.tried++;
	const ids = newIds(base.report, after.report);
	for (const id of ids) bump(outcome.ids, id);
	if (ids.size > 0) outcome.flagged++;
	else if (damage(after) !== damage(base)) outcome.named++;
	else if (after.records === base.records) outcome.same++;
	else bump(outcome.silent, event);
}
