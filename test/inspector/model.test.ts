/** The parts of the page that need no page, on logs of the live system and of a real kernel. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { eachNode } from "../../machines/define.ts";
import { exportLog } from "../../src/inspector/export/export.ts";
import {
	machineOf,
	machineOfOperation,
} from "../../src/inspector/model/machines.ts";
import { sequenceOf } from "../../src/inspector/model/sequence.ts";
import { topologyOf } from "../../src/inspector/model/topology.ts";
import { layoutTopology } from "../../src/inspector/model/topology-layout.ts";
import { recordsByState } from "../../src/inspector/model/step-records.ts";
import { TransactionTracker } from "../../src/inspector/model/transaction-state.ts";
import { Session } from "../../src/inspector/worker/session.ts";
import {
	SNAPSHOTS_MAX,
	WorldTrack,
} from "../../src/inspector/worker/world-track.ts";
import { liveRecords } from "../../src/inspector/live-records.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";
import { decodeLine } from "../../src/log/record-line.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { fold } from "../../src/world/apply.ts";
import { generatedLog } from "./generate.ts";
import { DEVICES, scenarioOne } from "./scenario-log.ts";

const SHIPPED = join(import.meta.dirname, "../../logs");
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const RECORDING = gunzipSync(
	readFileSync(join(import.meta.dirname, "fixtures/f2_attach.ndjson.gz")),
).toString();

function opened(text: string): Session {
	const session = new Session(async () => undefined);
	session.push(bytes(text));
	session.finish();
	while (session.work());
	session.track.finish();
	return session;
}

const naive = opened(scenarioOne("posted-v2"));
const merged = opened(scenarioOne("group-owned"));
const last = (session: Session): number => session.index.count - 1;

/** An answer of a call, as the type that a test reads; calls may answer later, these do at once. */
const answer = <T>(value: unknown): T => value as T;

describe("the world at a cursor", () => {
	it("is that of a fold from the start, wherever one jumps from", () => {
		const text = generatedLog({ records: 6000, seed: 3 });
		const session = opened(text);
		const lines = text.trimEnd().split("\n");
		const header = JSON.parse(lines[0] as string) as LogHeader;
		const records = lines.slice(1).map((line, i) => decodeLine(line, i + 2));
		expect(session.track.unreadable).toBe(0);
		for (const at of [5999, 100, 3000, 3001, 2999, -1, 4096, 511, 512]) {
			const world = session.track.worldNow(at);
			expect(topologyOf(world as never)).toEqual(
				topologyOf(fold(header, records.slice(0, at + 1))),
			);
		}
	});

	it("keeps a bounded number of snapshots", () => {
		const session = opened(
			generatedLog({ records: 512 * (SNAPSHOTS_MAX + 40) }),
		);
		expect(session.track.folded).toBe(session.index.count);
		expect(session.track.worldNow(40_000)?.seq).toBe(40_001);
	});

	it("counts what it cannot fold and goes on", () => {
		const text = scenarioOne("group-owned").replace(
			'"type":"ioas.created"',
			'"type":"ioas.invented"',
		);
		const session = opened(text);
		expect(session.track.unreadable).toBe(1);
		expect(session.track.firstUnreadable).toMatch(/ioas\.invented/);
		expect(session.summary().folded).toBe(session.index.count);
	});

	it("makes no world of a log that is not one", () => {
		const session = opened(
			'{"format":"other"}\n{"seq":1,"t":1,"type":"x","actor":"a","op":0,"data":{}}\n',
		);
		expect(new WorldTrack(session.index).worldNow(0)).toBeUndefined();
	});
});

describe("a running system as a live log", () => {
	it("holds what the system wrote, from before and from now on", () => {
		const dev = deviceId("0000:10:00.0");
		const system = createIommuSystem({
			topology: {
				known: "complete",
				groups: [
					{ group: groupId(1), driver: "vtd", members: [{ dev, resv: [] }] },
				],
			},
		});
		const live = liveRecords("vm", system.header);
		for (const record of system.records) live.append(record);
		system.records$.subscribe(live.append);
		const ctx = system.open();
		system.bind({ ctx, dev });
		const session = opened(live.log.text());
		expect(session.index.count).toBe(system.records.length);
		expect(session.track.unreadable).toBe(0);
		const place = session.calls.chart({ at: last(session), actor: dev });
		expect(place).toMatchObject({ machine: "device", states: ["Bound"] });
	});
});

