/**
 * One recorded program against the model: the host, its memory, its open files. Files are numbered as the kernel does, lowest free
 * first; a context lives while its file is open or an access, a bound device or a fault file holds it (facts §1.1).
 */
import type { CtxId } from "../../vocabulary/ids.ts";
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Json } from "../../vocabulary/fields.ts";
import type { Fact } from "../../vocabulary/records.ts";
import { fact } from "../../vocabulary/records.ts";
import type { Exec } from "../../../machines/ops/exec.ts";
import { perform } from "../../../machines/ops/exec.ts";
import { destroyAccess } from "../../../machines/ops/access.ts";
import { closeContext } from "../../../machines/ops/destroy.ts";
import { closeFaultFile } from "../../../machines/ops/fault.ts";
import type {
	Answer,
	Caller,
	Host,
	OpEnv,
} from "../../../machines/ops/types.ts";
import { bootFacts } from "../../drivers/host.ts";
import { PERSONALITIES } from "../../drivers/personalities.ts";
import { UserMemory } from "./memory.ts";

/** What an open file is. */
export type OpenFile =
	| { readonly kind: "iommufd"; readonly ctx: CtxId }
	| {
			readonly kind: "access" | "fault";
			readonly ctx: CtxId;
			readonly obj: number;
	  };

/** Who listens to the facts of a session: log, judge. */
export type FactSink = (facts: readonly Fact[]) => void;

/** A point in a session that one can go back to. Memory is not part of it: no call changes it. */
export interface SessionPoint {
	readonly host: Host;
	readonly files: ReadonlyMap<number, OpenFile>;
	readonly closing: readonly CtxId[];
	readonly opened: number;
}

/** Everything a player keeps. */
export class Session {
	host: Host;
	readonly memory: UserMemory;
	readonly files = new Map<number, OpenFile>();
	caller: Caller = {
		proc: 0,
		uid: 0,
		ipcLock: true,
		sysResource: true,
		rawIo: true,
	};
	/** RLIMIT_MEMLOCK in pages; undefined = unlimited. */
	memlockPages: number | undefined;
	/** Fault injection for sweeps. */
	fail: ((step: string) => ErrnoName | undefined) | undefined;
	/** Which failable step of the call `fail` strikes, for records; 0 = none. */
	failNth = 0;
	/** Name of the call that is played, for records. */
	operation = "";
	/** Lowest free object ids that calls on other threads hold at this moment. */
	heldIds = 0;
	/** Contexts whose file is closed but held by others. */
	protected readonly closing = new Set<CtxId>();
	readonly #listener: FactSink;
	/** Facts of an attempt that may be taken back. */
	#held: (readonly Fact[])[] | undefined;
	protected opened = 0;
	#firstFd: number | undefined;

	constructor(
		host: Host,
		sink: FactSink = () => undefined,
		memory: UserMemory = new UserMemory(),
	) {
		this.memory = memory;
		this.host = host;
		this.#listener = sink;
		sink(bootFacts(host));
	}

	#sink(facts: readonly Fact[]): void {
		if (this.#held === undefined) this.#listener(facts);
		else this.#held.push(facts);
	}
	/** Tries something: what it did is told only when it is kept, and taken back otherwise. */
	attempt<T>(body: () => T, keep: (result: T) => boolean): T {
		const before = this.checkpoint();
		const told: (readonly Fact[])[] = [];
		this.#held = told;
		let kept = false;
		try {
			const result = body();
			kept = keep(result);
			return result;
		} finally {
			this.#held = undefined;
			if (kept) for (const facts of told) this.#listener(facts);
			else this.restore(before);
		}
	}

	/** What operations ask of the outside, for calls of process `proc`. */
	env(proc: number): OpEnv {
		return {
			caller: { ...this.caller, proc },
			drivers: PERSONALITIES,
			noIommu: true,
			heldIds: this.heldIds,
			pin: (mm, va, n, write) => this.memory.pin(mm, va, n, write),
			limit: () => this.memlockPages,
			touch: (p, va, length, write) => this.memory.touch(p, va, length, write),
			...(this.fail === undefined ? {} : { fail: this.fail }),
		};
	}

