/** The catalogue as a page for people: docs/invariants.md. */
import type { Invariant } from "./invariant.ts";

const TIMES = {
	S: "after every record",
	O: "when an operation ends",
	Q: "when no operation is open",
} as const;

const FAMILIES: readonly (readonly [prefix: string, title: string])[] = [
	["OWN", "Ownership"],
	["GRP", "Groups"],
	["REF", "References"],
	["HWP", "Hardware page tables and domains"],
	["RSV", "Reserved regions"],
	["MSI", "Interrupt windows"],
	["IOP", "I/O address spaces"],
	["PIN", "Pinned pages"],
	["ACC", "Accesses"],
	["DRT", "Dirty tracking"],
	["NST", "Nesting"],
	["FLT", "Page faults"],
	["LOG", "Shape of the log"],
	["VFT", "VFIO"],
	["PT", "Page tables and caches"],
];

const INTRO = `# Invariants

Written from the catalogue in src/invariants by test/invariants/docs.test.ts; change the catalogue, not this page.

\`verify\` checks these on every record of a log. Each says when it must hold, what goes wrong when it does not, where the rule comes from
(kernel 6.12 \`file:function\`, a mail, or a section of the behaviour specification), and what breaks it. A broken **error** makes the
verdict *violated*; a **warning** is a legal but risky state or order and never changes the verdict. Every violation has an evidence:
*possible* (what hardware may still hold allows harm) or *proven* (a device or an independent witness shows the use). Where a log cannot
decide (events lost, a kernel release the rule does not speak about, a life that began before the log), the outcome is *unexplained* and
says what was missing; what was never exercised is reported with a count of 0.

Not judged, since no record tells it: device TLBs (PT-41), negative entries (PT-42), dirty bits of page tables (PT-45 to PT-48), the
entry formats and the radix tree (PT-1 to PT-15, PT-17 to PT-24, PT-44, PT-49 to PT-52: tests of src/pagetable, since dom.map and dom.unmap are all that a log
tells of a table's content), table
life under software readers (PT-27 to PT-30: src/explore). PT-26 is the state form of PT-25. All 105 rows of the behaviour specification's
section 6 are here.

*Broken by* names a log: a scenario of \`iommu-ledger run\` (\`omit=STEP\` is a switch, \`--set omit=STEP\`: a kernel that forgets this step), an
exploration, a recording, or a sequence of records written by hand in test/invariants.
`;

const number = (id: string): number => Number(id.slice(id.indexOf("-") + 1));

function entry(invariant: Invariant): string {
	const {
		id,
		severity,
		sentence,
		harm,
		when,
		source,
		brokenBy,
		kernels,
		needs,
	} = invariant;
	const scope = [
		TIMES[when],
		...(kernels === undefined ? [] : [`Linux ${kernels}`]),
		...(needs === "L0" ? ["decidable at L0"] : []),
	].join("; ");
	return [
		`### ${id}${severity === "warning" ? " (warning)" : ""}`,
		"",
		sentence,
		"",
		`- Otherwise: ${harm}.`,
		`- Must hold: ${scope}.`,
		`- Source: ${source.map((one) => (/^[\w/-]+\.[ch]/.test(one) ? `\`${one}\`` : one)).join("; ")}.`,
		`- Broken by: ${brokenBy}.`,
		"",
	].join("\n");
}

/** The whole page. */
export function catalogueMarkdown(catalogue: readonly Invariant[]): string {
	const parts = [INTRO];
	for (const [prefix, title] of FAMILIES) {
		const members = catalogue
			.filter(({ id }) => id.startsWith(`${prefix}-`))
			.toSorted((a, b) => number(a.id) - number(b.id));
		if (members.length > 0) parts.push(`## ${title}\n`, ...members.map(entry));
	}
	return `${parts.join("\n").trimEnd()}\n`;
}
