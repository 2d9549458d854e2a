/**
 * A caller who keeps the contract (maps only what is free, unmaps only what he mapped) sees the same from every format: a plain map from
 * frame to frame. `lookup`, `translate` and the leaves agree with it.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	lookup,
	applyOp,
	beginEdit,
	createTable,
} from "../../src/pagetable/table.ts";
import { translate, visitLeaves } from "../../src/pagetable/walk.ts";
import { arbitraryOps, granuleOf, REQUESTS } from "./support.ts";

describe.each(Object.entries(REQUESTS))("%s", (_name, request) => {
	const granule = granuleOf(request);
	test("agrees with a plain map", () => {
		fc.assert(
			fc.property(arbitraryOps(request), (ops) => {
				const edit = beginEdit(createTable(request));
				const oracle = new Map<number, number>();
				for (const op of ops) {
					if (op.type === "map") {
						let isFree = true;
						for (let i = 0; i < op.size; i += granule)
							if (oracle.has(op.iova + i)) isFree = false;
						if (!isFree) continue;
						expect(applyOp(edit, op)).toBe(0);
						for (let i = 0; i < op.size; i += granule)
							oracle.set(op.iova + i, op.pa + i);
						continue;
					}
					// Unmap from the start of the request as far as it is mapped, in whole leaves.
					let length = 0;
					while (length < op.size && oracle.has(op.iova + length))
						length += granule;
					const first = translate(edit, op.iova);
					const last = translate(edit, op.iova + length - granule);
					if (length === 0 || first === undefined || last === undefined)
						continue;
					const leafStart = first.iova - (first.iova % first.leafSize);
					const leafEnd =
						last.iova - (last.iova % last.leafSize) + last.leafSize;
					if (leafStart !== op.iova || leafEnd !== op.iova + length) continue;
					expect(applyOp(edit, { ...op, size: length })).toBe(length);
					for (let i = 0; i < length; i += granule) oracle.delete(op.iova + i);
				}
				const stride = Math.max(1, Math.floor(oracle.size / 300));
				let seen = 0;
				for (const [iova, pa] of oracle) {
					if (seen++ % stride !== 0) continue;
					expect(lookup(edit, iova)).toBe(pa);
					const leaf = translate(edit, iova);
					expect((leaf?.pa ?? 0) + (iova - (leaf?.iova ?? 0))).toBe(pa);
				}
				let mapped = 0;
				visitLeaves(edit, 0, 2 ** 32, (leaf) => {
					mapped += leaf.slotSize;
					if (!oracle.has(leaf.iova))
						throw new Error(`stray leaf ${leaf.iova}`);
				});
				expect(mapped).toBe(oracle.size * granule);
			}),
			{ numRuns: granule === 1 ? 30 : 10 },
		);
	});
});
