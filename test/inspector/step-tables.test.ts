/** The explorer's counterexample of a superpage over a table that hardware may still walk, as the page shows it. */
import { describe, expect, it } from "vitest";
import { counterexample } from "../../src/explore/counterexample.ts";
import { DEFAULT_LIMITS } from "../../src/explore/explore.ts";
import { toLog } from "../../src/explore/to-log.ts";
import type { IotlbPicture } from "../../src/inspector/model/iotlb.ts";
import type { Calls } from "../../src/inspector/worker/protocol.ts";
import { Session } from "../../src/inspector/worker/session.ts";
import { logText } from "../../src/log/write.ts";
import { loadScenario } from "../../src/scenarios/library.ts";

type Shown = NonNullable<Calls["pageTable"][1]>["picture"];

const example = counterexample(loadScenario("m-bad-1") as never, "PT-25", {
	now: () => 0,
	limits: DEFAULT_LIMITS,
});
const log = toLog(example as never);
const session = new Session(async () => undefined);
session.push(Buffer.from(logText(log.header, [log.records])));
session.finish();
while (session.work());

/** The page-table view after the last record of a type. */
async function after(type: string): Promise<NonNullable<Shown>> {
	const seq = log.records.findLast((one) => one.type === type)?.seq as number;
	const at = session.index.positionOf(seq);
	const shown = (await session.calls.pageTable({ at })) as NonNullable<
		Calls["pageTable"][1]
	>;
	expect(shown.domains).toEqual(["domain:1"]);
	return shown.picture as NonNullable<Shown>;
}

describe("tables that are recorded step by step", () => {
	it("go from private to linked to unlinked to freed, and stay in sight", async () => {
		const states = async (type: string) => (await after(type)).states;
		expect(await states("table.allocated")).toMatchObject({ private: 3 });
		expect(await states("table.linked")).toEqual({ linked: 4 });
		expect(await states("table.unlinked")).toEqual({ linked: 3, unlinked: 1 });
		expect(await states("table.freed")).toEqual({ linked: 3, freed: 1 });
		const { tables } = await after("table.freed");
		const freed = tables.find(({ state }) => state === "freed");
		expect([freed?.level, freed?.iova]).toEqual([1, undefined]);
	});

	it("have their words decoded, whichever table they lead to", async () => {
		const { tables } = await after("table.linked");
		expect(tables.map(({ depth, level }) => [depth, level])).toEqual([
			[0, 4],
			[1, 3],
			[2, 2],
			[3, 1],
		]);
		const [entry] = tables[0]?.entries ?? [];
		expect(entry).toMatchObject({ slot: 0, kind: "table", child: 2 });
		expect(entry?.word).toMatch(/^0x[0-9a-f]+003$/);
	});

	it("leave their pointer in the cache, which the IOTLB view tells", async () => {
		const at = session.index.count - 1;
		const picture = (await session.calls.iotlb({ at })) as IotlbPicture;
		expect(picture.entries).toMatchObject([
			{ kind: "pointer to a table", iova: 0, leads: "table 4" },
		]);
	});
});
