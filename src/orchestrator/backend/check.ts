/**
 * The other side's conformance suite: what an agent must do, tried on a running one. Each check gets an agent of its own. Whether answers are
 * right is the model's word: a check that carries commands out is a live system with the agent as its backend.
 */
import { memoryStore } from "../../log/memory-store.ts";
import type { Topology } from "../../vocabulary/header.ts";
import { presentMembers } from "../../vocabulary/header.ts";
import type { CtxId, DeviceId } from "../../vocabulary/ids.ts";
import { runHeader } from "../core.ts";
import { createIommuSystem, type LiveSystem } from "../create.ts";
import { IommuError } from "../error.ts";
import type { Backend, BackendAnswer } from "./backend.ts";
import { BackendError } from "./backend.ts";

/** One check and how it went. */
export interface AgentCheck {
	readonly name: string;
	/** What the check is about, as a rule. */
	readonly rule: string;
	readonly outcome: "passed" | "failed" | "skipped";
	/** Why it failed or was skipped. */
	readonly why?: string;
}
/** What the suite found. */
export interface AgentReport {
	/** The name that the agent greets with. */
	readonly agent: string;
	readonly checks: readonly AgentCheck[];
	readonly failed: number;
}
/** What the agent stands before. */
export interface AgentSetting {
	/** Its devices and groups; checks that need some are skipped without. Nobody else may use them meanwhile. */
	readonly topology?: Topology;
	/** The bus name of an emulated VFIO device (mdev) before it; the check that needs one is skipped without. */
	readonly mdev?: string;
	/** Only the checks of these names. */
	readonly only?: readonly string[];
}

interface Bench {
	readonly open: () => Promise<Backend>;
	readonly topology: Topology | undefined;
	readonly mdev: string | undefined;
}
interface Check {
	readonly name: string;
	readonly rule: string;
	/** Devices that it needs. */
	readonly devices?: number;
	/** It needs an emulated device. */
	readonly emulated?: true;
	readonly run: (bench: Bench) => Promise<void>;
}

class Failed extends Error {}
function expect(holds: boolean, why: string): void {
	if (!holds) throw new Failed(why);
}
const text = (answer: BackendAnswer): string => JSON.stringify(answer);

/** Runs commands with the agent as backend; a divergence or a broken connection fails the check. */
async function asSystem(
	{ open, topology }: Bench,
	body: (system: LiveSystem, ctx: CtxId) => Promise<void>,
): Promise<void> {
	const backend = await open();
	const machine = topology ?? { known: "complete" as const, groups: [] };
	const store = memoryStore(runHeader(machine));
	const system = await createIommuSystem({ store, backend });
	try {
		await body(system, await system.open());
	} finally {
		await system.dispose();
		await backend.close();
	}
}
/** A call that must be refused with this errno, by the model and by the agent alike. */
async function refused(errno: string, call: Promise<unknown>): Promise<void> {
	const error = await call.then(
		() => undefined,
		(caught: unknown) => caught,
	);
	if (error instanceof IommuError && error.errno === errno) return;
	throw error instanceof Error
		? error
		: new Failed(`the call succeeded; expected ${errno}`);
}
const deviceOf = (topology: Topology | undefined): DeviceId =>
	presentMembers(topology!.groups[0]!)[0]!.dev;

const area = { iova: "0x1000000", length: "0x4000", va: "0x10000000", prot: 3 };