describe("topology of call 1.d (facts §3.5)", () => {
	it("naive: two devices' hardware moved, their books did not", () => {
		const topology = topologyOf(naive.track.worldNow(last(naive)) as never);
		const group = topology.groups.find((g) => g.id === "group:7");
		expect(
			group?.devices.map((d) => [
				d.id,
				d.hardware === d.books,
				d.hazards.map((h) => h.severity),
			]),
		).toEqual([
			[DEVICES[0], true, []],
			[DEVICES[1], false, ["error"]],
			[DEVICES[2], false, ["error"]],
		]);
		const links = layoutTopology(topology).links.filter((l) => l.isWrong);
		expect(links.map((l) => [l.kind, l.from]).sort()).toEqual(
			[1, 2]
				.flatMap((i) => ["books", "hardware"].map((kind) => [kind, DEVICES[i]]))
				.sort(),
		);
	});

	it("merged: books and hardware agree", () => {
		const topology = topologyOf(merged.track.worldNow(last(merged)) as never);
		const devices = topology.groups.flatMap((g) => g.devices);
		expect(devices.flatMap((d) => d.hazards)).toEqual([]);
		expect(new Set(devices.slice(0, 3).map((d) => d.hwpt)).size).toBe(1);
	});

	it("a sibling that is not attached and translates all the same is a warning", () => {
		const at = merged.spans.span(merged.spans.name.indexOf("attach")).end;
		const group = topologyOf(merged.track.worldNow(at) as never).groups.find(
			(g) => g.id === "group:7",
		);
		expect(group?.devices.map((d) => d.hazards.map((h) => h.severity))).toEqual(
			[[], ["warning"], ["warning"]],
		);
	});
});

describe("two logs side by side", () => {
	it("stand in the same operation, whatever they took for it", () => {
		for (let at = 0; at < naive.index.count; at += 7) {
			const place = naive.calls.placeOf({ at }) as never;
			const there = merged.calls.positionOfPlace(place) as number;
			const span = naive.calls.operationAt({ at }) as
				| { name: string }
				| undefined;
			const other = merged.calls.operationAt({ at: there }) as
				| { name: string }
				| undefined;
			expect(other?.name).toBe(span?.name);
		}
		const end = naive.calls.placeOf({ at: last(naive) }) as never;
		expect(merged.calls.positionOfPlace(end)).toBe(last(merged));
	});
});

describe("topology of a recording with context entries", () => {
	const session = opened(RECORDING);
	const device = (seq: number) =>
		topologyOf(session.track.worldNow(session.index.positionOf(seq)) as never)
			.groups.flatMap((group) => group.devices)
			.find(({ id }) => id === "device:0000:00:08.0");

	it("goes by the entry that is live before attach_dev has returned, and says that no tag stands behind it", () => {
		expect(device(41)).toMatchObject({ hardware: "domain:1", hazards: [] });
		const racing = device(48);
		expect(racing).toMatchObject({
			books: "domain:1",
			hardware: "domain:3",
			isEarly: true,
		});
		expect(racing?.hazards.map(({ text }) => text)).toEqual([
			"books domain:1 ≠ hardware domain:3",
			"entry live at seq 42, attach not done",
			"domain:3 has no cache tag: no flush",
		]);
		expect(device(58)?.hazards.map(({ text }) => text)).toEqual([
			"books domain:1 ≠ hardware domain:3",
			"entry live at seq 42, attach not done",
		]);
		expect(device(64)).toMatchObject({
			books: "domain:3",
			hardware: "domain:3",
			isEarly: false,
			hazards: [],
		});
	});
});

