/**
 * Judges every recording in a folder of recordings and prints the table of docs/corpus.md: `npm run corpus -- DIR`.
 *
 * What is expected comes from what was done in each recording (the recorders' notes), never from our own verdicts; it is used for the table
 * alone. Exit code 1 when a verdict is not the expected one.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type FileReport, verifyPath } from "../src/replay/verify-path.ts";

interface Expectation {
	readonly names: RegExp;
	readonly verdict: string;
	readonly why: string;
}

/** First match counts. */
const EXPECTED: readonly Expectation[] = [
	{
		names: /^f2_(attach|detach|replace_single|replace_mfunc)/,
		verdict: "violated",
		why: "F2: an unmap in the window returned unflushed, the device used the stale entry",
	},
	{
		names: /^f2_(ctl_nodma|replace_bridge)/,
		verdict: "violated",
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
		verdict: "violated",
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

function row(name: string, file: FileReport): string {
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
	const asExpected = expected.verdict.split(" or ").includes(file.verdict);
	if (!asExpected) process.exitCode = 1;
	const cells = [
		name,
		expected.verdict,
		asExpected ? found : `**${found}**`,
		count(violations.map((v) => v.id)),
		count((report?.warnings ?? []).map((w) => w.id)),
		gaps > 0 ? String(gaps) : "",
		String(report?.records ?? 0),
		String(file.imported?.unexplainedCount ?? 0),
		String(report?.summary.dmas ?? 0),
		expected.why,
	];
	return `| ${cells.join(" | ")} |`;
}

console.log(
	"| recording | expected | found | errors | warnings | gaps | records | unexplained lines | DMAs | why it is expected |",
);
console.log("|---|---|---|---|---|---|---|---|---|---|");
for (const name of readdirSync(folder, { withFileTypes: true })
	.filter((e) => e.isDirectory())
	.map((e) => e.name)
	.sort())
	console.log(row(name, await verifyPath(join(folder, name))));