const CHECKS: readonly Check[] = [
	{
		name: "greeting",
		rule: "The agent answers the greeting with its name and the protocol's version.",
		run: async ({ open }) => {
			const backend = await open();
			await backend.close();
		},
	},
	{
		name: "unknown calls",
		rule: "A call that the agent does not know is answered with ENOTTY, and the connection lives on.",
		run: async ({ open }) => {
			const backend = await open();
			try {
				for (const id of [1, 2]) {
					const answer = await backend.execute({
						id,
						call: "IOMMU_NO_SUCH_CALL",
						args: {},
					});
					expect(
						answer.ret < 0 && answer.errname === "ENOTTY",
						`answered ${text(answer)}`,
					);
				}
			} finally {
				await backend.close();
			}
		},
	},
	{
		name: "repeated requests",
		rule: "A request whose id was answered before is answered the same, and not carried out again.",
		run: async ({ open }) => {
			const backend = await open();
			try {
				await backend.execute({
					id: 1,
					call: "OPEN_IOMMUFD",
					args: { iommufd: 1 },
				});
				const alloc = { call: "IOMMU_IOAS_ALLOC", args: { iommufd: 1 } };
				const first = await backend.execute({ id: 2, ...alloc });
				const again = await backend.execute({ id: 2, ...alloc });
				const next = await backend.execute({ id: 3, ...alloc });
				expect(
					first.out["ioas_id"] === again.out["ioas_id"],
					`request 2 made ${text(first)}, repeated ${text(again)}`,
				);
				expect(
					next.out["ioas_id"] === Number(first.out["ioas_id"]) + 1,
					`the IOAS after it is ${text(next)}: the repeated request made one, too`,
				);
			} finally {
				await backend.close();
			}
		},
	},
	{
		name: "recall",
		rule: "An agent that offers recall gives back the answers it gave, and says of other requests that it never saw them.",
		run: async ({ open }) => {
			const backend = await open();
			try {
				const opened = await backend.execute({
					id: 7,
					call: "OPEN_IOMMUFD",
					args: { iommufd: 1 },
				});
				const known = await backend.recall!(7).catch((error: unknown) => {
					if (error instanceof BackendError && error.code === "closed")
						throw new Skipped("the agent does not offer recall");
					throw error;
				});
				expect(
					known !== "never" && known.ret === opened.ret,
					`answered ${text(opened)}, recalled ${JSON.stringify(known)}`,
				);
				const other = await backend.recall!(8);
				expect(
					other === "never",
					`recalled ${JSON.stringify(other)} of a request it never saw`,
				);
			} finally {
				await backend.close();
			}
		},
	},
	{
		name: "address spaces",
		rule: "IOASes are made, mapped, unmapped and destroyed as in Linux 6.12, errnos included.",
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const ioas = await system.ioasAlloc({ ctx });
				await system.map({ ctx, ioas, ...area });
				await refused("EEXIST", system.map({ ctx, ioas, ...area }));
				await refused(
					"EINVAL",
					system.map({ ctx, ioas, ...area, iova: "0x2000000", length: "0x0" }),
				);
				await refused(
					"ENOENT",
					system.unmap({ ctx, ioas, iova: "0x1001000", length: "0x1000" }),
				);
				await system.unmap({ ctx, ioas, iova: "0x1000000", length: "0x4000" });
				await refused(
					"ENOENT",
					system.unmap({ ctx, ioas, iova: "0x1000000", length: "0x4000" }),
				);
				await system.destroy({ ctx, id: ioas });
				await refused("ENOENT", system.destroy({ ctx, id: ioas }));
				await refused("ENOENT", system.map({ ctx, ioas, ...area }));
			}),
	},
	{
		name: "object ids",
		rule: "The lowest free object id is handed out again.",
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const ids = [];
				for (let i = 0; i < 3; i++) ids.push(await system.ioasAlloc({ ctx }));
				await system.destroy({ ctx, id: ids[1]! });
				await system.ioasAlloc({ ctx });
				await system.ioasAlloc({ ctx });
			}),
	},
	{
		name: "contexts",
		rule: "Contexts are apart from one another, and closing one ends everything in it.",
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const second = await system.open();
				await system.ioasAlloc({ ctx });
				const ioas = await system.ioasAlloc({ ctx: second });
				await system.map({ ctx: second, ioas, ...area });
				await system.close({ ctx: second });
				await system.ioasAlloc({ ctx });
			}),
	},
	{
		name: "a device's life",
		rule: "A device is bound, attached, moved, detached and unbound as in Linux 6.12.",
		devices: 1,
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const dev = deviceOf(bench.topology);
				await system.bind({ ctx, dev });
				const a = await system.ioasAlloc({ ctx });
				const b = await system.ioasAlloc({ ctx });
				await system.map({ ctx, ioas: a, ...area });
				const auto = await system.attach({ ctx, dev, pt: a });
				await refused("EBUSY", system.destroy({ ctx, id: auto }));
				await refused("EBUSY", system.destroy({ ctx, id: a }));
				await system.iovaRanges({ ctx, ioas: a });
				await system.replace({ ctx, dev, pt: b });
				const manual = await system.hwptAlloc({ ctx, dev, pt: a });
				await system.replace({ ctx, dev, pt: manual });
				await refused("ENOENT", system.replace({ ctx, dev, pt: 99 }));
				await system.detach({ ctx, dev });
				await system.detach({ ctx, dev });
				await system.destroy({ ctx, id: manual });
				await system.unbind({ ctx, dev });
			}),
	},
	{
		name: "a group moves",
		rule: "With the first replace the whole group moves; the others are told that nothing is left to do.",
		devices: 2,
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const group = bench.topology!.groups.find(
					(one) => presentMembers(one).length > 1,
				)!;
				const members = presentMembers(group);
				for (const { dev } of members) await system.bind({ ctx, dev });
				const a = await system.ioasAlloc({ ctx });
				const b = await system.ioasAlloc({ ctx });
				for (const { dev } of members) await system.attach({ ctx, dev, pt: a });
				await system.moveGroup({ ctx, group: group.group, pt: b }).run();
				await system.evacuate({ ctx, dev: members[0]!.dev }).run();
			}),
	},
	{
		name: "an emulated device's life",
		rule: "An emulated device (mdev) is bound, attached to IOASes only, moved, detached and closed; while it is attached its IOAS stays.",
		emulated: true,
		run: (bench) =>
			asSystem(bench, async (system, ctx) => {
				const { mdev } = bench as { mdev: string };
				const access = await system.accessCreate({ ctx, mdev });
				const a = await system.ioasAlloc({ ctx });
				const b = await system.ioasAlloc({ ctx });
				await refused("ENOENT", system.accessAttach({ ctx, access, ioas: 99 }));
				await refused("EBUSY", system.destroy({ ctx, id: access }));
				await system.accessAttach({ ctx, access, ioas: a });
				await system.map({ ctx, ioas: a, ...area });
				await refused("EBUSY", system.destroy({ ctx, id: a }));
				await system.accessReplace({ ctx, access, ioas: b });
				await system.destroy({ ctx, id: a });
				await system.accessDetach({ ctx, access });
				await system.destroy({ ctx, id: b });
				const c = await system.ioasAlloc({ ctx });
				await system.accessAttach({ ctx, access, ioas: c });
				await system.accessDestroy({ ctx, access });
				await system.destroy({ ctx, id: c });
			}),
	},
];

