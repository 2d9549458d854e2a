/** What moveAll plans to copy, what it predicts, and that devices find behind the switch what they had before it. */
import { expect, test } from "vitest";
import { memoryStore } from "../../../src/log/memory-store.ts";
import { runHeader } from "../../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../../src/orchestrator/create.ts";
import type { Command } from "../../../src/orchestrator/commands.ts";
import type { LogRecord } from "../../../src/vocabulary/records.ts";
import { SITUATIONS } from "./situations.ts";

const ctx = "ctx:1";
async function ready(name: string) {
	const one = SITUATIONS.find((situation) => situation.name === name)!;
	const store = memoryStore(runHeader(one.topology, one.switches));
	const system = await createIommuSystem({ store });
	await one.setUp(system);
	const records: LogRecord[] = [];
	system.records$.subscribe((record) => records.push(record));
	return { system, records, saga: one.saga(system) };
}
const copyOf = (iova: string, length: string, prot: number): Command => ({
	op: "copy",
	args: { ctx, src: 3, dst: 4, srcIova: iova, length, dstIova: iova, prot },
});

test("a copy an area that is missing, in order, then the devices; answers predicted, the way back exact", async () => {
	const { system, records, saga } = await ready(
		"moveAll: mappings are copied first, but for what is there",
	);
	const plan = await saga.plan();
	expect(plan.steps.slice(0, 2).map(({ command }) => command)).toEqual([
		copyOf("0x100000", "0x4000", 3),
		copyOf("0x300000", "0x2000", 3),
	]);
	expect(plan.steps.map(({ command }) => command.op).join()).toBe(
		"copy,copy,replace,replace",
	);
	expect(plan.steps[0]?.predicted).toEqual({
		ok: true,
		result: { iova: "0x100000" },
	});
	expect(plan.back.map(({ command }) => command.op)).toEqual(
		expect.arrayContaining(["replace", "unmap"]),
	);
	expect([plan.exact, plan.notes, plan.steps.flatMap((s) => s.breaks)]).toEqual(
		[true, [], []],
	);
	await saga.run();
	// Everything was in the new domain, the same frames at the same places, before the first device moved.
	const move = records.findIndex(({ type }) => type === "hw.attach");
	const filled = records
		.slice(0, move)
		.filter(({ type }) => type === "dom.map");
	const pages = filled.reduce(
		(n, r) => n + Number((r as LogRecord<"dom.map">).data.len),
		0,
	);
	expect(pages).toBe(0x4000 + 0x3000 + 0x2000);
	// Nothing is left to copy, and what stays behind is user space's to unmap.
	const back = system.moveAll({ ctx, from: 4, to: 3 });
	const ops = (await back.plan()).steps.map(({ command }) => command.op);
	expect(ops.join()).toBe("replace,replace");
	expect(
		await system.unmap({ ctx, ioas: 3, iova: "0x100000", length: "0x4000" }),
	).toBe(0x4000);
});

test("a plan that cannot copy says so, and nothing happens", async () => {
	const { system, saga } = await ready(
		"moveAll: the other IOAS maps something else there",
	);
	const plan = await saga.plan();
	expect(plan.steps.map(({ command }) => command.op).join()).toBe("copy,copy");
	expect(plan.steps[1]?.predicted).toMatchObject({
		ok: false,
		errno: "EEXIST",
	});
	expect(plan.notes).toEqual([
		"copy will fail, and everything will be taken back",
	]);
	// The caller has prepared it: taken as it is.
	const asItIs = system.moveAll({ ctx, from: 3, to: 4, copy: false });
	expect(
		(await asItIs.plan()).steps.map(({ command }) => command.op).join(),
	).toBe("replace,replace");
});

test("without devices to move there is nothing to do", async () => {
	const { system } = await ready(
		"moveAll: mappings are copied first, but for what is there",
	);
	for (const dev of ["device:0000:01:00.0", "device:0000:03:00.0"] as const)
		await system.detach({ ctx, dev });
	expect((await system.moveAll({ ctx, from: 3, to: 4 }).plan()).steps).toEqual(
		[],
	);
});
