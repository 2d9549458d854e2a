/**
 * Judges every recording in a folder of recordings and prints the table of docs/corpus.md: `npm run corpus -- DIR`.
 *
 * What is expected comes from what was done in each recording (the recorders' notes), never from our own verdicts; it is used for the table
 * alone. Exit code 1 when a verdict is not the expected one.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type FileReport, verifyPath } from "../src/replay/verify-path.ts";
import { createVerifier, type Report } from "../src/replay/verify.ts";
import type { ByteSource } from "../src/traces/bytes.ts";
import { importParts } from "../src/traces/import.ts";
import { findRecording } from "../src/traces/recording.ts";

interface Expectation {
	readonly names: RegExp;
	readonly verdict: string;
	readonly why: string;
}

/** First match counts. */
const EXPECTED: readonly Expectation[] = [
	{
		names: /^f2_(attach|detach|replace_single|replace_mfunc)/,
		verdict: "violated (proven)",
		why: "F2: an unmap in the window returned unflushed, the device used the stale entry",
	},
	{
		names: /^f2_(ctl_nodma|replace_bridge)/,
		verdict: "violated (possible)",
		why: "F2: an unmap in the window returned unflushed; nothing used the entry",
	},
	{
		names: /^f2_ctl/,
		verdict: "holds",
		why: "control: no window, or the unmap came after it, or another device's tag caught it",
	},
	{
		names: /^f1_(same|ctl_mask)/,
		verdict: "violated",
		why: "F1: a failed replace inside one IOAS dropped live reservations",
	},
	{
		names: /^f1_extra/,
		verdict: "violated",
		why: "F3: an attach succeeded without its MSI reservation",
	},
	{
		names: /^f1_ctl_two/,
		verdict: "holds",
		why: "control: hwpts on two IOASes",
	},
	{
		names: /^f4_ro/,
		verdict: "violated",
		why: "F4: an errno after a completed replace",
	},
	{
		names: /^h_race\.M(9|10)/,
		verdict: "violated (possible)",
		why: "F2 without a delay: unmaps unflushed while a context entry was live; no DMA",
	},
	{
		names: /^[abc]_/,
		verdict: "holds",
		why: "seed scenarios: 6.12 moves the whole group in the first call",
	},
	{
		names: /^boot/,
		verdict: "holds or unexplained",
		why: "nothing wrong was provoked; maps before the probes were up are missing, so DMA of early drivers may not be explainable",
	},
	{
		names: /^f_storm/,
		verdict: "holds",
		why: "nothing wrong was provoked; recorded with a lean set of probes, without those for reservations and switches",
	},
	{
		names: /^f_dma\.M3/,
		verdict: "unexplained",
		why: "nothing wrong was provoked; kprobes missed hits inside interrupts",
	},
	{ names: /./, verdict: "holds", why: "nothing wrong was provoked" },
];

const folder = process.argv[2];
if (folder === undefined) {
	console.error("usage: npm run corpus -- DIR");
	process.exit(2);
}

const count = (ids: readonly string[]): string => {
	const sums = new Map<string, number>();
	for (const id of ids) sums.set(id, (sums.get(id) ?? 0) + 1);
	return [...sums].map(([id, n]) => (n > 1 ? `${id} ×${n}` : id)).join(", ");
};

/** The kernel's own tracepoints: what is left at fidelity L0. */
const TRACEPOINT =
	/^#|: (?:add_device_to_group|remove_device_from_group|attach_device_to_domain|map|unmap|qi_submit|cache_tag_[a-z_]+):/;

/** A source with only the lines that the kernel's own tracepoints wrote. */
function tracepointsOf(source: ByteSource): ByteSource {
	async function* open(): AsyncGenerator<Uint8Array> {
		const decoder = new TextDecoder("latin1");
		let rest = "";
		for await (const chunk of source.open()) {
			const lines = (rest + decoder.decode(chunk, { stream: true })).split(
				"\n",
			);
			rest = lines.pop() ?? "";
			const kept = lines.filter((line) => TRACEPOINT.test(line));
			yield Buffer.from(kept.map((line) => `${line}\n`).join(""), "latin1");
		}
	}
	return { name: source.name, again: source.again, open };
}

/** The recording as the kernel's own tracepoints alone would have shown it. */
async function verifyL0(path: string): Promise<Report> {
	const { probes: _, trace, ...rest } = await findRecording(path);
	if (trace === undefined) throw new Error(`${path}: no trace`);
	const recording = await importParts({ ...rest, trace: tracepointsOf(trace) });
	const verifier = createVerifier(recording.header);
	await recording.run((record) => verifier.next(record));
	return verifier.finish();
}

