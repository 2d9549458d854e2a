/** Sagas in the page's model: spans of their own, their commands as a sequence, their statechart lit on the way forth and back. */
import { describe, expect, it } from "vitest";
import { sequenceOf } from "../../src/inspector/model/sequence.ts";
import type { Calls, ChartPlace } from "../../src/inspector/worker/protocol.ts";
import { Session } from "../../src/inspector/worker/session.ts";
import { memoryStore } from "../../src/log/memory-store.ts";
import { logText } from "../../src/log/write.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { SITUATIONS } from "../orchestrator/saga/situations.ts";

async function sessionOf(name: string): Promise<Session> {
	const found = SITUATIONS.find((one) => one.name === name);
	if (found === undefined) throw new Error(`no situation ${name}`);
	const header = runHeader(found.topology, found.switches);
	const store = memoryStore(header);
	const system = await createIommuSystem({ store, engine: "compiled" });
	await found.setUp(system);
	await found
		.saga(system)
		.run({ inexact: true })
		.catch(() => undefined);
	await system.dispose();
	const records: LogRecord[] = [];
	for await (const batch of store.read(1)) records.push(...batch.records);
	const session = new Session(async () => undefined);
	session.push(Buffer.from(logText(header, [records])));
	session.finish();
	while (session.work());
	session.track.finish();
	return session;
}

/** The saga's state at each of its records: `replace Switching`. */
async function statesOf(session: Session): Promise<string[]> {
	const seen: string[] = [];
	for (let at = 0; at < session.index.count; at++) {
		const { type, text } = session.row(at);
		if (!/^saga\.|^op\.begin$/.test(type)) continue;
		const place = (await session.calls.chart({ at, isSaga: true })) as
			| ChartPlace
			| undefined;
		if (place === undefined) continue;
		const op = /"op":"([^"]+)","args"/.exec(text)?.[1];
		seen.push(`${op ?? type} ${place.states[0]}`);
	}
	return seen;
}

describe("sagas", () => {
	it("walk their statechart group by group, and back", async () => {
		expect(
			await statesOf(await sessionOf("moveAll: the last group is refused")),
		).toEqual([
			"saga.begun Switching",
			"replace Switching",
			"replace Following",
			"replace Switching",
			"saga.turned Switching",
			"replace unwinding.SwitchingBack",
			"saga.ended Failed",
		]);
	});

	it("move a whole group: the first device switches, the others follow", async () => {
		const session = await sessionOf("3 devices, automatic hwpts, group-owned");
		expect(await statesOf(session)).toEqual([
			"saga.begun Switching",
			"replace Switching",
			"replace Following",
			"replace Following",
			"saga.ended Committed",
		]);
	});

	it("take a device away: detach all, unbind all", async () => {
		const states = await statesOf(
			await sessionOf("evacuate: a group of three, one of them only bound"),
		);
		expect(states[1]).toBe("detach Detaching");
		expect(states.at(-2)).toBe("unbind Unbinding");
		expect(states.at(-1)).toBe("saga.ended Committed");
	});

	it("are spans around their commands, and a sequence of them", async () => {
		const session = await sessionOf(
			"the answer of a replace cannot be copied out: the device is detached (A8)",
		);
		const last = session.index.count - 1;
		const saga = (await session.calls.operationAt({ at: last })) as NonNullable<
			Calls["operationAt"][1]
		>;
		expect([saga.name, saga.outcome]).toEqual(["moveGroup", "fail"]);
		const shown = (await session.calls.operation({
			op: saga.op,
		})) as NonNullable<Calls["operation"][1]>;
		expect(shown.rows.map(({ type }) => type)).toEqual([
			"saga.begun",
			"op.begin",
			"op.fail",
			"saga.turned",
			"op.begin",
			"op.fail",
			"op.begin",
			"op.commit",
			"op.begin",
			"op.commit",
			"saga.ended",
		]);
		expect(shown.gaps).toEqual([]);
		const { messages } = sequenceOf(shown.rows);
		expect(messages.map(({ text }) => text)).toContain("EFAULT at resp");
		const step = (await session.calls.operationAt({
			at: session.index.positionOf(saga.op + 1),
		})) as NonNullable<Calls["operationAt"][1]>;
		expect(step.name).toBe("replace");
		expect(step.row).toBeGreaterThan(saga.row);
	});
});
