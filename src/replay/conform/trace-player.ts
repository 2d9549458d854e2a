/**
 * Plays the calls of a kernel recording against the model. Calls of several threads overlap; every order that respects what had
 * returned before what began is legal, so the player searches for one in which every answer is the model's (linearizability). A call with
 * an injected fault is judged by what follows; every failing step of the model that gives the recorded answer is tried.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { DeviceId } from "../../vocabulary/ids.ts";
import { deviceId } from "../../vocabulary/ids.ts";
import type { Reply } from "./call.ts";
import { type Difference, differences } from "./compare.ts";
import type { TraceCall } from "./trace-call.ts";
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
const SKIPPED: ReadonlyMap<string, string> = new Map(
	Object.entries({
		EDU_DMA: "EDU_DMA: a DMA of the device, not an answer of VFIO or iommufd",
		EDU_DMA_READ:
			"EDU_DMA_READ: a DMA of the device, not an answer of VFIO or iommufd",
		SYSFS_WRITE:
			"SYSFS_WRITE: driver core and sysfs, not an answer of VFIO or iommufd",
	}),
);
const INJECTED = "call with an injected fault: followed, not compared";

/** Calls that make an object, and calls that hold an id for a while. */
const TAKES_IDS = new Set([
	"VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	"IOMMU_HWPT_ALLOC",
	"IOMMU_IOAS_ALLOC",
	"VFIO_DEVICE_BIND_IOMMUFD",
]);
const HOLDS_IDS = new Set([
	...TAKES_IDS,
	"VFIO_DEVICE_DETACH_IOMMUFD_PT",
	"IOMMU_DESTROY",
]);
/** How far in the list overlapping calls are looked for. */
const OVERLAP_WINDOW = 200;

const isInjected = (c: TraceCall): boolean => c.out["fault_injected"] === 1;

/**
 * A way to perform a call: plainly (0), with the k-th failable step failing (k > 0), or while overlapping calls hold the lowest -k free
 * object ids (k < 0): a refused or replaced automatic hwpt takes and gives back its id inside such a call.
 */
type Variant = number;
const PLAIN: Variant = 0;
const HELD_IDS_MAX = 3;

/** What is left: everything from `head` on that is not in `taken` (ascending). */
interface Pending {
	readonly head: number;
	readonly taken: readonly number[];
}
interface Option {
	readonly index: number;
	readonly variant: Variant;
}
interface Choice {
	readonly point: Checkpoint;
	readonly pending: Pending;
	readonly rest: readonly Option[];
}

/** What is left after one more call is taken. */
function without(pending: Pending, index: number): Pending {
	const taken = [...pending.taken, index].sort((a, b) => a - b);
	let { head } = pending;
	let gone = 0;
	while (taken[gone] === head) {
		head++;
		gone++;
	}
	return { head, taken: taken.slice(gone) };
}
const progress = (p: Pending): number => p.head + p.taken.length;

/** Plays one recording. */
export class TracePlayer {
	readonly #session: TraceSession;
	readonly #overrides = new Map<DeviceId, string>();
	readonly #bound = new Map<DeviceId, string>();
	readonly #outcomes = new Map<number, TraceOutcome>();
	#calls: readonly TraceCall[] = [];
	/** The order and way that was found; entry i was taken when i calls had been. */
	readonly #path: Option[] = [];

	constructor(session: TraceSession, drivers: ReadonlyMap<DeviceId, string>) {
		this.#session = session;
		for (const [dev, driver] of drivers) this.#bound.set(dev, driver);
	}

