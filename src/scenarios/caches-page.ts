/** The text of docs/caches.md and docs/cache-runs.md, made from the table of commands and from the runs. */
import { COMMANDS, type CommandRow } from "../iotlb/commands.ts";
import type { CacheRun } from "./cache-run.ts";

const cell = (what: string): string => (what === "none" ? "–" : what);
const command = ({
	driver,
	name,
	kind,
	gran,
	ih,
	ttl,
	stage,
	pasid,
	drops,
}: CommandRow): string => {
	const flags = [
		kind,
		gran,
		...(ih === true ? ["ih"] : []),
		...(ttl === true ? ["ttl"] : []),
		...(stage === undefined ? [] : [`stage=${stage}`]),
		...(pasid === true ? ["pasid"] : []),
	].join(" ");
	return `| ${driver} | ${name} | \`${flags}\` | ${cell(drops.leaf)} | ${cell(drops.walk)} | ${cell(drops.combined)} | ${cell(drops.context)} | ${cell(drops.device)} |`;
};

/** docs/caches.md. */
export const cachesPage = (): string => `# What hardware may still hold

The projection in \`src/iotlb\` is a may-analysis: an entry is possible from the moment a walk could have made it until an invalidation that
covers it has *completed*; one counts from its issue (what memory offered after that it need not drop). Stored is only what memory no
longer offers. \`test/iotlb/brute-force.test.ts\` compares it with a small concrete cache that fills, evicts and obeys when it likes.

* **Logs of ranges** (\`dom.map\`, \`dom.unmap\`; recordings): stale ranges per tag, with the size of their leaves, pointers to unlinked tables,
  context entries, ranges that a device may have taken into its own TLB (once a device-TLB command to it shows that ATS is on), ranges
  that may be cached as not present (caching mode).
* **Logs of entries** (\`table.rooted\`, \`slot.*\`, \`table.*\`): leaf entries per level, paging-structure entries per level, negative entries,
  device entries, each exactly; walks go on through stale pointers into unlinked and freed tables.
* **A superpage is one entry** in both: a command for a part of it takes it whole (Arm), or not at all where hardware need not look for larger
  entries (VT-d, AMD; \`smallFlushDropsLargeLeaf\`). That hardware may cache it as smaller pieces is its choice to hold less at once, and not
  modelled.
* **A tag** is a domain id on one IOMMU and a PASID; requests without PASID are those of PASID 0. What two PASIDs cached of one domain stays
  apart: a PASID-based command takes its own, a command for the domain id takes all. Context, PASID and CD entries are told apart by
  requester and PASID.
* **A nested domain** (\`hwpt.live\` with a \`parent\`, or \`dom.created\` with one) caches combined entries of two stages under a tag of its own. The
  guest's first stage is in no log; its entries are told by the address that the second stage translates. What the parent unmaps is
  stale under its own tag and under every nested one, until a command takes it from each: VT-d by the nested domain's id and the
  second stage's range (\`intel/cache.c\`: CACHE_TAG_NESTING_IOTLB), SMMUv3 with everything first-stage of the VMID (TLBI NH_ALL). A command for
  first-stage addresses is sure of none of it, and what a device keeps goes only with all that the device keeps. In 6.12 VT-d alone has nested
  domains; SMMUv3 is modelled as from 6.13 on, AMD-Vi is taken to be like VT-d.
* Not modelled: what a guest does with its own first stage (its own invalidations are its own affair); nested entries of a PASID whose
  first stage the host owns.

## Commands

What each must drop once it has completed, and its spelling in \`inv.issued\`. *range*: of the addressed range; *tag*: of the domain id;
*level*: of the range and of the level that the TTL names. *Combined*: of a nested domain under that id, the range being one of the second
stage. With \`pasid\` only what that PASID cached; a device-TLB command without one takes the entries of all PASIDs
(\`arm-smmu-v3.c:arm_smmu_atc_inv_to_cmd\`). Linux 6.12 sends them all but VT-d's context cache domain and PASID cache domain, AMD's PDE=0
(\`amd/iommu.c:build_inv_iommu_pages\` always sets it), CFGI_CD_ALL, and what nesting on an SMMUv3 needs (NH_ALL and a guest's commands: 6.13). An SMMU with
FEAT_E2H gets EL2_VA and EL2_ASID for NH_VA and NH_ASID. What clears everything at start or resume (CFGI_ALL, TLBI NSNH_ALL, INVALIDATE_IOMMU_ALL) is not here.

| driver | command | \`inv.issued\` | leaf entries | paging-structure entries | combined | context entries | device TLB |
|---|---|---|---|---|---|---|---|
${COMMANDS.map(command).join("\n")}

## Parameters (header \`switches\`)

| name | values | meaning |
|---|---|---|
| \`hardware\` | list of \`cacheLeaf\`, \`cacheDirectory\`, \`cacheDevice\` | what is kept at all (default: leaf and directory) |
| \`ih0NonLeafScope\` | \`range\` (default), \`domain\` | paging-structure entries that a command without leaf-only hint drops |
| \`tlbiTTL\` | \`honoured\` (default), \`ignored\` | a TTL limits which leaf entries are sure to go |
| \`bbm\` | 0, 1, 2 (default) | below 2, entries of two sizes for one address are a conflict (PT-37) |
| \`smallFlushDropsLargeLeaf\` | \`true\`, \`false\` | a command for a part of a superpage drops the cached superpage (default: where all groups are VT-d or AMD it does not) |
| \`cachingMode\` | \`false\` (default), \`true\` | "not present" is cached (VT-d CM, AMD NpCache); also \`iommu.cachingMode\` |
| \`pri\` | \`false\` (default), \`true\` | a faulting DMA is restarted (PT-19) |

Flush queues of lazy domains (ring of 256 slots per CPU or one of 32768, start and finish counters, timer of 10 ms or 1 s) are in
\`src/iotlb/flush-queue.ts\`; PT-33 to PT-35 judge their records. [cache-runs.md](cache-runs.md) has a log for each of these things.
`;

