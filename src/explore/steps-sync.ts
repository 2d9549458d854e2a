/** Steps by which threads wait for each other, and the beginning and end of operations. */
import { OPEN, RCU, reads, union, writes } from "./footprint.ts";
import { mask32, pageMask, setMask32 } from "./model.ts";
import type { Draft } from "./operations.ts";
import { ScenarioError } from "./scenario-error.ts";
import type { Step } from "./scenario-schema.ts";
import type { Scope } from "./scope.ts";

const pagesOfProgress = (
	args: Extract<Step, { verb: "done" }>["args"],
): readonly (number | string)[] => {
	if ("map" in args) return args.map;
	return "unmap" in args ? args.unmap : args.fail;
};

export function syncDrafts(scope: Scope, step: Step): Draft[] | undefined {
	const { model, resources, memory, checks } = scope.parts;
	const thread = scope.thread;
	const bit = 1 << scope.number;
	switch (step.verb) {
		case "reader": {
			const run = (s: Uint8Array) => {
				if (step.args === "enter")
					s[thread.reader] = (s[thread.reader] as number) + 1;
				else leave(scope, s, bit);
			};
			return [{ footprint: writes(0, RCU), run }];
		}
		case "grace": {
			const begin: Draft = {
				footprint: writes(0, RCU),
				run: (s) => {
					s[thread.grace] = memory.openReaders(s) & ~bit;
				},
			};
			const wait: Draft = {
				footprint: writes(0, RCU),
				enabled: (s) => s[thread.grace] === 0,
				run: () => {},
			};
			if (step.args === "begin") return [begin];
			return step.args === "wait" ? [wait] : [begin, wait];
		}
		case "lock":
		case "unlock": {
			const at = model.locks.get(step.args);
			if (at === undefined) throw new ScenarioError(`no lock ${step.args}`);
			const footprint = writes(0, resources.named(step.args));
			if (step.verb === "unlock")
				return [{ footprint, run: (s) => void (s[at] = 0) }];
			const enabled = (s: Uint8Array) => s[at] === 0;
			return [{ footprint, enabled, run: (s) => void (s[at] = 1) }];
		}
		case "set": {
			const pairs = Object.entries(step.args).map(
				([k, v]) => [scope.var(k), v] as const,
			);
			const high = scope.named(Object.keys(step.args));
			const run = (s: Uint8Array) => {
				for (const [at, v] of pairs) s[at] = v;
			};
			return [{ footprint: writes(0, high), run }];
		}
		case "await": {
			const pairs = Object.entries(step.args).map(
				([k, v]) => [scope.var(k), v] as const,
			);
			const high = scope.named(Object.keys(step.args));
			const enabled = (s: Uint8Array) => pairs.every(([at, v]) => s[at] === v);
			return [{ footprint: reads(0, high), enabled, run: () => {} }];
		}
		case "begin": {
			const pages = pageMask(
				model,
				"map" in step.args ? step.args.map : step.args.unmap,
			);
			const run = (s: Uint8Array) =>
				setMask32(s, thread.open, mask32(s, thread.open) | pages);
			return [{ footprint: writes(0, OPEN), run }];
		}
		case "done": {
			const isMap = "map" in step.args;
			const pages = pageMask(model, pagesOfProgress(step.args));
			const to =
				"map" in step.args && step.args.to !== undefined
					? scope.target(step.args.to)
					: -1;
			const low = resources.ofPages(pages);
			const run = (s: Uint8Array) => {
				setMask32(s, thread.open, mask32(s, thread.open) & ~pages);
				if (isMap) checks.mapped(s, pages, to, scope.number);
				else if ("unmap" in step.args) checks.unmapped(s, pages, scope.number);
			};
			return [{ footprint: union(reads(low), writes(0, OPEN)), run }];
		}
		default:
			return undefined;
	}
}

function leave(scope: Scope, s: Uint8Array, bit: number): void {
	const { model } = scope.parts;
	const at = scope.thread.reader;
	if (s[at] === 0) return;
	s[at] = (s[at] as number) - 1;
	if (s[at] !== 0) return;
	for (const t of model.tables) s[t.readers] = (s[t.readers] as number) & ~bit;
	for (const t of model.threads) s[t.grace] = (s[t.grace] as number) & ~bit;
}
