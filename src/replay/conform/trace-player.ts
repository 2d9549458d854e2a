/**
 * Plays the calls of a kernel recording against the model. Calls of several threads overlap: any order that respects what had
 * returned before what began is legal, so the player searches for one in which every answer is the model's (linearizability). A call with
 * an injected fault is judged by what follows: any failing step of the model that gives the recorded answer is tried.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { DeviceId } from "../../vocabulary/ids.ts";
import { deviceId } from "../../vocabulary/ids.ts";
import type { Reply } from "./call.ts";
import { type Difference, differences } from "./compare.ts";
import type { TraceCall } from "./trace-calls.ts";
import { traceCall } from "./trace-calls.ts";
import type { Checkpoint, TraceSession } from "./trace-session.ts";

/** What became of one call. */
export type TraceOutcome =
	| { readonly kind: "matched" }
	| { readonly kind: "skipped"; readonly reason: string }
	| ({ readonly kind: "mismatched" } & Difference);

/** Choice points kept for going back, and steps that one mismatch may cost. */
const CHOICES_MAX = 48;
const BACKTRACK_MAX = 3000;
/** Failable steps tried for an injected fault. */
const INJECT_MAX = 80;

/** Calls that are not answers of VFIO or iommufd, by name. */
const SKIPPED: { readonly [call: string]: string } = {
	EDU_DMA: "EDU_DMA: a DMA of the device, not an answer of VFIO or iommufd",
	EDU_DMA_READ: "EDU_DMA_READ: a DMA of the device, not an answer of VFIO or iommufd",
	SYSFS_WRITE: "SYSFS_WRITE: driver core and sysfs, not an answer of VFIO or iommufd",
};
const INJECTED = "call with an injected fault: followed, not compared";

const isInjected = (c: TraceCall): boolean => c.out["fault_injected"] === 1;

/** A way to perform a call: plainly, or with the k-th failable step failing. */
type Variant = number;
const PLAIN: Variant = 0;

interface Choice {
	readonly point: Checkpoint;
	readonly pending: readonly TraceCall[];
	readonly rest: readonly { readonly index: number; readonly variant: Variant }[];
	readonly done: number;
}

/** Plays one recording. */
export class TracePlayer {
	readonly #session: TraceSession;
	readonly #overrides = new Map<DeviceId, string>();
	readonly #bound = new Map<DeviceId, string>();

	constructor(session: TraceSession, drivers: ReadonlyMap<DeviceId, string>) {
		this.#session = session;
		for (const [dev, driver] of drivers) this.#bound.set(dev, driver);
	}

	/** Plays the calls in an order that fits; the outcome of each by line. */
	play(calls: readonly TraceCall[]): Map<number, TraceOutcome> {
		const outcomes = new Map<number, TraceOutcome>();
		let pending: readonly TraceCall[] = [...calls].sort((a, b) => a.t - b.t);
		let choices: Choice[] = [];
		let budget = BACKTRACK_MAX;
		let best: { left: number; choice: Choice } | undefined;
		while (pending.length > 0) {
			const step = this.#advance(pending, choices, outcomes);
			if (step !== undefined) {
				pending = step;
				if (best !== undefined && pending.length < best.left) {
					best = undefined;
					budget = BACKTRACK_MAX;
				}
				continue;
			}
			// Nothing fits here: go back to the last open choice, or give up at the farthest point.
			const here = { point: this.#session.checkpoint(), pending, rest: [], done: 0 };
			if (best === undefined || pending.length < best.left)
				best = { left: pending.length, choice: here };
			const back = budget-- > 0 ? retry(choices) : undefined;
			if (back !== undefined) {
				choices = back.choices;
				this.#session.restore(back.choice.point);
				const taken = this.#take(back.choice.pending, back.index, back.variant, outcomes);
				if (taken !== undefined) pending = taken;
				else pending = back.choice.pending;
				continue;
			}
			this.#session.restore(best.choice.point);
			pending = this.#giveUp(best.choice.pending, outcomes);
			choices = [];
			best = undefined;
			budget = BACKTRACK_MAX;
		}
		return outcomes;
	}

	/** Takes the next call that fits; the calls left, or undefined when none fits. */
	#advance(
		pending: readonly TraceCall[],
		choices: Choice[],
		outcomes: Map<number, TraceOutcome>,
	): readonly TraceCall[] | undefined {
		const options = this.#options(pending);
		const point = options.length > 1 ? this.#session.checkpoint() : undefined;
		for (const [i, o] of options.entries()) {
			if (i > 0 && point !== undefined) this.#session.restore(point);
			const left = this.#take(pending, o.index, o.variant, outcomes);
			if (left === undefined) continue;
			if (point !== undefined && i + 1 < options.length) {
				choices.push({ point, pending, rest: options.slice(i + 1), done: 0 });
				if (choices.length > CHOICES_MAX) choices.shift();
			}
			return left;
		}
		if (point !== undefined) this.#session.restore(point);
		return undefined;
	}