const runRow = ({
	fix,
	ids,
	isProven,
	name,
	source,
	title,
}: CacheRun): string =>
	`| \`${name}\` | ${title} | ${ids.length === 0 ? "holds" : `${ids.join(", ")}${isProven === true ? ", proven" : ""}`} | ${fix ?? ""} | ${source} |`;

/** docs/cache-runs.md. */
export const cacheRunsPage = (
	runs: readonly CacheRun[],
): string => `# Cache runs

Logs of ranges (\`dom.map\`, \`dom.unmap\`, commands and their completion) in which what hardware may still hold decides: flush queues with their
ring and timer, PASIDs, nested domains, TLBs of devices, superpages. [caches.md](caches.md) says what the projection keeps and what each command
takes. A run that is violated is of a kernel, old or imagined, that leaves out what the last column names. Written by
\`UPDATE_DOCS=1 npx vitest run test/scenarios/table-runs-docs.test.ts\`; \`test/scenarios/cache-runs.test.ts\` holds verdicts, fixes and that
each log is made again byte for byte.

\`\`\`
iommu-ledger run lazy-unmap                              run it, judge it: holds
iommu-ledger run strict-use-after-unmap                  the same use without a flush queue: violated, proven by the device
iommu-ledger run nested-parent-flush --set fix=true      what 6.7 left out, with what makes it right
iommu-ledger run lazy-ring-full --out log.ndjson         its log, for verify and inspect
\`\`\`

| run | what happens | verdict | green with | source |
|---|---|---|---|---|
${runs.map(runRow).join("\n")}

## The window of lazy mode

An unmap of a lazy domain (DMA-FQ) returns before anything is flushed. Until a flush that *started* after the unmap has completed, the device
may use the page: at most 10 ms and a flush (1 s with the single ring), or 255 unmaps of that CPU. In \`lazy-unmap\` the device writes to
pages 1 and 2 after their unmap and succeeds; after the timer it is refused. That is what \`iommu.strict=0\` documents, so it holds: no row
speaks about the write, PT-35 bounds the window, PT-34 the release of the IOVA, PT-33 its reuse. In \`strict-use-after-unmap\` the same write
proves PT-32. What the queue does not protect is in no row either: a page that is given to somebody else inside the window is theirs to
protect (untrusted devices get a strict domain: \`iommu.c:iommu_get_default_domain_type\`).
`;
