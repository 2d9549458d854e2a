/** Old states stay valid; fold = repeated reduce; macro = micro. For every format, over crowded random operations. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Step } from "../../src/pagetable/events.ts";
import type { PageTable } from "../../src/pagetable/state.ts";
import {
	applyOp,
	applyStep,
	beginEdit,
	commitEdit,
	createTable,
	finishEdit,
	fold,
	reduce,
} from "../../src/pagetable/table.ts";
import { arbitraryOps, granuleOf, pictureOf, REQUESTS } from "./support.ts";

describe.each(Object.entries(REQUESTS))("%s", (_name, request) => {
	const ops = arbitraryOps(request);
	const RUNS = { numRuns: granuleOf(request) === 1 ? 30 : 10 };

	test("every state held while folding on stays what it was", () => {
		fc.assert(
			fc.property(ops, (list) => {
				const held: [PageTable, unknown][] = [];
				let state = createTable(request);
				for (const op of list) {
					held.push([state, pictureOf(state)]);
					state = reduce(state, op);
				}
				fold(held[0]?.[0] as PageTable, list);
				for (const [old, picture] of held)
					expect(pictureOf(old)).toEqual(picture);
			}),
			RUNS,
		);
	});

	test("snapshots taken from one long edit stay what they were", () => {
		fc.assert(
			fc.property(ops, (list) => {
				const edit = beginEdit(createTable(request));
				const held: [PageTable, unknown][] = [];
				for (const op of list) {
					applyOp(edit, op);
					const snapshot = commitEdit(edit);
					held.push([snapshot, pictureOf(snapshot)]);
				}
				for (const [old, picture] of held)
					expect(pictureOf(old)).toEqual(picture);
			}),
			RUNS,
		);
	});

	test("fold equals repeated reduce", () => {
		fc.assert(
			fc.property(ops, (list) => {
				const empty = createTable(request);
				const folded = fold(empty, list);
				expect(pictureOf(folded)).toEqual(
					pictureOf(list.reduce(reduce, empty)),
				);
			}),
			RUNS,
		);
	});

	test("an operation equals its atomic steps, answers included", () => {
		fc.assert(
			fc.property(ops, (list) => {
				let macro = createTable(request);
				let micro = macro;
				const plain = beginEdit(macro);
				for (const op of list) {
					const steps: Step[] = [];
					const edit = beginEdit(macro);
					edit.steps = steps;
					const answer = applyOp(edit, op);
					macro = finishEdit(edit);
					// The same operation without recording, on a long-lived edit with its caches warm.
					expect(applyOp(plain, op)).toBe(answer);
					const replay = beginEdit(micro);
					for (const step of steps) applyStep(replay, step);
					micro = finishEdit(replay);
					expect(pictureOf(micro)).toEqual(pictureOf(macro));
				}
				expect(pictureOf(finishEdit(plain))).toEqual(pictureOf(macro));
			}),
			RUNS,
		);
	});
});
