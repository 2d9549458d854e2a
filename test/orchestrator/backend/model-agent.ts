/** An agent for tests: a system in memory behind the JSON-lines protocol, in this process. What it does not know how to read is ENOTTY. */
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { ERRNO } from "../../../src/vocabulary/errno.ts";
import { createIommuSystem } from "../../../src/orchestrator/create.ts";
import { expectedAnswer } from "../../../src/orchestrator/backend/calls.ts";
import type { Command, OpName } from "../../../src/orchestrator/commands.ts";
import type { Backend } from "../../../src/orchestrator/backend/backend.ts";
import { streamAgent } from "../../../src/orchestrator/backend/lines.ts";
import type { Topology } from "../../../src/vocabulary/header.ts";

type Args = { readonly [name: string]: number };
const on = (a: Args) => ({
	ctx: `ctx:${a["iommufd"]}`,
	dev: `device:${a["dev"]}`,
});

const READ: {
	readonly [call: string]: (
		a: Args,
		byIdev: ReadonlyMap<number, string>,
	) => readonly [OpName, object];
} = {
	OPEN_IOMMUFD: () => ["open", {}],
	CLOSE_IOMMUFD: (a) => ["close", { ctx: `ctx:${a["iommufd"]}` }],
	VFIO_DEVICE_BIND_IOMMUFD: (a) => ["bind", on(a)],
	CLOSE_CDEV: (a) => ["unbind", on(a)],
	VFIO_DEVICE_ATTACH_IOMMUFD_PT: (a) => [
		"attach",
		{ ...on(a), pt: a["pt_id"] },
	],
	VFIO_DEVICE_DETACH_IOMMUFD_PT: (a) => ["detach", on(a)],
	IOMMU_IOAS_ALLOC: (a) => ["ioasAlloc", { ctx: `ctx:${a["iommufd"]}` }],
	IOMMU_DESTROY: (a) => [
		"destroy",
		{ ctx: `ctx:${a["iommufd"]}`, id: a["id"] },
	],
	IOMMU_HWPT_ALLOC: (a, byIdev) => [
		"hwptAlloc",
		{
			ctx: `ctx:${a["iommufd"]}`,
			dev: byIdev.get(a["dev_id"]!) ?? "device:none",
			pt: a["pt_id"],
			flags: a["flags"],
		},
	],
	IOMMU_IOAS_MAP: (a) => [
		"map",
		{
			ctx: `ctx:${a["iommufd"]}`,
			ioas: a["ioas_id"],
			iova: a["iova"],
			length: a["length"],
			va: a["user_va"],
			prot: ((a["flags"]! & 4) >> 2) | (a["flags"]! & 2),
		},
	],
	IOMMU_IOAS_UNMAP: (a) => [
		"unmap",
		{
			ctx: `ctx:${a["iommufd"]}`,
			ioas: a["ioas_id"],
			iova: a["iova"],
			length: a["length"],
		},
	],
	IOMMU_IOAS_IOVA_RANGES: (a) => [
		"iovaRanges",
		{ ctx: `ctx:${a["iommufd"]}`, ioas: a["ioas_id"] },
	],
};
/** What VFIO makes of a call on an emulated device (names that begin with mdev), by whether it is attached. */
class Emulated {
	readonly #bound = new Map<string, { access: number; attached: boolean }>();

	read(
		call: string,
		{ iommufd, dev, pt_id: ioas }: Args,
	): readonly [OpName, object] | undefined {
		const name = String(dev);
		if (!name.startsWith("mdev")) return undefined;
		const ctx = `ctx:${iommufd}`;
		const { access = 0, attached = false } = this.#bound.get(name) ?? {};
		switch (call) {
			case "VFIO_DEVICE_BIND_IOMMUFD":
				return ["accessCreate", { ctx, mdev: name }];
			case "VFIO_DEVICE_ATTACH_IOMMUFD_PT":
				return [
					attached ? "accessReplace" : "accessAttach",
					{ ctx, access, ioas },
				];
			case "VFIO_DEVICE_DETACH_IOMMUFD_PT":
				return ["accessDetach", { ctx, access }];
			default:
				return ["accessDestroy", { ctx, access }];
		}
	}
	done(op: OpName, { mdev, access }: Given, value: { access?: number }): void {
		if (op === "accessCreate" && mdev !== undefined)
			this.#bound.set(mdev, { access: value.access ?? 0, attached: false });
		for (const one of this.#bound.values())
			if (one.access === access)
				one.attached = op === "accessAttach" || op === "accessReplace";
	}
}
interface Given {
	readonly dev?: string;
	readonly mdev?: string;
	readonly access?: number;
}

/** Starts one; the backend that talks to it. */
export function modelAgent(topology: Topology): Promise<Backend> {
	const toAgent = new PassThrough();
	const fromAgent = new PassThrough();
	void serve(toAgent, fromAgent, topology);
	return streamAgent(fromAgent, toAgent);
}

async function serve(
	input: PassThrough,
	output: PassThrough,
	topology: Topology,
): Promise<void> {
	const system = createIommuSystem({ topology, engine: "compiled" });
	const byIdev = new Map<number, string>();
	const emulated = new Emulated();
	const answers = new Map<number, object>();
	const say = (message: object) => output.write(`${JSON.stringify(message)}\n`);
	for await (const line of createInterface({ input })) {
		const { hello, id, call, args } = JSON.parse(line);
		if (hello !== undefined) {
			say({ hello: "model", protocol: 1, recall: true });
			continue;
		}
		if (call === "RECALL") {
			const answer = answers.get(id);
			const out =
				answer === undefined ? { known: false } : { known: true, answer };
			say({ id, ret: 0, errno: 0, errname: "", out });
			continue;
		}
		let answer = answers.get(id);
		if (answer === undefined) {
			const read = emulated.read(call, args) ?? READ[call]?.(args, byIdev);
			if (read === undefined)
				answer = { ret: -1, errno: ERRNO.ENOTTY, errname: "ENOTTY", out: {} };
			else {
				const [op, given] = read;
				const command = { op, args: given } as unknown as Command;
				const done = system.dispatch(command);
				answer = expectedAnswer(op, done);
				const { value = {} } = done as {
					value?: { idev?: number; access?: number };
				};
				if (value.idev !== undefined)
					byIdev.set(value.idev, (given as { dev: string }).dev);
				if (done.ok) emulated.done(op, given as Given, value);
			}
			answers.set(id, answer);
		}
		say({ id, ...answer });
	}
}
