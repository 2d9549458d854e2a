/**
 * Setting up a real Linux host for recording: prints, and as root applies and removes, exactly the dynamic events that an import
 * needs, after checking what the running kernel offers (tracefs: dynamic_events, README, available_filter_functions).
 */
import { access, appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Probe, ProbePart } from "./capture-probes.ts";
import { PART_MODULES, PROBES, TRACEPOINTS } from "./capture-probes.ts";

/** Where tracefs is mounted. */
export const TRACEFS = "/sys/kernel/tracing";
/** The group of our dynamic events: nothing else is touched. */
export const EVENT_GROUP = "iommu_ledger";
/** Ring buffer per CPU: holds some seconds of a map/unmap storm (about 100 bytes an event). */
export const BUFFER_KB = 65_536;
const MAXACTIVE = 10;

/** Something about the host that stands in the way; the message says what to do. */
export class CaptureError extends Error {
	override readonly name = "CaptureError";
}

/** fprobes miss nothing; kprobes can miss hits inside interrupts (facts/trace-formats.md §8). */
export type ProbeForm = "fprobe" | "kprobe";

/** The dynamic_events line of a probe. */
export function probeLine(probe: Probe, form: ProbeForm): string {
	const { at, event, fn, args } = probe;
	const name = `${EVENT_GROUP}/${event}`;
	if (form === "fprobe")
		return `f:${name} ${fn}${at === "return" ? "%return" : ""} ${args}`;
	return at === "return"
		? `r${MAXACTIVE}:${name} ${fn} ${args}`
		: `p:${name} ${fn} ${args}`;
}

/** What the running kernel offers, and what follows. */
export interface CapturePlan {
	readonly root: string;
	readonly form: ProbeForm;
	readonly probes: readonly Probe[];
	/** Probes that this kernel cannot take, and why. */
	readonly missing: readonly { readonly probe: Probe; readonly why: string }[];
	readonly tracepoints: readonly string[];
	readonly warnings: readonly string[];
}

const ALL_PARTS: readonly ProbePart[] = [
	"core",
	"iommufd",
	"vtd",
	"dma",
	"type1",
];

/** The plan for a kernel of which nothing is known: everything, as kprobes. */
export function plainPlan(
	parts: readonly ProbePart[] = ALL_PARTS,
	root = TRACEFS,
): CapturePlan {
	return {
		root,
		form: "kprobe",
		probes: PROBES.filter(({ part }) => parts.includes(part)),
		missing: [],
		tracepoints: TRACEPOINTS,
		warnings: [],
	};
}

const read = (path: string): Promise<string | undefined> =>
	readFile(path, "utf8").catch(() => undefined);

