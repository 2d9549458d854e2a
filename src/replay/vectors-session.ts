/**
 * One session of a golden vector: an edit that each line is run on. Every method computes the answer fields of the line from the model;
 * nothing is taken from the line but what the C harness was given too.
 */
import { hexOfFrame } from "../vocabulary/address.ts";
import { coreMap, coreUnmap, type CoreCall } from "../pagetable/core.ts";
import {
	newGather,
	putPagesList,
	syncGather,
	type Gather,
} from "../pagetable/gather.ts";
import type { Edit } from "../pagetable/edit.ts";
import { PageTableConfigError } from "../pagetable/policy.ts";
import { createEdit, lookup, settleConfig } from "../pagetable/table.ts";
import { configAnswer, requestOf } from "./vectors-config.ts";
import { countTables, dumpLeaves } from "./vectors-dump.ts";
import {
	VectorLineError,
	addressOf,
	countField,
	flagField,
	frameField,
	objectField,
	type VectorLine,
} from "./vectors-fields.ts";
import {
	printCoreCall,
	printEffect,
	type VectorJson,
} from "./vectors-print.ts";

/** The answer fields of one line as the model computes them. */
export type Answer = Record<string, VectorJson>;

/** Fields that were the input of the C code, per operation: all others are answers and are compared. */
export const INPUT_FIELDS: Readonly<Record<string, readonly string[]>> = {
	cfg: ["fmt", "req", "coherent", "quirks"],
	map: ["iova", "pa", "sz", "n", "prot", "allocFailAfter", "race"],
	unmap: ["iova", "sz", "n", "g", "allocFailAfter", "race"],
	cmap: ["iova", "pa", "size", "prot", "allocFailAfter"],
	cunmap: ["iova", "size", "allocFailAfter"],
	probe: [],
	dump: [],
	hwwrite: ["iova"],
	sweep: ["iova", "size", "noclear"],
	destroy: [],
};

/** Runs lines of one session after the other. */
export class VectorSession {
	#edit: Edit | null = null;
	/** Probes answered by a stray AMD replica, which the vectors declare not comparable. */
	strayProbes = 0;

	/** Memory outside the live tables was touched: what follows is not comparable. */
	get isPastHazard(): boolean {
		return this.#edit?.hazard ?? false;
	}

	/** Runs one line. Throws VectorLineError when it cannot be run. */
	run(line: VectorLine): Answer {
		switch (line.op) {
			case "cfg":
				return this.#configure(line);
			case "map":
			case "unmap":
				return this.#driverCall(line, this.#opened());
			case "cmap":
				return this.#coreMap(line, this.#opened());
			case "cunmap":
				return this.#coreUnmap(line, this.#opened());
			case "probe":
				return this.#probe(line, this.#opened());
			case "dump":
				return dump(this.#opened());
			case "hwwrite":
				return this.#hardwareWrite(line, this.#opened());
			case "sweep":
				return sweep(line, this.#opened());
			case "destroy":
				return this.#destroy(this.#opened());
			default:
				throw new VectorLineError(
					`op ${JSON.stringify(line.op)} is not one of ${Object.keys(INPUT_FIELDS).join(", ")}`,
				);
		}
	}

	#opened(): Edit {
		if (this.#edit === null)
			throw new VectorLineError(
				"no session is open: a cfg line must come first",
			);
		return this.#edit;
	}

	#configure(line: VectorLine): Answer {
		this.#edit = null;
		try {
			const edit = createEdit(settleConfig(requestOf(line)));
			this.#edit = edit;
			return { ...configAnswer(edit.config), ev: printEffects(edit) };
		} catch (error) {
			if (error instanceof PageTableConfigError) return refusal(line);
			throw error;
		}
	}

	#driverCall(line: VectorLine, edit: Edit): Answer {
		const call = driverCall(line);
		begin(edit, line);
		const race = line.race === undefined ? null : objectField(line, "race");
		if (race !== null) armRace(edit, race);
		const answer = call(edit);
		if (race !== null) {
			edit.disarmRace();
			answer.raceFired = edit.raceFired;
		}
		return finish(edit, answer);
	}

	#coreMap(line: VectorLine, edit: Edit): Answer {
		const iova = frameField(line, "iova");
		const pa = frameField(line, "pa");
		const size = frameField(line, "size");
		const prot = countField(line, "prot");
		begin(edit, line);
		const calls: CoreCall[] = [];
		const ret = coreMap(edit, iova, pa, size, prot, calls);
		return finish(edit, { ret, calls: calls.map(printCoreCall) });
	}

	#coreUnmap(line: VectorLine, edit: Edit): Answer {
		const iova = frameField(line, "iova");
		const size = frameField(line, "size");
		begin(edit, line);
		const calls: CoreCall[] = [];
		const ret = coreUnmap(edit, iova, size, newGather(), calls);
		return finish(edit, {
			ret: hexOfFrame(ret),
			calls: calls.map(printCoreCall),
		});
	}

	#probe(line: VectorLine, edit: Edit): Answer {
		if (!Array.isArray(line.q)) throw new VectorLineError("q is not a list");
		const q = line.q.map((pair: unknown): VectorJson => {
			if (!Array.isArray(pair)) throw new VectorLineError("q holds no pairs");
			const { frame, offset } = addressOf(pair[0], "q");
			const pa = lookup(edit, frame);
			if (pa === STRAY_REPLICA) {
				this.strayProbes++;
				return pair as VectorJson[];
			}
			return [pair[0] as string, pa < 0 ? "0x0" : hexOfFrame(pa, offset)];
		});
		return { q };
	}

	#destroy(edit: Edit): Answer {
		const freedBefore = edit.counts.freed;
		edit.effects = [];
		edit.config.driver.destroy(edit);
		this.#edit = null;
		return {
			freed: edit.counts.freed - freedBefore,
			leakedPages: edit.counts.livePages,
		};
	}

	#hardwareWrite(line: VectorLine, edit: Edit): Answer {
		const { frame } = addressOf(line.iova, "iova");
		return { res: edit.config.driver.hardwareWrite(edit, frame) };
	}
}