class Skipped extends Error {}

/** The suite's checks, by name and rule. */
export const AGENT_RULES: readonly Pick<AgentCheck, "name" | "rule">[] =
	CHECKS.map(({ name, rule }) => ({ name, rule }));

function lacking(
	{ devices = 0, emulated }: Check,
	{ topology, mdev }: AgentSetting,
): string | undefined {
	if (emulated === true && mdev === undefined)
		return "needs the name of an emulated device (mdev)";
	const most = Math.max(
		0,
		...(topology?.groups ?? []).map((group) => presentMembers(group).length),
	);
	return most >= devices
		? undefined
		: `needs a group of ${devices} device${devices > 1 ? "s" : ""} in the topology`;
}

/**
 * Tries an agent: `open` starts a fresh one for each check. Never rejects for what the agent does.
 *
 * @example
 * ```ts
 * import { checkAgent, spawnAgent } from "iommu-ledger";
 *
 * const report = await checkAgent(() => spawnAgent(process.execPath, ["docs/agent.mjs"]));
 * console.log(report.agent, report.failed); // "example" 0
 * ```
 */
export async function checkAgent(
	open: () => Promise<Backend>,
	setting: AgentSetting = {},
): Promise<AgentReport> {
	const { topology, mdev, only } = setting;
	const checks: AgentCheck[] = [];
	let agent = "";
	const opening = async (): Promise<Backend> => {
		const backend = await open();
		agent = backend.name;
		return backend;
	};
	for (const check of CHECKS) {
		const { name, rule } = check;
		if (only?.includes(name) === false) continue;
		const why = lacking(check, setting);
		if (why !== undefined) {
			checks.push({ name, rule, outcome: "skipped", why });
			continue;
		}
		try {
			await check.run({ open: opening, topology, mdev });
			checks.push({ name, rule, outcome: "passed" });
		} catch (error) {
			const outcome = error instanceof Skipped ? "skipped" : "failed";
			checks.push({ name, rule, outcome, why: (error as Error).message });
		}
	}
	const failed = checks.filter(({ outcome }) => outcome === "failed").length;
	return { agent, checks, failed };
}
