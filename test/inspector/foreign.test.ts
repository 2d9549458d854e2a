/** A machine that has nothing to do with IOMMUs, watched through XState's own `inspect` option. */
import { describe, expect, it } from "vitest";
import { assign, createActor, fromPromise, sendTo, setup } from "xstate";
import {
	createInspector,
	statePaths,
} from "../../src/inspector/create-inspector.ts";
import { Session } from "../../src/inspector/worker/session.ts";
import {
	browserMissing,
	openPage,
	picture,
	settled,
	startBrowser,
} from "./browser.ts";
import { buildPage } from "./build-page.ts";

const lamp = setup({
	types: { events: {} as { type: "SWITCH" } | { type: "BURN" } },
}).createMachine({
	id: "lamp",
	initial: "dark",
	states: {
		dark: { on: { SWITCH: "lit", BURN: "broken" } },
		lit: { on: { SWITCH: "dark" } },
		broken: { type: "final" },
	},
});

const room = setup({
	types: {
		context: {} as { visits: number; secret: unknown },
		events: {} as { type: "ENTER"; who: string } | { type: "LEAVE" },
	},
	actors: { lamp, load: fromPromise(async () => 7) },
	guards: { isFirst: ({ context }) => context.visits === 0 },
}).createMachine({
	id: "room",
	context: () => {
		const self: { me?: unknown } = {};
		self.me = self;
		return { visits: 0, secret: { self, big: 10n, map: new Map([[1, 2]]) } };
	},
	initial: "empty",
	invoke: { src: "lamp", id: "ceiling" },
	states: {
		empty: {
			on: {
				ENTER: {
					guard: "isFirst",
					target: "used.sitting",
					actions: [
						assign({ visits: ({ context }) => context.visits + 1 }),
						sendTo("ceiling", { type: "SWITCH" }),
					],
				},
			},
		},
		used: {
			initial: "sitting",
			on: { LEAVE: "empty" },
			states: { sitting: {}, standing: {} },
		},
	},
});

function watched() {
	let t = 0;
	const inspector = createInspector({ name: "house", clock: () => (t += 10) });
	const actor = createActor(room, { inspect: inspector.inspect });
	actor.start();
	actor.send({ type: "ENTER", who: `<b>"me"</b>` });
	actor.send({ type: "LEAVE" });
	inspector.end();
	return inspector;
}

function session(text: string): Session {
	const opened = new Session(async () => undefined);
	opened.push(new TextEncoder().encode(text));
	opened.finish();
	return opened;
}

describe("createInspector", () => {
	it("writes numbered plain records of any actor system", () => {
		const opened = session(watched().log.text());
		const { index, spans } = opened;
		expect(index.problemCount).toBe(0);
		expect(index.header?.["format"]).toBe("xstate-inspection");
		expect(new Set(index.types.names)).toEqual(
			new Set([
				"machine.defined",
				"actor.created",
				"op.begin",
				"actor.acted",
				"actor.stepped",
				"actor.state",
				"op.commit",
			]),
		);
		expect([...index.seq.subarray(0, index.count)]).toEqual(
			Array.from({ length: index.count }, (_, i) => i + 1),
		);
		const names = spans.begin.map((_, n) => [
			spans.span(n).name,
			spans.span(n).actor,
			spans.span(n).outcome,
		]);
		expect(names).toEqual(
			expect.arrayContaining([
				["ENTER", expect.any(String), "commit"],
				["SWITCH", "ceiling", "commit"],
				["LEAVE", expect.any(String), "commit"],
			]),
		);
	});

	it("knows each actor's chart, states and last transition at any record", async () => {
		const opened = session(watched().log.text());
		expect([...opened.foreign.charts.keys()].sort()).toEqual(["lamp", "room"]);
		const last = opened.index.count - 1;
		const root = opened.index.actors.names.find(
			(n) => n !== "ceiling",
		) as string;
		expect(opened.calls.chart({ at: last, actor: "ceiling" })).toMatchObject({
			machine: "lamp",
			states: ["lit"],
			last: { from: "dark", to: "lit" },
		});
		expect(opened.calls.chart({ at: last, actor: root })).toMatchObject({
			machine: "room",
			states: ["empty"],
			last: { from: "used", to: "empty" },
		});
		const enter = opened.spans.span(opened.spans.name.indexOf("ENTER"));
		expect(opened.calls.chart({ at: enter.end, actor: root })).toMatchObject({
			states: ["used.sitting"],
		});
		expect(await opened.calls.topology({ at: last })).toBeUndefined();
	});

	it("survives cycles, bigints, maps and values that throw when read", () => {
		const text = watched().log.text();
		expect(text).toContain("[circular]");
		expect(text).toContain('"10n"');
		const inspector = createInspector();
		const actor = createActor(
			setup({}).createMachine({
				context: () => ({
					inner: {
						get trap() {
							throw new Error("no");
						},
					},
				}),
			}),
			{ inspect: inspector.inspect },
		);
		expect(() => actor.start()).not.toThrow();
		expect(inspector.log.text()).toContain("[unreadable: no]");
	});

	it("refuses charts in a log that are none", () => {
		const bad = [
			{ id: "a", states: [], edges: [] },
			{
				states: [
					{ path: "", name: "x", parent: "", entry: [], exit: [], invokes: [] },
				],
				edges: [],
			},
			null,
			{ states: "x" },
		];
		const lines = bad.map((chart, i) =>
			JSON.stringify({
				seq: i + 1,
				t: 0,
				type: "machine.defined",
				actor: "a",
				op: 0,
				data: { id: `m${i}`, chart },
			}),
		);
		const opened = session(
			`{"format":"xstate-inspection","version":1}\n${lines.join("\n")}\n`,
		);
		expect(opened.index.count).toBe(4);
		expect(opened.foreign.charts.size).toBe(0);
	});

	it("flattens state values", () => {
		expect(statePaths({ a: { b: {} }, c: "d" })).toEqual(["a.b", "c.d"]);
		expect(statePaths("x")).toEqual(["x"]);
		expect(statePaths(undefined)).toEqual([]);
	});

	it.skipIf(browserMissing !== undefined)(
		"is shown in the page, live, with its statechart lit",
		async () => {
			await buildPage();
			const inspector = createInspector({ name: "house" });
			const actor = createActor(room, { inspect: inspector.inspect });
			actor.start();
			const served = await inspector.open();
			const browser = await startBrowser();
			const { page, trouble } = await openPage(browser, served.url);
			expect(
				await page
					.getByRole("tab", { name: "Statechart" })
					.getAttribute("aria-selected"),
			).toBe("true");
			await page.getByLabel("Statechart of").selectOption({ label: "ceiling" });
			await settled(page);
			expect(
				await page.locator(".box.is-active").getAttribute("data-state"),
			).toBe("dark");
			actor.send({ type: "ENTER", who: "<b>me</b>" });
			await page.waitForFunction(
				() =>
					document
						.querySelector(".box.is-active")
						?.getAttribute("data-state") === "lit",
			);
			expect(await page.locator(".wire.is-last").count()).toBe(1);
			await picture(page, "foreign");
			await page.getByRole("tab", { name: "Topology" }).click();
			await settled(page);
			expect(await page.locator("#view").innerText()).toContain(
				"another actor system",
			);
			expect(trouble.errors).toEqual([]);
			await browser.close();
			await served.close();
		},
	);
});
