/** What an executor is made of, and how what it runs can end. */
import type { AnyDefinition } from "../../machines/define.ts";
import type { Answer, Step } from "../../machines/steps.ts";
import type { Fact } from "../vocabulary/records.ts";
import type { Engine } from "./engine.ts";
import type { Transactions } from "./flows.ts";
import type { Outside } from "./outside.ts";

/** How a transaction or a step ended. */
export type Outcome = Extract<Step<"return">, { ok: boolean }>;
/** What a step was answered. */
export type Said =
	| { readonly ok: true; readonly value: unknown }
	| {
			readonly ok: false;
			readonly errno: Extract<Answer, { ok: false }>["errno"];
			readonly step: string;
	  };

/** A step that went well and has nothing to tell. */
export const DONE: Said = { ok: true, value: undefined };

/** Everything an executor is made of. `definition` lets a test put a changed machine in the place of another. */
export interface ExecutorParts {
	/** Runs the entities. */
	readonly engine: Engine;
	/** Runs the transactions. */
	readonly txEngine: Engine;
	readonly transactions: Transactions;
	readonly outside: Outside;
	readonly emit: (fact: Fact) => void;
	readonly definition?: (definition: AnyDefinition) => AnyDefinition;
}