/** The allocator returned NULL. What the hardware offers (geo) was input; no page was allocated. */
const refusal = (line: VectorLine): Answer => ({
	ok: false,
	...(line.geo === undefined ? {} : { geo: line.geo as VectorJson }),
	...(line.ev === undefined ? {} : { ev: [] }),
});

/** What `lookup` answers when an AMD replica leads to a first slot that is a table pointer (VECTORS.md, defect 2). */
const STRAY_REPLICA = -2;

/** Tables of one session: 64 MiB of them in a kernel. A hostile line must not fill the memory. */
const TABLES_MAX = 16_384;

function begin(edit: Edit, line: VectorLine): void {
	edit.effects = [];
	const left = TABLES_MAX - (edit.counts.allocated - edit.counts.freed);
	edit.allocationsLeft =
		line.allocFailAfter === undefined
			? left
			: Math.min(left, countField(line, "allocFailAfter"));
}

function finish(edit: Edit, answer: Answer): Answer {
	if (edit.counts.allocated - edit.counts.freed >= TABLES_MAX)
		throw new VectorLineError(`more than ${TABLES_MAX} tables`);
	answer.ev = printEffects(edit);
	answer.live = edit.counts.livePages;
	if (edit.hazard) answer.hz = true;
	return answer;
}

const printEffects = (edit: Edit): VectorJson[] =>
	(edit.effects ?? []).map(printEffect);

/** A map or unmap line, checked, ready to run: the outer call or the one inside a race. */
function driverCall(line: VectorLine): (edit: Edit) => Answer {
	const iova = frameField(line, "iova");
	const size = frameField(line, "sz");
	const count = countField(line, "n");
	if (line.op === "map") {
		const pa = frameField(line, "pa");
		const prot = countField(line, "prot");
		return (edit) => {
			const ret = edit.config.driver.map(edit, iova, pa, size, count, prot);
			return { ret, mapped: hexOfFrame(edit.mapped) };
		};
	}
	if (line.op !== "unmap")
		throw new VectorLineError(`${JSON.stringify(line.op)} is no driver call`);
	const gather = gatherOf(line);
	return (edit) => {
		// Only the VT-d glue hands the gather of a direct call to the driver; on Arm the harness's add_page hook just records.
		const inert = edit.config.format !== "vtd";
		const own = gather === null ? null : { ...gather, freelist: [], inert };
		const ret = edit.config.driver.unmap(edit, iova, size, count, own);
		if (own !== null) settleGather(edit, own);
		return { ret: hexOfFrame(ret) };
	};
}

function gatherOf(line: VectorLine): Gather | null {
	if (line.g === "null") return null;
	if (line.g === "strict" || line.g === "queued")
		return newGather(line.g === "queued");
	throw new VectorLineError(
		`g is ${JSON.stringify(line.g)}; expected strict, queued or null`,
	);
}

/** The harness flushes after a strict VT-d unmap and frees the list after a deferred one; the other drivers keep no list. */
function settleGather(edit: Edit, gather: Gather): void {
	if (edit.config.format !== "vtd") return;
	if (!gather.queued) {
		syncGather(edit, gather);
		return;
	}
	edit.effects?.push(["FQ", gather.freelist.length]);
	putPagesList(edit, gather.freelist);
}

function armRace(edit: Edit, race: VectorLine): void {
	const inner = driverCall(race);
	const at = race.at;
	if (at !== "cmpxchg" && at !== "read")
		throw new VectorLineError(`race at ${JSON.stringify(at)} is not known`);
	edit.armRace({
		at,
		k: countField(race, "k"),
		run: (raced) => {
			raced.effects?.push(["RB"]);
			raced.mapped = 0;
			const { ret } = inner(raced);
			const value = typeof ret === "number" ? ret : addressOf(ret, "ret").frame;
			const mapped = race.op === "map" ? raced.mapped : 0;
			raced.effects?.push(["RE", value, mapped]);
		},
	});
}

function dump(edit: Edit): Answer {
	const answer: Answer = {
		leaves: dumpLeaves(edit),
		...countTables(edit),
		live: edit.counts.livePages,
	};
	if (edit.config.format === "amd_v1") answer.mode = edit.mode;
	return answer;
}

function sweep(line: VectorLine, edit: Edit): Answer {
	const iova = frameField(line, "iova");
	const size = frameField(line, "size");
	edit.effects = [];
	const runs: [number, number][] = [];
	const ret = edit.config.driver.sweep(
		edit,
		iova,
		size,
		flagField(line, "noclear"),
		(at, length) => {
			const previous = runs[runs.length - 1];
			if (previous !== undefined && previous[0] + previous[1] === at)
				previous[1] += length;
			else runs.push([at, length]);
		},
	);
	const rec = runs.map(([at, length]) => [hexOfFrame(at), hexOfFrame(length)]);
	return { ret, rec, ev: printEffects(edit) };
}