	/** Calls that may come next, earliest return first; several ways for one with an injected fault. */
	#options(pending: readonly TraceCall[]): { index: number; variant: Variant }[] {
		let firstEnd = Number.POSITIVE_INFINITY;
		const frontier: number[] = [];
		for (const [i, c] of pending.entries()) {
			if (c.t > firstEnd) break;
			frontier.push(i);
			if (c.tEnd < firstEnd) firstEnd = c.tEnd;
		}
		const open = frontier.filter((i) => (pending[i] as TraceCall).t <= firstEnd);
		open.sort((a, b) => (pending[a] as TraceCall).tEnd - (pending[b] as TraceCall).tEnd);
		return open.flatMap((index) =>
			isInjected(pending[index] as TraceCall)
				? this.#injections(pending[index] as TraceCall).map((variant) => ({ index, variant }))
				: [{ index, variant: PLAIN }],
		);
	}

	/** Which failing steps give the recorded answer. */
	#injections(c: TraceCall): Variant[] {
		const point = this.#session.checkpoint();
		const fits: Variant[] = [];
		for (let k = 0; k <= INJECT_MAX; k++) {
			const { reply, fired } = this.#perform(c, k);
			this.#session.restore(point);
			if (reply !== undefined && differenceOf(c, reply) === undefined) fits.push(k);
			if (k > 0 && !fired) break;
		}
		return fits.length > 0 ? fits : [PLAIN];
	}

	#perform(c: TraceCall, variant: Variant): { reply: Reply | undefined; fired: boolean } {
		let fired = false;
		if (variant > 0) {
			let left = variant;
			this.#session.fail = (step): ErrnoName | undefined => {
				if (--left !== 0) return undefined;
				fired = true;
				return step === "args.copy" || step === "resp" ? "EFAULT" : "ENOMEM";
			};
		}
		try {
			return { reply: traceCall(this.#session, c), fired };
		} finally {
			this.#session.fail = undefined;
		}
	}

	/** Performs one of the pending calls; the rest when its answer fits, undefined (state spoiled) when not. */
	#take(
		pending: readonly TraceCall[],
		index: number,
		variant: Variant,
		outcomes: Map<number, TraceOutcome>,
	): readonly TraceCall[] | undefined {
		const c = pending[index] as TraceCall;
		const left = index === 0 ? pending.slice(1) : pending.filter((_, i) => i !== index);
		if (c.call === "SYSFS_WRITE") this.#sysfs(c);
		const reason = SKIPPED[c.call];
		if (reason !== undefined) {
			outcomes.set(c.line, { kind: "skipped", reason });
			return left;
		}
		const { reply } = this.#perform(c, variant);
		if (reply === undefined || differenceOf(c, reply) !== undefined) return undefined;
		outcomes.set(
			c.line,
			isInjected(c) ? { kind: "skipped", reason: INJECTED } : { kind: "matched" },
		);
		return left;
	}

	/** No order fits: the call that returned first is the mismatch; go on from the model's state. */
	#giveUp(
		pending: readonly TraceCall[],
		outcomes: Map<number, TraceOutcome>,
	): readonly TraceCall[] {
		const index = this.#options(pending)[0]?.index ?? 0;
		const c = pending[index] as TraceCall;
		const expected = `${c.ret} ${c.errname} ${JSON.stringify(c.out)}`;
		try {
			const { reply } = this.#perform(c, PLAIN);
			const diff = reply === undefined ? undefined : differenceOf(c, reply);
			const unknown = { expected, actual: "the model does not know this call" };
			outcomes.set(c.line, { kind: "mismatched", ...(diff ?? unknown) });
		} catch (error) {
			const actual = `model failed: ${error instanceof Error ? error.message : error}`;
			outcomes.set(c.line, { kind: "mismatched", expected, actual });
		}
		return pending.filter((_, i) => i !== index);
	}

	/** Driver core events change who may own a group. */
	#sysfs(c: TraceCall): void {
		const path = String(c.args["path"]);
		const value = String(c.args["value"]).trim();
		if (c.ret < 0) return;
		const named = /\/devices\/([^/]+)\//.exec(path)?.[1];
		if (path.endsWith("/driver_override") && named !== undefined)
			this.#overrides.set(deviceId(named), value);
		else if (path.endsWith("/unbind")) this.#unbind(deviceId(value));
		else if (path.endsWith("/drivers_probe")) this.#probe(deviceId(value));
		else if (path.endsWith("/remove") && named !== undefined) {
			this.#unbind(deviceId(named));
			this.#session.unplug(deviceId(named));
		}
	}
	#unbind(dev: DeviceId): void {
		if (usesDmaApi(this.#bound.get(dev))) this.#session.kernelDriver(dev, -1);
		this.#bound.delete(dev);
	}
	#probe(dev: DeviceId): void {
		const driver = this.#overrides.get(dev);
		if (this.#bound.has(dev) || driver === undefined) return;
		this.#bound.set(dev, driver);
		if (usesDmaApi(driver)) this.#session.kernelDriver(dev, 1);
	}
}

/** Drivers that leave the DMA API alone (struct device_driver.driver_managed_dma). */
const MANAGED = new Set(["none", "vfio-pci", "pcieport", "pci-stub", "shpchp"]);
const usesDmaApi = (driver: string | undefined): boolean =>
	driver !== undefined && !MANAGED.has(driver);

/** The open choice that comes last, with one alternative taken from it. */
function retry(choices: readonly Choice[]):
	| { choices: Choice[]; choice: Choice; index: number; variant: Variant }
	| undefined {
	const rest = [...choices];
	for (;;) {
		const choice = rest.pop();
		if (choice === undefined) return undefined;
		const [next, ...later] = choice.rest;
		if (next === undefined) continue;
		if (later.length > 0) rest.push({ ...choice, rest: later });
		return { choices: rest, choice, ...next };
	}
}

/** Undefined when the model's answer is the recorded one. */
function differenceOf(c: TraceCall, reply: Reply): Difference | undefined {
	const record = {
		ret: c.ret,
		errno: c.errname === "" ? null : c.errname,
		in: {},
		out: c.out,
	};
	return differences(record, reply);
}
