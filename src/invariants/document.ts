/** The catalogue as a page for people: docs/invariants.md. */
import { commandOf, FAULTED } from "./faulted.ts";
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

Page tables are judged in one of two ways. Where a log tells maps and unmaps as ranges (\`dom.map\`, \`dom.unmap\`; recordings of a kernel do),
what hardware may still hold is kept as ranges. Where it tells every entry and every table page (\`table.rooted\`, \`slot.*\`, \`table.*\`;
counterexamples of \`explore\` and table runs do) it is kept entry by entry, and all rows PT-1 to PT-53 of the page-table facts are judged.
The explorer raises the same ids while it searches; test/explore/agreement.test.ts holds the two to each other along random paths.

Two rows never break first: PT-26 is the state form of PT-25 and PT-2, and PT-45 (a lost write) needs a cached entry that PT-46 finds
before. No row is left out; PT-49 (replay gives the same state) is judged as far as records can contradict each other: by what they say of tables, and where the writer
of the log tells what it holds itself (\`table.summed\`, in table runs after every call); beyond that by \`verify --redecide\` and the tests
that compare reducers.

*Broken by* is a command that makes a log: the model runs a scenario with a fault of the kernel, and the invariant is the first that is violated, unless another is named
as found before; what is violated besides stands in brackets. Without \`--set\` the scenario does not violate it (test/invariants/faults.test.ts holds all of this), or the command
has none and shows an anomaly of Linux itself. The faults:

| \`--set\` | the kernel |
|---|---|
| \`omit=STEP\` | forgets the step |
| \`repeat=STEP\` | does it twice |
| \`late=STEP\`, \`late=STEP+K\` | does it when its operation ends, or K steps too late |
| \`wrong=STEP:FIELD=VALUE\` | does it with a wrong value |
| \`blind=MACHINE.GUARD\`, \`blind=driver.attach\` | does not see what the guard of the statechart, or the driver before an attach, looks at, and goes where it should not |

A STEP is a record type, with \`#n\` only its n-th of the run; omit, repeat, late and blind take several, separated by commas. After the first four the machines go on as if the step had been
done right. Elsewhere *broken by* names an exploration, a recording, a table run ([table-runs.md](table-runs.md)), a cache run ([cache-runs.md](cache-runs.md)), or a sequence of records written by hand in
test/invariants, which every invariant has as well. All 105 rows of the behaviour specification's section 6 are here.
`;

const number = (id: string): number => Number(id.slice(id.indexOf("-") + 1));

function faulted(id: string): readonly string[] {
	const run = FAULTED[id];
	if (run === undefined) return [];
	const { also = [], first } = run;
	const besides = also.length === 0 ? "" : ` (${also.join(", ")})`;
	return [
		`\`${commandOf(run)}\`${besides}${first === undefined ? "" : `, ${first} before it`}`,
	];
}

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
		`- Broken by: ${[...faulted(id), ...(brokenBy === undefined ? [] : [brokenBy])].join("; ")}.`,
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
