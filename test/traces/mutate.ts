/** Mutations of traces that keep every line well formed: what is told becomes false, not unreadable. */

/** Seeded generator (mulberry32): a failure is repeated by its seed. */
export function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/** Event and task of a trace line. */
export const eventOf = (line: string): string =>
	/\s\d+\.\d+: (\w+):/.exec(line)?.[1] ?? "";
const taskOf = (line: string): string => /-(\d+)\s+\[/.exec(line)?.[1] ?? "";
/** Time and the rest of a line. */
const STAMP = /^(.*?\s)(\d+\.\d{6})(: .*)$/;

/** Changes lines in place at `at`; false when the line cannot be mutated so. */
export type Mutation = (
	lines: string[],
	at: number,
	next: () => number,
) => boolean;

const change =
	(pattern: RegExp, by: (match: string, next: () => number) => string) =>
	(lines: string[], at: number, next: () => number): boolean => {
		const line = lines[at] ?? "";
		const changed = line.replace(pattern, (match) => by(match, next));
		lines[at] = changed;
		return changed !== line;
	};
const otherLine = (lines: string[], at: number, step: number): number => {
	const task = taskOf(lines[at] ?? "");
	for (let i = at + step; i > 0 && i < lines.length; i += step)
		if (taskOf(lines[i] ?? "") === task) return i;
	return -1;
};

/** Every kind of mutation. */
export const MUTATIONS: { readonly [kind: string]: Mutation } = {
	drop: (lines, at) => lines.splice(at, 1).length > 0,
	duplicate: (lines, at) => lines.splice(at, 0, lines[at] ?? "").length === 0,
	"swap with the task's next line": (lines, at) => {
		const to = otherLine(lines, at, 1);
		const a = STAMP.exec(lines[at] ?? "");
		const b = STAMP.exec(lines[to] ?? "");
		if (a === null || b === null || a[3] === b[3]) return false;
		// The times stay in order: nothing but the meaning tells.
		lines[at] = `${b[1]}${a[2]}${b[3]}`;
		lines[to] = `${a[1]}${b[2]}${a[3]}`;
		return true;
	},
	"ten lines later": (lines, at) => {
		const to = Math.min(lines.length - 2, at + 10);
		const a = STAMP.exec(lines[at] ?? "");
		const b = STAMP.exec(lines[to] ?? "");
		if (a === null || b === null || to <= at) return false;
		lines.splice(at, 1);
		lines.splice(to, 0, `${a[1]}${b[2]}${a[3]}`);
		return true;
	},
	"other address": change(
		/\b(?:iova|addr|start|pa|phys)=0x([0-9a-f]+)/,
		(match, next) =>
			`${match.slice(0, -4)}${(Math.floor(next() * 15) + 1).toString(16)}000`,
	),
	"other size": change(/\b(size|unmapped_size)=(\d+)/, (match) =>
		`${match}0`.replace(/=(\d+)0$/, (_, n) => `=${Number(n) * 2}`),
	),
	"other domain id": change(/\bdid[ =](\d+)/, (match) =>
		match.replace(/\d+/, (did) => String(Number(did) + 40)),
	),
	"other domain": change(/\b(?:dom|dmar|new)=0xffff8[0-9a-f]{11}/, (match) =>
		match.replace(
			/=0xffff8(.)/,
			(_, digit) => `=0xffff8${digit === "7" ? "6" : "7"}`,
		),
	),
	"other device": change(
		/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.)([0-7])/,
		(match) => match.replace(/[0-7]$/, (fn) => String((Number(fn) + 5) % 8)),
	),
	"failed return": change(/\bret=0(?:x0)?$/, () => "ret=-12"),
	"successful return": change(/\bret=-\d+$/, () => "ret=0"),
	"other command": change(
		/(iotlb_inv \w+: 0x[0-9a-f]*)([0-9a-f])([0-9a-f]{2}) /,
		(match) =>
			match.replace(
				/0x([0-9a-f]+) $/,
				(_, word) => `0x${(BigInt(`0x${word}`) ^ 0x20n).toString(16)} `,
			),
	),
	"other task": change(/-\d+(\s+\[)/, (match) => match.replace(/\d+/, "31337")),
	"in an interrupt": change(/(\] .. ?|\] ..)\.(\S\S) /, (match) =>
		match.replace("..", "..").replace(/\](\s)(..)\./, "]$1$2h"),
	),
};