/** Do the importer's counts of lines by event equal those taken when the recording was made? */
function countsText(path: string, file: FileReport): string {
	const place = join(path, "counts.json");
	if (!existsSync(place)) return "no counts";
	const { events = {} } = JSON.parse(readFileSync(place, "utf8")) as {
		readonly events?: { readonly [event: string]: number };
	};
	const found = file.imported?.events ?? new Map<string, number>();
	const names = new Set([...Object.keys(events), ...found.keys()]);
	const wrong = [...names].filter(
		(name) => (events[name] ?? 0) !== (found.get(name) ?? 0),
	);
	if (wrong.length === 0) return `${names.size} equal`;
	process.exitCode = 1;
	return `**differ: ${wrong.join(", ")}**`;
}

const sizes = new Map<number, number>();
const exercised = ({ invariants }: Report): string[] =>
	invariants.filter(({ checked }) => checked > 0).map(({ id }) => id);

async function row(name: string): Promise<readonly [string, string]> {
	const path = join(folder as string, name);
	const file = await verifyPath(path);
	const { report } = file;
	const expected = EXPECTED.find((e) => e.names.test(name)) as Expectation;
	const violations = report?.violations ?? [];
	const proven = violations.some((v) => v.evidence === "proven")
		? " (proven)"
		: violations.length > 0
			? " (possible)"
			: "";
	const gaps = (report?.unexplained ?? []).filter((u) => !u.lost).length;
	const found = `${file.verdict}${proven}`;
	const wanted = expected.verdict.split(" or ");
	const asExpected = wanted.includes(found) || wanted.includes(file.verdict);
	const l0 = await verifyL0(path);
	const known = new Set(violations.map(({ id }) => id));
	const extra = l0.violations.filter(({ id }) => !known.has(id));
	if (!asExpected || extra.length > 0) process.exitCode = 1;
	const kept = new Set(exercised(l0));
	const lost =
		report === undefined ? [] : exercised(report).filter((id) => !kept.has(id));
	const {
		predicted = 0,
		sizes: own = new Map<number, number>(),
		outside = 0,
	} = report?.summary.predictions ?? {};
	if (outside > 0) process.exitCode = 1;
	for (const [size, n] of own) sizes.set(size, (sizes.get(size) ?? 0) + n);
	const histogram = [...own]
		.toSorted(([a], [b]) => a - b)
		.map(([size, n]) => `${n}×${size}`)
		.join(" ");
	const dmas = report?.summary.dmas ?? 0;
	const cells = [
		name,
		expected.verdict,
		asExpected ? found : `**${found}**`,
		count(violations.map((v) => v.id)),
		count((report?.warnings ?? []).map((w) => w.id)),
		gaps > 0 ? String(gaps) : "",
		String(report?.records ?? 0),
		String(file.imported?.unexplainedCount ?? 0),
		countsText(path, file),
		dmas > 0
			? `${predicted} of ${dmas}: ${histogram}${outside > 0 ? ` **${outside} outside**` : ""}`
			: "",
		`${l0.verdict}${extra.length > 0 ? ` **${count(extra.map((v) => v.id))}**` : ""}, ${lost.length} lost`,
		expected.why,
	];
	return [`| ${cells.join(" | ")} |`, lost.join(" ")];
}

console.log(
	"| recording | expected | found | errors | warnings | gaps | records | unexplained lines | lines by event | DMA predicted: sets by size | L0 | why it is expected |",
);
console.log("|---|---|---|---|---|---|---|---|---|---|---|---|");
const lostBy = new Map<string, string[]>();
for (const name of readdirSync(folder, { withFileTypes: true })
	.filter((e) => e.isDirectory())
	.map((e) => e.name)
	.sort()) {
	const [line, lost] = await row(name);
	console.log(line);
	lostBy.set(lost, [...(lostBy.get(lost) ?? []), name]);
}
console.log(
	`\nPredicted sets by size, all recordings: ${[...sizes]
		.toSorted(([a], [b]) => a - b)
		.map(([size, n]) => `${n} of size ${size}`)
		.join(", ")}.`,
);
console.log("\n| checks exercised with probes and lost without | recordings |");
console.log("|---|---|");
for (const [lost, names] of lostBy)
	console.log(`| ${lost || "none"} | ${names.join(", ")} |`);
