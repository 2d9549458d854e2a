/** Steps that only decide where a thread goes on. */
import { NOTHING, reads } from "./footprint.ts";
import { GARBAGE, isLeaf, isTable } from "./model.ts";
import type { Draft } from "./operations.ts";
import type { Step } from "./scenario-schema.ts";
import type { Scope } from "./scope.ts";

export function controlDrafts(scope: Scope, step: Step): Draft[] | undefined {
	const { results } = scope.parts;
	switch (step.verb) {
		case "nothing":
			return [{ footprint: NOTHING, control: () => -1 }];
		case "let": {
			const value = scope.operand(step.args.value);
			const at = scope.register(step.args.register);
			const control = (s: Uint8Array) => {
				s[at] = value(s);
				return -1;
			};
			return [{ footprint: NOTHING, control }];
		}
		case "goto": {
			scope.targets.push(step.args);
			return [{ footprint: NOTHING, control: () => scope.jump(step.args) }];
		}
		case "return": {
			const text = String(step.args);
			if (!results.includes(text)) results.push(text);
			const result = results.indexOf(text);
			const control = (s: Uint8Array) => {
				s[scope.thread.result] = result;
				return scope.jump("end");
			};
			return [{ footprint: NOTHING, control }];
		}
		case "if":
		case "unless":
			return [test(scope, step.args, step.verb === "if")];
		default:
			return undefined;
	}
}

function test(
	scope: Scope,
	args: Extract<Step, { verb: "if" }>["args"],
	wanted: boolean,
): Draft {
	scope.targets.push(args.goto);
	if (args.var !== undefined) {
		const at = scope.var(args.var);
		const run = (s: Uint8Array) =>
			(s[at] === Number(args.is)) === wanted
				? scope.jump(args.goto)
				: undefined;
		return { footprint: reads(0, scope.named([args.var])), run };
	}
	const value = scope.operand(args.value ?? "");
	const is = predicate(scope, String(args.is));
	return {
		footprint: NOTHING,
		control: (s) => (is(value(s)) === wanted ? scope.jump(args.goto) : -1),
	};
}

function predicate(scope: Scope, text: string): (value: number) => boolean {
	if (text === "table") return isTable;
	if (text === "leaf") return isLeaf;
	if (text === "garbage") return (v) => v === GARBAGE;
	const wanted = scope.constant(text);
	return (v) => v === wanted;
}
