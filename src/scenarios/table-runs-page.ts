/** The text of docs/table-runs.md, made from the runs. */
import type { TableRun } from "./table-run.ts";

const row = ({ name, title, source, ids, fix }: TableRun): string =>
	`| \`${name}\` | ${title} | ${ids.join(", ")} | ${fix.how} | ${source} |`;

/** docs/table-runs.md. */
export const tableRunsPage = (
	runs: readonly TableRun[],
): string => `# Table runs

Calls of the core (iommu_map, iommu_unmap, iova_to_phys, the dirty sweep) on one page table of a real format, written down entry by entry:
every slot, every table page, every invalidation with its completion, what each call returned. \`verify\` judges such a log row by row
([invariants.md](invariants.md), PT-1 to PT-53). What Linux 6.12 breaks by itself is found; a run that names a *fault* is of a kernel with
that defect. Written by \`UPDATE_DOCS=1 npx vitest run test/scenarios/table-runs-docs.test.ts\`; \`test/scenarios/table-runs.test.ts\` holds
the ids, that the first of them breaks first, and that the fix is green.

\`\`\`
iommu-ledger run vtd-map-over-page                    run it, judge it
iommu-ledger run vtd-map-over-page --set fix=true     the same with what makes it right
iommu-ledger run vtd-map-over-page --out log.ndjson   its log, for verify and inspect
\`\`\`

| run | what happens | breaks | green with | source |
|---|---|---|---|---|
${runs.map(row).join("\n")}

Rows that only concurrent steps break (readers, races, orders of flush and free) have their logs in [experiments.md](experiments.md); flush
queues (PT-33, PT-34, PT-35), PASIDs and nested domains in [cache-runs.md](cache-runs.md).
`;