describe("states in statecharts", () => {
	it("are states of the definitions, for every actor at every record", () => {
		const paths = new Map<string, Set<string>>();
		for (const session of [naive, merged, opened(RECORDING)])
			for (const actor of session.index.actors.names)
				for (let at = 0; at < session.index.count; at++) {
					const place = session.calls.chart({ at, actor }) as
						| { machine: string; states: string[] }
						| undefined;
					if (place === undefined) continue;
					let known = paths.get(place.machine);
					if (known === undefined) {
						known = new Set();
						eachNode(machineOf(place.machine)?.config as never, (path) =>
							(known as Set<string>).add(path),
						);
						paths.set(place.machine, known);
					}
					for (const path of place.states) expect(known).toContain(path);
				}
		expect([...paths.keys()].sort()).toEqual([
			"device",
			"domain",
			"hwpt",
			"ioas",
			"iommu-group",
		]);
	});

	it("follow a device through its life", () => {
		const device = "device:0000:10:00.0";
		const seen: string[] = [];
		for (let at = 0; at < merged.index.count; at++) {
			const place = merged.calls.chart({ at, actor: device }) as
				| { states: string[] }
				| undefined;
			if (place !== undefined && seen.at(-1) !== place.states[0])
				seen.push(place.states[0] as string);
		}
		expect(seen).toEqual(["Unbound", "Bound", "Attached"]);
	});

	it("follow a replace step by step, and one that fails through its unwinding", () => {
		const tracker = new TransactionTracker(
			machineOfOperation("replace", "group-owned") as never,
			"group-owned",
		);
		const rec = (type: string, undo = false) => ({ type, undo });
		const steps = [
			rec("op.begin"),
			rec("resv.added"),
			rec("resv.added"),
			rec("hw.attach"),
			rec("ig.hwpt.set"),
			rec("obj.ref+"),
			rec("obj.ref-"),
			rec("obj.ref-"),
			rec("dev.replaced"),
			rec("op.commit"),
		];
		expect(tracker.follow(steps).map(({ state }) => state)).toEqual([
			"Locking",
			"Reserving",
			"Reserving",
			"Switching",
			"SettingHwpt",
			"CountingNew",
			"CountingOld",
			"PuttingOld",
			"Reporting",
			"Committed",
		]);
		const failing = [
			rec("op.begin"),
			rec("resv.added"),
			rec("hw.attach"),
			rec("hw.attach", true),
			rec("resv.dropped", true),
			rec("op.fail"),
		];
		const states = tracker.follow(failing).map(({ state }) => state);
		expect(states.slice(-2)).toEqual([
			"unwinding.DroppingReservations",
			"Failed",
		]);
	});

	it("follow the second device's replace as posted, which leaves the old reservations without unwinding anything", () => {
		const text = readFileSync(
			join(SHIPPED, "scenarios/replace-1.posted-v2.ndjson"),
			"utf8",
		);
		const session = opened(text);
		const states: string[] = [];
		for (let seq = 115; seq <= 124; seq++) {
			const at = session.index.positionOf(seq);
			const place = answer<{ states: string[] }>(session.calls.chart({ at }));
			states.push(place.states[0] as string);
		}
		expect(states).toEqual([
			"Locking",
			"Reserving",
			"RemovingFromOld",
			"DroppingOldReservations",
			"CountingOld",
			"Pointing",
			"CountingNew",
			"Adding",
			"Reporting",
			"Committed",
		]);
	});

	it("explain every shipped run: what commits never unwinds, what fails ends in Failed, and no step's record stands elsewhere", () => {
		const folder = join(SHIPPED, "scenarios");
		let followed = 0;
		for (const file of readdirSync(folder)) {
			if (!file.endsWith(".ndjson")) continue;
			const session = opened(readFileSync(join(folder, file), "utf8"));
			const { index, spans } = session;
			const switches = index.header?.["switches"] as { flow: Flow };
			const { flow } = switches;
			for (let number = 0; number < spans.begin.length; number++) {
				const span = spans.span(number);
				const machine = machineOfOperation(span.name, flow);
				if (machine === undefined) continue;
				const records = recordsByState(machine, flow);
				const known = new Set([...records.values()].flat());
				followed++;
				for (let at = span.begin; at <= span.end; at++) {
					const place = answer<{ states: string[] }>(
						session.calls.chart({ at }),
					);
					const state = place.states[0] as string;
					const { type, text } = session.row(at);
					const sign = text.includes('"delta":-') ? "-" : "+";
					const step = type === "obj.ref" ? type + sign : type;
					const where = `${file} seq ${index.seq[at]} ${type}: ${state}`;
					if (span.outcome === "commit")
						expect(state.startsWith("unwinding"), where).toBe(false);
					if (known.has(step))
						expect(records.get(state), where).toContain(step);
					if (type === "op.fail") expect(state, where).toBe("Failed");
				}
			}
		}
		expect(followed).toBeGreaterThan(300);
	});

	it("stand in the running attach when the record is an unmap's that races with it", () => {
		const session = opened(RECORDING);
		const at = session.index.positionOf(48);
		expect(session.row(at).type).toBe("dom.unmap");
		const place = answer<{ subject: string; states: string[]; note: string }>(
			session.calls.chart({ at }),
		);
		expect(place).toMatchObject({
			subject: "operation 39: attach",
			states: ["Switching"],
		});
		expect(place.note).toContain("of another");
	});

	it("know the machines of each flow", () => {
		expect(machineOfOperation("replace", "posted-v2")?.id).not.toBe(
			machineOfOperation("replace", "device-forced")?.id,
		);
		expect(machineOfOperation("hwptAlloc", "group-owned")?.id).toBe(
			"hwpt-alloc-ioctl",
		);
		expect(machineOfOperation("frobnicate", "group-owned")).toBeUndefined();
	});
});