	/**
	 * Performs on this player's session what `found` has settled on: the same order, no search. For listeners of facts, and for whoever wants to
	 * try each call (but those with a recorded fault) before it is made for good.
	 */
	retrace(
		found: TracePlayer,
		before?: (c: TraceCall, perform: () => Reply | undefined) => void,
	): void {
		this.#calls = found.#calls;
		for (const option of found.#path) {
			const c = this.#call(option.index);
			if (c.call === "SYSFS_WRITE") this.#sysfs(c);
			if (SKIPPED.has(c.call)) continue;
			if (option.variant <= PLAIN)
				before?.(c, () => traceCall(this.#session, c));
			this.#perform(c, option.variant);
		}
	}

	/** Plays the calls in an order that fits; the outcome of each by line. */
	play(calls: readonly TraceCall[]): Map<number, TraceOutcome> {
		this.#calls = [...calls].sort((a, b) => a.t - b.t);
		this.#outcomes.clear();
		let pending: Pending = { head: 0, taken: [] };
		let choices: Choice[] = [];
		let budget = BACKTRACK_MAX;
		let best:
			| {
					readonly point: Checkpoint;
					readonly pending: Pending;
					/** What led there: the search goes on to overwrite it. */
					readonly path: readonly Option[];
			  }
			| undefined;
		while (pending.head < this.#calls.length) {
			const next = this.#advance(pending, choices);
			if (next !== undefined) {
				pending = next;
				if (best !== undefined && progress(pending) > progress(best.pending)) {
					best = undefined;
					budget = BACKTRACK_MAX;
				}
				continue;
			}
			// Nothing fits here: go back to the last open choice, or give up at the farthest point.
			if (best === undefined || progress(pending) > progress(best.pending))
				best = {
					point: this.#session.checkpoint(),
					pending,
					path: this.#path.slice(0, progress(pending)),
				};
			const back = budget-- > 0 ? retry(choices) : undefined;
			if (back !== undefined) {
				choices = back.choices;
				this.#session.restore(back.choice.point);
				pending =
					this.#take(back.choice.pending, back.option) ?? back.choice.pending;
				continue;
			}
			this.#session.restore(best.point);
			this.#path.splice(0, this.#path.length, ...best.path);
			pending = this.#giveUp(best.pending);
			choices = [];
			best = undefined;
			budget = BACKTRACK_MAX;
		}
		return this.#outcomes;
	}

	/** Takes the next call that fits; the calls left, or undefined when none fits. */
	#advance(pending: Pending, choices: Choice[]): Pending | undefined {
		const options = this.#options(pending);
		const point = options.length > 1 ? this.#session.checkpoint() : undefined;
		for (const [i, option] of options.entries()) {
			if (i > 0 && point !== undefined) this.#session.restore(point);
			const left = this.#take(pending, option);
			if (left === undefined) continue;
			if (point !== undefined && i + 1 < options.length) {
				choices.push({ point, pending, rest: options.slice(i + 1) });
				if (choices.length > CHOICES_MAX) choices.shift();
			}
			return left;
		}
		if (point !== undefined) this.#session.restore(point);
		return undefined;
	}

	#call(index: number): TraceCall {
		return this.#calls[index] as TraceCall;
	}

	/** Calls that may come next, earliest return first; then other ways of performing them. */
	#options(pending: Pending): Option[] {
		let firstEnd = Number.POSITIVE_INFINITY;
		const frontier: number[] = [];
		for (let i = pending.head; i < this.#calls.length; i++) {
			if (pending.taken.includes(i)) continue;
			const c = this.#call(i);
			if (c.t > firstEnd) break;
			frontier.push(i);
			if (c.tEnd < firstEnd) firstEnd = c.tEnd;
		}
		const open = frontier.filter((i) => this.#call(i).t <= firstEnd);
		open.sort((a, b) => this.#call(a).tEnd - this.#call(b).tEnd);
		const plain = open.flatMap((index) =>
			isInjected(this.#call(index))
				? this.#injections(this.#call(index)).map((variant) => ({
						index,
						variant,
					}))
				: [{ index, variant: PLAIN }],
		);
		return [...plain, ...open.flatMap((index) => this.#whileIdsHeld(index))];
	}

	/** Ways of a call that makes an object while calls that overlap it hold ids. */
	#whileIdsHeld(index: number): Option[] {
		const c = this.#call(index);
		if (!TAKES_IDS.has(c.call) || c.ret < 0) return [];
		let overlapping = 0;
		for (
			let i = Math.max(0, index - OVERLAP_WINDOW);
			i < index + OVERLAP_WINDOW;
			i++
		) {
			const o = this.#calls[i];
			if (o === undefined || i === index || !HOLDS_IDS.has(o.call)) continue;
			if (o.t <= c.tEnd && o.tEnd >= c.t) overlapping++;
		}
		const held = Math.min(overlapping, HELD_IDS_MAX);
		return Array.from({ length: held }, (_, k) => ({
			index,
			variant: -(k + 1),
		}));
	}