	/** Runs one operation; `args` as its records show them. */
	run<A extends Answer>(
		ctx: CtxId,
		proc: number,
		body: (x: Exec) => A,
		args: { readonly [name: string]: Json } = {},
	): A {
		let answer: A | undefined;
		const outcome = perform(this.host, ctx, this.env(proc), (x) => {
			answer = body(x);
			return answer;
		});
		this.host = outcome.host;
		this.#sink([
			fact("op.begin", ctx, {
				op: this.operation,
				args: this.failNth === 0 ? args : { ...args, fail_nth: this.failNth },
			}),
			...outcome.facts,
			outcome.errno === undefined || outcome.settled === true
				? fact("op.commit", ctx, {})
				: fact("op.fail", ctx, {
						errno: outcome.errno,
						step: outcome.step ?? "",
					}),
		]);
		return answer as A;
	}

	/** The lowest free file number; what the program had open before its first /dev/iommu stays below. */
	#lowestFd(): number {
		let fd = this.#firstFd ?? 3;
		while (this.files.has(fd)) fd++;
		return fd;
	}
	/** Opens a file; its number. */
	openFile(file: OpenFile): number {
		const fd = this.#lowestFd();
		this.files.set(fd, file);
		return fd;
	}
	/** Tells the listener what happened outside of any operation. */
	protected tell(facts: readonly Fact[]): void {
		this.#sink(facts);
	}

	/** The next context's name. */
	nameContext(): CtxId {
		this.opened += 1;
		return `ctx:${this.opened}`;
	}
	/** Opens /dev/iommu; the number of the file. `recorded`: what the first open of the recording got. */
	openIommufd(recorded?: number): number {
		this.#firstFd ??= recorded;
		const ctx = this.nameContext();
		const fresh = {
			name: ctx,
			objs: new Map(),
			gens: new Map(),
			groups: new Map(),
			noIommu: false,
			acct: "USER" as const,
		};
		this.host = { ...this.host, ctxs: new Map(this.host.ctxs).set(ctx, fresh) };
		this.#sink([fact("ctx.opened", ctx, { ctx, kind: "iommufd" })]);
		return this.openFile({ kind: "iommufd", ctx });
	}

	/** Where the session stands. */
	checkpoint(): SessionPoint {
		return {
			host: this.host,
			files: new Map(this.files),
			closing: [...this.closing],
			opened: this.opened,
		};
	}
	/** Goes back. */
	restore(point: SessionPoint): void {
		this.host = point.host;
		this.files.clear();
		for (const [fd, file] of point.files) this.files.set(fd, file);
		this.closing.clear();
		for (const ctx of point.closing) this.closing.add(ctx);
		this.opened = point.opened;
	}

	/** Closes a file; false when it is not open. */
	close(fd: number, proc: number): boolean {
		const file = this.files.get(fd);
		if (file === undefined) return false;
		this.files.delete(fd);
		if (file.kind === "iommufd") this.closing.add(file.ctx);
		else
			this.run(file.ctx, proc, (x): Answer => {
				if (file.kind === "access") destroyAccess(x, file.obj);
				else closeFaultFile(x, file.obj);
				return {};
			});
		this.release(file.ctx, proc);
		return true;
	}

	/** Ends a context whose file is closed once nothing holds it any more. */
	release(ctx: CtxId, proc: number): void {
		if (!this.closing.has(ctx)) return;
		for (const file of this.files.values()) if (file.ctx === ctx) return;
		const held = [...(this.host.ctxs.get(ctx)?.objs.values() ?? [])];
		if (held.some((o) => o.type === "idev" && !isMock(this.host, o.dev)))
			return;
		this.closing.delete(ctx);
		this.run(ctx, proc, (x): Answer => {
			const leaked = closeContext(x);
			if (leaked.length > 0)
				throw new Error(
					`${ctx}: objects ${leaked.join(", ")} are left at close`,
				);
			return {};
		});
	}
}

/** Mock devices do not hold the context's file (facts §1.6). */
const isMock = (host: Host, dev: Parameters<Host["devs"]["get"]>[0]): boolean =>
	host.devs.get(dev)?.driver === "mock";
