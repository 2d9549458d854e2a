/** The part of a report about the kernel that made the recording, and about what its devices saw. */
import type {
	KernelVerdicts,
	WindowReport,
} from "../replay/kernel-verdicts.ts";
import type { Report } from "../replay/verify.ts";

const DOMAINS_SHOWN = 4;
const number = (value: number): string => value.toLocaleString("en-US");

const time = (ns: number): string =>
	ns >= 1e9
		? `${(ns / 1e9).toFixed(2)} s`
		: ns >= 1e6
			? `${(ns / 1e6).toFixed(2)} ms`
			: `${(ns / 1e3).toFixed(0)} us`;

const windowText = (kind: string, sum: WindowReport): string =>
	`${number(sum.count)} ${kind}, longest ${time(sum.longestNs)}, ${number(sum.bytes / 1024)} KiB in all`;

/** Lines for a recording of a kernel; none where it shows nothing of the kind. */
export function kernelLines(report: Report): string[] {
	const { kernelVerdicts: verdicts, summary } = report;
	const lines = [...windowLines(verdicts), ...flushLines(verdicts)];
	const told = verdicts.topics.filter(({ untold }) => !untold);
	if (told.length > 0)
		lines.push(
			`checked: ${told
				.map(
					({ topic, checked, violated }) =>
						`${topic} ${number(checked)}${violated > 0 ? ` (${violated} broken)` : ""}`,
				)
				.join(", ")}`,
		);
	const untold = verdicts.topics.filter((one) => one.untold);
	if (untold.length > 0)
		lines.push(`nothing about: ${untold.map(({ topic }) => topic).join(", ")}`);
	if (verdicts.orphans.length > 0)
		lines.push(
			`domains that nothing uses and nobody freed: ${verdicts.orphans.join(", ")}`,
		);
	if (verdicts.tagsLeft > 0)
		lines.push(
			`cache tags left on domains without an entry: ${verdicts.tagsLeft}`,
		);
	lines.push(...dmaLines(summary));
	if (lines.length === 0) return [];
	return [
		"",
		"  What it shows about the kernel:",
		...lines.map((one) => `    ${one}`),
	];
}

function windowLines({ strict, lazy, domains }: KernelVerdicts): string[] {
	const lines: string[] = [];
	const parts = [
		...(strict.count > 0 ? [windowText("strict", strict)] : []),
		...(lazy.count > 0 ? [windowText("lazy", lazy)] : []),
	];
	if (parts.length === 0) return lines;
	lines.push(`stale-translation windows: ${parts.join("; ")}`);
	if (domains.length > 1)
		lines.push(
			`longest by domain: ${domains
				.slice(0, DOMAINS_SHOWN)
				.map(
					({ dom, strict: one, lazy: other }) =>
						`${dom} ${time(Math.max(one.longestNs, other.longestNs))}`,
				)
				.join(", ")}${domains.length > DOMAINS_SHOWN ? ", …" : ""}`,
		);
	return lines;
}

function flushLines({ flushing }: KernelVerdicts): string[] {
	const { pageCommands, wholeCommands, factor, needless } = flushing;
	if (pageCommands + wholeCommands === 0) return [];
	const over =
		factor === null
			? ""
			: `; ${factor} bytes named by page per byte that was stale (over-invalidation)`;
	return [
		`IOTLB flushes: ${number(pageCommands)} by page, ${number(wholeCommands)} of whole domains${over}; ${number(needless)} by page met nothing stale`,
	];
}

function dmaLines({
	predictions,
	witnessed,
	dmas,
}: Report["summary"]): string[] {
	const lines: string[] = [];
	if (dmas > 0) {
		const { predicted, sizes, outside, agreed, disagreed } = predictions;
		const by = [...sizes]
			.toSorted(([a], [b]) => a - b)
			.map(([size, n]) => `${number(n)} × ${size}`)
			.join(", ");
		lines.push(
			`device accesses: ${number(predicted)} of ${number(dmas)} predicted; predicted sets by size: ${by || "none"}; ${outside} outside of their set; ${agreed} re-read the same words in the predicted frame${disagreed > 0 ? `, ${disagreed} in another` : ""}`,
		);
	}
	if (witnessed > 0)
		lines.push(
			`uses of cached translations that the emulator logged: ${number(witnessed)}`,
		);
	return lines;
}
