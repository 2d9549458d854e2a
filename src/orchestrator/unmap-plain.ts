/** IOAS_UNMAP where accesses or dirty marks have a say: machines/ops/map.ts on plain state, with the anomalies A6, A9 and A11. */
import { putObj, objOf, type Exec } from "../../machines/ops/exec.ts";
import { ioasUnmap } from "../../machines/ops/map.ts";
import type { Access, Answer, Ioas } from "../../machines/ops/types.ts";
import { treeValues, treeSet } from "../../machines/iopt-tree.ts";
import { hexOf, u64 } from "../vocabulary/fields.ts";
import type { CommandArgs } from "./commands.ts";
import { fromHex, plainly } from "./commands-plain.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";

/** Runs with some accesses out of reach: a deaf one keeps its pins, and (A9 mended) one without a hook is not asked. */
export function outOfReach(x: Executor, exec: Exec, run: () => Answer): Answer {
	const { asksEveryAccess } = x.parts.outside.switches;
	const hidden: Access[] = [];
	for (const obj of exec.host.ctxs.get(exec.ctx)?.objs.values() ?? []) {
		if (obj.type !== "access") continue;
		const skipped = !asksEveryAccess && !obj.pinning;
		if (!skipped && !x.deaf.has(obj.name)) continue;
		hidden.push(obj);
		const { ioasUnpin: _, ...unasked } = obj;
		putObj(exec, skipped ? unasked : { ...obj, items: [] });
	}
	const answer = run();
	for (const access of hidden) putObj(exec, access);
	return answer;
}

/** A6 mended: an unmap that gave up takes its mark off the areas again. */
function unmark(exec: Exec, id: number): void {
	const ioas: Ioas = objOf(exec, id, "ioas");
	let { areas } = ioas.iopt;
	for (const area of treeValues(areas))
		if (area.prevent)
			areas = treeSet(areas, area.start, { ...area, prevent: false });
	putObj(exec, { ...ioas, iopt: { ...ioas.iopt, areas } });
}

/** The command. */
export function unmapPlain(x: Executor, args: CommandArgs["unmap"]): Outcome {
	const { partialUnmapStays, preventSticks } = x.parts.outside.switches;
	return plainly(
		x,
		args.ctx,
		(exec) => {
			const answer = outOfReach(x, exec, () =>
				ioasUnmap(exec, {
					ioasId: args.ioas,
					iova: fromHex(args.iova),
					length: fromHex(args.length),
					respond: () => undefined,
				}),
			);
			if (answer.errno === "EDEADLOCK" && !preventSticks)
				unmark(exec, args.ioas);
			return answer;
		},
		({ out }) => ({ bytes: hexOf(u64(out?.["length"] as bigint)) }),
		{
			// A11 mended: all or nothing.
			veto: (_, answer) =>
				answer.errno !== undefined && !partialUnmapStays ? answer : undefined,
		},
	);
}