	/** Which failing steps give the recorded answer. */
	#injections(c: TraceCall): Variant[] {
		const point = this.#session.checkpoint();
		const fits: Variant[] = [];
		for (let k = 0; k <= INJECT_MAX; k++) {
			const { reply, fired } = this.#perform(c, k);
			this.#session.restore(point);
			if (reply !== undefined && differenceOf(c, reply) === undefined)
				fits.push(k);
			if (k > 0 && !fired) break;
		}
		return fits.length > 0 ? fits : [PLAIN];
	}

	#perform(
		c: TraceCall,
		variant: Variant,
	): { reply: Reply | undefined; fired: boolean } {
		let fired = false;
		this.#session.heldIds = variant < 0 ? -variant : 0;
		if (variant > 0) {
			let left = variant;
			this.#session.fail = (step): ErrnoName | undefined => {
				if (--left !== 0) return undefined;
				fired = true;
				return step === "args.copy" || step === "resp" ? "EFAULT" : "ENOMEM";
			};
		}
		this.#session.operation = c.call;
		try {
			return { reply: traceCall(this.#session, c), fired };
		} finally {
			this.#session.fail = undefined;
			this.#session.heldIds = 0;
		}
	}

	/** Performs one of the pending calls; the rest when its answer fits, undefined (state spoiled) when not. */
	#take(pending: Pending, option: Option): Pending | undefined {
		const c = this.#call(option.index);
		const left = without(pending, option.index);
		this.#path.length = progress(pending);
		this.#path.push(option);
		if (c.call === "SYSFS_WRITE") this.#sysfs(c);
		const reason = SKIPPED.get(c.call);
		if (reason !== undefined) {
			this.#outcomes.set(c.line, { kind: "skipped", reason });
			return left;
		}
		const { reply } = this.#perform(c, option.variant);
		if (reply === undefined || differenceOf(c, reply) !== undefined)
			return undefined;
		this.#outcomes.set(
			c.line,
			isInjected(c)
				? { kind: "skipped", reason: INJECTED }
				: { kind: "matched" },
		);
		return left;
	}

	/** No order fits: the call that returned first is the mismatch; go on from the model's state. */
	#giveUp(pending: Pending): Pending {
		const index = this.#options(pending)[0]?.index ?? pending.head;
		const c = this.#call(index);
		this.#path.length = progress(pending);
		this.#path.push({ index, variant: PLAIN });
		const expected = `${c.ret} ${c.errname} ${JSON.stringify(c.out)}`;
		try {
			const { reply } = this.#perform(c, PLAIN);
			const diff = reply === undefined ? undefined : differenceOf(c, reply);
			const unknown = { expected, actual: "the model does not know this call" };
			this.#outcomes.set(c.line, { kind: "mismatched", ...(diff ?? unknown) });
		} catch (error) {
			const actual = `model failed: ${error instanceof Error ? error.message : error}`;
			this.#outcomes.set(c.line, { kind: "mismatched", expected, actual });
		}
		return without(pending, index);
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
function retry(
	choices: readonly Choice[],
): { choices: Choice[]; choice: Choice; option: Option } | undefined {
	const rest = [...choices];
	for (;;) {
		const choice = rest.pop();
		if (choice === undefined) return undefined;
		const [option, ...later] = choice.rest;
		if (option === undefined) continue;
		if (later.length > 0) rest.push({ ...choice, rest: later });
		return { choices: rest, choice, option };
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
