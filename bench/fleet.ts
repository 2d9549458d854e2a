/**
 * A large machine in one system: 10,000 devices in 3,000 groups on a store. Time to start, memory, and what recovery of its log costs; the
 * yardstick in the same run is plain data: the topology itself, parsed from JSON and held as objects.
 *
 *     node --expose-gc --import tsx bench/fleet.ts
 */
import { memoryStore } from "../src/log/memory-store.ts";
import { createIommuSystem } from "../src/orchestrator/create.ts";
import { runHeader } from "../src/orchestrator/core.ts";
import { MSI } from "../src/scenarios/setting.ts";
import type { Topology } from "../src/vocabulary/header.ts";
import { deviceId, groupId } from "../src/vocabulary/ids.ts";

const DEVICES = 10_000;
const GROUPS = 3000;

function fleet(): Topology {
	const groups = Array.from({ length: GROUPS }, (_, g) => ({
		group: groupId(g),
		driver: "vtd",
		members: [] as { dev: ReturnType<typeof deviceId>; resv: [typeof MSI] }[],
	}));
	for (let i = 0; i < DEVICES; i++) {
		const [bus, slot, fn] = [i >> 8, (i >> 3) & 31, i & 7];
		const hex = (n: number, width: number) =>
			n.toString(16).padStart(width, "0");
		const name = `0000:${hex(bus, 2)}:${hex(slot, 2)}.${fn}`;
		groups[i % GROUPS]!.members.push({ dev: deviceId(name), resv: [MSI] });
	}
	return { known: "complete", groups };
}

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
function memory(): { rss: number; heap: number } {
	collect();
	collect();
	const { rss, heapUsed } = process.memoryUsage();
	return { rss: rss / 2 ** 20, heap: heapUsed / 2 ** 20 };
}
const start = memory();
function line(
	what: string,
	[seconds, cpu]: readonly [number, number],
	records: number,
): void {
	const { rss, heap } = memory();
	console.log(
		what.padEnd(58),
		seconds.toFixed(2).padStart(8),
		cpu.toFixed(2).padStart(8),
		(heap - start.heap).toFixed(0).padStart(9),
		rss.toFixed(0).padStart(9),
		String(records).padStart(10),
	);
}
/** Wall clock and processor time: the second is fair on a machine that others use. */
async function timed<T>(
	body: () => Promise<T> | T,
): Promise<[T, readonly [number, number]]> {
	const from = performance.now();
	const used = process.cpuUsage();
	const result = await body();
	const { user, system } = process.cpuUsage(used);
	return [result, [(performance.now() - from) / 1000, (user + system) / 1e6]];
}

console.log(
	`${DEVICES} devices in ${GROUPS} groups (aim: started in under 10 s, under 500 MB)\n`,
);
console.log(
	"what".padEnd(58),
	"seconds".padStart(8),
	"cpu s".padStart(8),
	"heap MB".padStart(9),
	"RSS MB".padStart(9),
	"records".padStart(10),
);
const text = JSON.stringify(fleet());
const [topology, parsing] = await timed(() => JSON.parse(text) as Topology);
line("yardstick: the topology as plain objects", parsing, 0);

const store = memoryStore(runHeader(topology));
const [system, starting] = await timed(() => createIommuSystem({ store }));
line("started: booted, judged, in the log", starting, store.head.seq);

/** Virtual machines: each has a context, an address space and the devices of ten groups. */
const GROUPS_PER_VM = 10;
async function vm(groups: Topology["groups"]): Promise<void> {
	const ctx = await system.open();
	const ioas = await system.ioasAlloc({ ctx });
	await system.map({ ctx, ioas, ...ram });
	for (const { members } of groups)
		for (const { dev } of members) {
			await system.bind({ ctx, dev });
			await system.attach({ ctx, dev, pt: ioas });
		}
}
const ram = {
	iova: "0x0",
	length: "0x40000000",
	va: "0x7f0000000000",
	prot: 3,
};
const [, attaching] = await timed(async () => {
	const vms: Promise<void>[] = [];
	for (let g = 0; g < GROUPS; g += GROUPS_PER_VM)
		vms.push(vm(topology.groups.slice(g, g + GROUPS_PER_VM)));
	await Promise.all(vms);
});
line(
	`every device bound and attached, by ${GROUPS / GROUPS_PER_VM} VMs`,
	attaching,
	store.head.seq,
);
await system.dispose();

const [again, recovering] = await timed(() => createIommuSystem({ store }));
line(
	"recovered from that log, beside the first system",
	recovering,
	store.head.seq,
);
/** All of one size in a single address space: time per device should not depend on how many there are. */
for (const count of [1000, 4000]) {
	const devices = topology.groups
		.flatMap(({ members }) => members)
		.slice(0, count)
		.map(({ dev }) => dev);
	const one = await createIommuSystem({
		store: memoryStore(runHeader(topology)),
	});
	const ctx = await one.open();
	const pt = await one.ioasAlloc({ ctx });
	const [, taken] = await timed(async () => {
		for (const dev of devices) await one.bind({ ctx, dev });
		for (const dev of devices) await one.attach({ ctx, dev, pt });
		for (const dev of devices) await one.detach({ ctx, dev });
	});
	line(
		`${count} devices bound, attached, detached in one IOAS: ${((taken[1] / count) * 1000).toFixed(2)} ms each`,
		taken,
		0,
	);
	await one.dispose();
}
console.log(
	`\nThe log itself is in memory here (memoryStore). Recovery folded ${again.recovery.records} records.`,
);