/** Looks at the running kernel. Throws CaptureError when tracefs is not there or not readable. */
export async function planCapture(
	parts: readonly ProbePart[] = ALL_PARTS,
	root = TRACEFS,
): Promise<CapturePlan> {
	const readme = await read(join(root, "README"));
	if (readme === undefined)
		throw new CaptureError(
			`${root} cannot be read: mount tracefs there (mount -t tracefs nodev ${root}) and be root`,
		);
	if (!readme.includes("dynamic_events"))
		throw new CaptureError(
			"this kernel has no dynamic events (CONFIG_PROBE_EVENTS): only fidelity L0 is possible, use its tracepoints",
		);
	const warnings: string[] = [];
	if (!/BTF|<argname>/.test(readme))
		warnings.push(
			"no BTF arguments in probes (CONFIG_PROBE_EVENTS_BTF_ARGS): probes that name structure fields will be refused",
		);
	const form: ProbeForm =
		/^\s*f\[/m.test(readme) || /%return/.test(readme) ? "fprobe" : "kprobe";
	if (form === "kprobe")
		warnings.push(
			"no fprobe events: kprobes can miss hits inside interrupts, absence of an event then proves nothing",
		);
	const functions = await functionNames(root);
	const chosen = PROBES.filter(({ part }) => parts.includes(part));
	const missing = chosen
		.filter(({ fn }) => functions !== undefined && functions.get(fn) !== 1)
		.map((probe) => ({
			probe,
			why: whyMissing(probe, functions?.get(probe.fn)),
		}));
	const lacking = new Set(missing.map(({ probe }) => probe));
	const available = (await read(join(root, "available_events"))) ?? "";
	return {
		root,
		form,
		probes: chosen.filter((probe) => !lacking.has(probe)),
		missing,
		tracepoints: TRACEPOINTS.filter((system) =>
			available.split("\n").some((line) => line.startsWith(`${system}:`)),
		),
		warnings,
	};
}

/** How often each function's name occurs among those that can be probed; undefined when the kernel does not tell. */
async function functionNames(
	root: string,
): Promise<ReadonlyMap<string, number> | undefined> {
	const text = await read(join(root, "available_filter_functions"));
	if (text === undefined) return undefined;
	const wanted = new Set(PROBES.map(({ fn }) => fn));
	const counts = new Map<string, number>();
	for (const line of text.split("\n")) {
		const name = line.split(" ", 1)[0] ?? "";
		if (wanted.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
	}
	return counts;
}

function whyMissing(probe: Probe, count: number | undefined): string {
	if (count !== undefined) return `${probe.fn} is not unique in this kernel`;
	const module = PART_MODULES[probe.part];
	return module === undefined
		? `${probe.fn} is inlined or not in this kernel`
		: `${probe.fn} is not there: load module ${module} first`;
}

/**
 * What a recording has beside its trace, as a shell command: sysfs' groups in the form of groups.txt (src/traces/groups.ts). `$S` is the folder of
 * the groups, `$D` the folder of the recording.
 */
export const GROUPS_COMMAND = [
	'for g in "$S"/*; do echo "group ${g##*/} type=$(cat "$g/type")"',
	'for d in "$g"/devices/*; do p=$(readlink -f "$d"); b=$(readlink "$d/driver" || echo none)',
	'echo "  ${d##*/} $(cat "$d/vendor"):$(cat "$d/device") class=$(cat "$d/class") driver=${b##*/} path=pci${p#*/pci}"; done',
	'echo "  reserved: $(tr "\\n" ";" < "$g/reserved_regions")"; done > "$D/groups.txt"',
].join("; ");

/** The set-up as a shell script, for hosts where nothing else may run. A line that the kernel refuses is said and does not end it. */
export function setupScript(plan: CapturePlan): string {
	const { root, form, probes, tracepoints, missing, warnings } = plan;
	return [
		"#!/bin/sh -e",
		"# Set-up for recording IOMMU activity (run as root). Undo: the lines at the end.",
		...warnings.map((text) => `# warning: ${text}`),
		...missing.map(({ probe, why }) => `# left out: ${probe.event}: ${why}`),
		'probe() { { echo "$1" >> dynamic_events; } 2>/dev/null || echo "not available: $1" >&2; }',
		'events() { if [ -e "events/$1/enable" ]; then echo 1 > "events/$1/enable"; else echo "not available: events $1" >&2; fi; }',
		`cd ${root}`,
		"echo mono > trace_clock",
		`echo ${BUFFER_KB} > buffer_size_kb`,
		"{ echo 1 > options/record-tgid; } 2>/dev/null || true",
		...probes.map((probe) => `probe '${probeLine(probe, form)}'`),
		...tracepoints.map((system) => `events ${system}`),
		`events ${EVENT_GROUP}`,
		"echo 1 > tracing_on",
		"# record, into a folder D of your own, with the groups in S:",
		"#   D=/tmp/recording; S=/sys/kernel/iommu_groups; mkdir -p $D",
		`#   cat ${root}/trace_pipe > $D/trace.txt   (Ctrl-C ends it; or afterwards: cat ${root}/trace > $D/trace.txt)`,
		`#   ${GROUPS_COMMAND}`,
		`#   cat ${root}/dynamic_events > $D/probes.txt; cat /proc/cmdline /proc/version > $D/cmdline.txt; dmesg > $D/dmesg.txt`,
		"# undo:",
		`#   cd ${root}; echo 0 > events/${EVENT_GROUP}/enable`,
		...tracepoints.map((system) => `#   echo 0 > events/${system}/enable`),
		...probes.map(
			({ event }) => `#   echo '-:${EVENT_GROUP}/${event}' >> dynamic_events`,
		),
		"",
	].join("\n");
}

function needRoot(): void {
	if (process.getuid?.() !== 0)
		throw new CaptureError("be root: dynamic events are written to tracefs");
}

/** Outcome of applying a plan: probes that the kernel refused after all. */
export interface Applied {
	readonly applied: readonly Probe[];
	readonly refused: readonly { readonly probe: Probe; readonly why: string }[];
}

/** Applies a plan on this host. A refused probe is reported, not fatal; what is there already of ours is removed first. */
export async function applyCapture(plan: CapturePlan): Promise<Applied> {
	needRoot();
	await removeCapture(plan.root);
	const at = (name: string): string => join(plan.root, name);
	await writeFile(at("trace_clock"), "mono\n");
	await writeFile(at("buffer_size_kb"), `${BUFFER_KB}\n`);
	const applied: Probe[] = [];
	const refused: { probe: Probe; why: string }[] = [];
	for (const probe of plan.probes)
		try {
			await appendFile(
				at("dynamic_events"),
				`${probeLine(probe, plan.form)}\n`,
			);
			applied.push(probe);
		} catch (error) {
			refused.push({ probe, why: (error as Error).message });
		}
	if (applied.length > 0)
		await writeFile(at(`events/${EVENT_GROUP}/enable`), "1\n");
	for (const system of plan.tracepoints)
		await writeFile(at(`events/${system}/enable`), "1\n");
	await writeFile(at("tracing_on"), "1\n");
	return { applied, refused };
}

/** Removes our dynamic events and switches our tracepoints off; returns how many events went. */
export async function removeCapture(root = TRACEFS): Promise<number> {
	needRoot();
	const at = (name: string): string => join(root, name);
	const text = await read(at("dynamic_events"));
	if (text === undefined)
		throw new CaptureError(`${at("dynamic_events")} cannot be read`);
	for (const group of [EVENT_GROUP, ...TRACEPOINTS]) {
		const enable = at(`events/${group}/enable`);
		const exists = await access(enable).then(
			() => true,
			() => false,
		);
		if (exists) await writeFile(enable, "0\n");
	}
	let removed = 0;
	for (const line of text.split("\n")) {
		const name = /^[a-z]\d*:(\S+)/.exec(line)?.[1];
		if (name?.startsWith(`${EVENT_GROUP}/`) !== true) continue;
		await appendFile(at("dynamic_events"), `-:${name}\n`);
		removed++;
	}
	return removed;
}