describe("the IOTLB over time", () => {
	const session = opened(RECORDING);

	it("has the window of the race: opened by the unmap, called flushed, closed by the real invalidation", () => {
		const { windows } = answer<{
			windows: { from: number; to: number; claimedAt: number }[];
		}>(session.calls.staleWindows({ from: 0, to: session.index.count }));
		expect(windows).toHaveLength(3);
		const claimed = windows.filter((w) => w.claimedAt >= 0);
		expect(claimed.map((w) => session.index.seq[w.from])).toEqual([48]);
		const types = claimed.map((w) => session.row(w.to).type);
		expect(types).toEqual(["inv.completed"]);
	});

	it("finds the violation and the neighbours of a record", () => {
		const marks = session.calls.marks({}) as Uint32Array;
		expect([...marks].map((at) => session.index.seq[at])).toEqual([49]);
		expect(
			session.calls.neighbour({ at: 0, direction: 1, what: "violation" }),
		).toBe(48);
		expect(
			session.calls.neighbour({ at: 48, direction: 1, what: "violation" }),
		).toBe(-1);
		expect(
			session.calls.neighbour({ at: 169, direction: -1, what: "operation" }),
		).toBe(167);
	});
});

describe("sequence, CSV and Perfetto", () => {
	it("draws each record of an operation once, between the actors it names", () => {
		const number = merged.spans.name.indexOf("replace");
		const { op } = merged.spans.span(number);
		const operation = answer<{ rows: never[] }>(merged.calls.operation({ op }));
		const { lifelines, messages } = sequenceOf(operation.rows);
		expect(messages).toHaveLength(operation.rows.length);
		const words = messages.map(
			(m) => `${lifelines[m.from]} → ${lifelines[m.to]}: ${m.text}`,
		);
		expect(words[0]).toBe("caller → ctx:1: replace 0000:10:00.0");
		expect(words.at(-1)).toBe("ctx:1 → caller: ok");
		for (const dev of DEVICES)
			expect(words).toContain(`${dev} → domain:5: hw.attach`);
	});

	it("writes Mermaid of one operation", async () => {
		const { op } = merged.spans.span(merged.spans.name.indexOf("replace"));
		const text = await exportLog(bytes(scenarioOne("group-owned")), "mermaid", {
			op,
		});
		expect(text).toMatch(/^sequenceDiagram\n\tparticipant p0 as caller\n/);
		expect(
			text
				.split("\n")
				.filter((l) => /^\tp\d+(?:->>|-->>|--x)p\d+: \d+ /.test(l)),
		).toHaveLength(18);
		await expect(
			exportLog(bytes(RECORDING), "mermaid", { op: 999 }),
		).rejects.toThrow(RangeError);
	});

	it("writes CSV that a reader gives back, and no formula", async () => {
		const evil = generatedLog({ records: 300, nameSuffix: ',"x"' }).replaceAll(
			'"actor":"ctx:1"',
			'"actor":"=1+1"',
		);
		const text = await exportLog(bytes(evil), "csv", {
			query: "type:op.begin",
		});
		const rows = text.trimEnd().split("\r\n");
		expect(rows[0]).toBe("seq,t_ns,type,actor,op,data");
		expect(rows.length - 1).toBe(evil.split('"type":"op.begin"').length - 1);
		expect(rows.filter((row) => /,=/.test(row))).toEqual([]);
		expect(
			rows.some((row) => row.includes('"device:0000:01:00.0,""x"""')),
		).toBe(true);
	});

	it("writes a trace whose async events pair, with counters", async () => {
		const trace = JSON.parse(await exportLog(bytes(RECORDING), "perfetto")) as {
			traceEvents: {
				ph: string;
				id?: number;
				ts?: number;
				name: string;
				args: Record<string, unknown>;
			}[];
		};
		const of = (ph: string) => trace.traceEvents.filter((e) => e.ph === ph);
		expect(of("b").map((e) => e.id)).toEqual(of("e").map((e) => e.id));
		expect(of("b")).toHaveLength(17);
		expect(of("i")).toHaveLength(170);
		expect(of("C").length).toBeGreaterThan(0);
		expect(of("C").every((e) => (e.args["bytes"] as number) >= 0)).toBe(true);
	});

	it("lists what changed between two records", async () => {
		const number = naive.spans.name.indexOf("replace");
		const { begin } = naive.spans.span(number);
		const found = (await naive.calls.diff({
			from: begin - 1,
			to: last(naive),
		})) as { actor: string; what: string; before: string; after: string }[];
		expect(found).toContainEqual({
			actor: "group:7",
			what: "current domain (books)",
			before: "domain:4",
			after: "domain:5",
		});
		expect(
			found.filter((d) => d.what === "hazard").map((d) => d.actor),
		).toEqual([DEVICES[1], DEVICES[2]]);
		expect(await naive.calls.diff({ from: 5, to: 5 })).toEqual([]);
	});
});
