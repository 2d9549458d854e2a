/**
 * What a command costs: attach, replace, detach in a three-device group and map, unmap, with every record written to memory, beside the yardstick in
 * the same run: a bare XState `actor.send` to a machine of the same size (the attach statechart, walked with DONE).
 *
 *     npx tsx bench/orchestrator.ts
 *
 * Fixed counts, warm-up, rounds interleaved with the yardstick, minimum and median; results are consumed.
 */
import { createActor } from "xstate";
import { attach as attachMachine } from "../machines/attach.ts";
import { toXState } from "../machines/define.ts";
import type { EngineName } from "../src/orchestrator/engine.ts";
import { createIommuSystem } from "../src/orchestrator/create.ts";
import type { IommuSystem } from "../src/orchestrator/system.ts";
import { DEVICES, threeInOneGroup } from "../src/scenarios/setting.ts";

const ROUNDS = 9;
const CYCLES = 200;
const DEVS = Object.values(DEVICES);

interface Timing {
	readonly times: number[];
	n: number;
}
const timings = new Map<string, Timing>();
let consumed = 0;

function time(name: string, n: number, body: () => number): void {
	const start = process.hrtime.bigint();
	consumed += body();
	const nanoseconds = Number(process.hrtime.bigint() - start);
	const timing = timings.get(name) ?? { times: [], n };
	timing.times.push(nanoseconds / n);
	timings.set(name, timing);
}

/** Bare sends: the attach statechart, BEGIN and then DONE for each step of a second device's attach. */
function yardstick(): void {
	const actor = createActor(toXState(attachMachine), { input: undefined });
	actor.start();
	const begin = {
		type: "BEGIN",
		dev: "device:a",
		ctx: "ctx:1",
		group: "group:1",
		pasid: "none",
		to: {
			hwpt: "ctx:1/hwpt:1@1",
			dom: "domain:1",
			ioas: "ctx:1/ioas:2@1",
			auto: false,
			fault: false,
		},
	};
	const done = {
		type: "DONE",
		value: { hwpt: null, list: ["device:b"], msi: null, conflict: false },
	};
	const sends = 40_000;
	time("bare XState send", sends, () => {
		for (let i = 0; i < sends; i += 7) {
			actor.send(begin);
			for (let k = 1; k < 7; k++) actor.send(done);
		}
		return (actor.getSnapshot().context as { refused: number }).refused;
	});
}

interface Ready {
	readonly system: IommuSystem;
	readonly ctx: `ctx:${number}`;
	readonly ioas: number;
	readonly h1: number;
	readonly h2: number;
}
function ready(engine: EngineName): Ready {
	const system = createIommuSystem({ topology: threeInOneGroup(), engine });
	const ctx = system.open();
	for (const dev of DEVS) system.bind({ ctx, dev });
	const ioas = system.ioasAlloc({ ctx });
	const other = system.ioasAlloc({ ctx });
	const dev = DEVS[0]!;
	return {
		system,
		ctx,
		ioas,
		h1: system.hwptAlloc({ ctx, dev, pt: ioas }),
		h2: system.hwptAlloc({ ctx, dev, pt: other }),
	};
}

/** One round: all devices attached, each replaced there and back, all detached; then maps and unmaps. */
function round(engine: EngineName): void {
	const { system, ctx, ioas, h1, h2 } = ready(engine);
	const before = system.records.length;
	const count = () => system.records.length - before;
	const spans = { attach: 0n, replace: 0n, noop: 0n, detach: 0n };
	const timed = (kind: keyof typeof spans, body: () => void): void => {
		const start = process.hrtime.bigint();
		body();
		spans[kind] += process.hrtime.bigint() - start;
	};
	for (let i = 0; i < CYCLES; i++) {
		timed("attach", () =>
			DEVS.forEach((dev) => system.attach({ ctx, dev, pt: h1 })),
		);
		timed("replace", () => void system.replace({ ctx, dev: DEVS[0]!, pt: h2 }));
		timed("noop", () =>
			DEVS.slice(1).forEach((dev) => system.replace({ ctx, dev, pt: h2 })),
		);
		timed("detach", () => DEVS.forEach((dev) => system.detach({ ctx, dev })));
	}
	const note = (kind: keyof typeof spans, n: number): void => {
		const name = `${kind} (${engine})`;
		const timing = timings.get(name) ?? { times: [], n };
		timing.times.push(Number(spans[kind]) / n);
		timings.set(name, timing);
	};
	note("attach", CYCLES * 3);
	note("replace", CYCLES);
	note("noop", CYCLES * 2);
	note("detach", CYCLES * 3);
	time(`map + unmap (${engine})`, CYCLES * 2, () => {
		for (let i = 0; i < CYCLES; i++) {
			const iova = `0x${(0x10_0000 + i * 0x1000).toString(16)}`;
			system.map({
				ctx,
				ioas,
				iova,
				length: "0x1000",
				va: "0x400000",
				prot: 3,
			});
			system.unmap({ ctx, ioas, iova, length: "0x1000" });
		}
		return count();
	});
}

for (let warm = 0; warm < 3; warm++) {
	yardstick();
	round("xstate");
	round("mixed");
	round("compiled");
}
timings.clear();
for (let i = 0; i < ROUNDS; i++) {
	yardstick();
	round("xstate");
	round("mixed");
	round("compiled");
}
const median = (list: readonly number[]): number =>
	[...list].sort((a, b) => a - b)[list.length >> 1]!;
const send = median(timings.get("bare XState send")!.times);
console.log(
	"what                          median µs     min µs       per s   bare sends",
);
for (const [name, { times }] of timings) {
	const mid = median(times);
	const cells = [
		(mid / 1e3).toFixed(2),
		(Math.min(...times) / 1e3).toFixed(2),
		Math.round(1e9 / mid).toString(),
		(mid / send).toFixed(1),
	];
	console.log(name.padEnd(28), ...cells.map((cell) => cell.padStart(11)));
}
console.log(
	`(attach: mean of a group's first, second and third device; replace: the call that moves three devices; checksum ${consumed})`,
);
