/**
 * A page-table scenario with its names resolved to numbers and every variable given a place in the state vector (bytes).
 *
 * Levels as in facts pagetable-semantics.md §2: an entry of level 1 is a page; the root holds entries of level `levels`; an entry
 * of a level above 1 may be a leaf (a block) or point to a table of the level below. Page n of the scenario is the n-th page
 * under the root.
 */
import type { Personality, Scenario, Step } from "./scenario-schema.ts";
import { ScenarioError } from "./scenario-error.ts";

/** Value bytes: what a slot or a register holds. Leaves are LEAF + 2·target + dirty. */
export const EMPTY = 0;
export const TABLE = 1;
export const LEAF = 32;
export const GARBAGE = 255;
/** Largest number of tables (the root is table 0) and of pages (bits of a mask). */
export const MAX_TABLES = 16;
export const MAX_PAGES = 30;

/**
 * Life of a table page (facts §4). `flushed`: unlinked, and a walk-cache invalidation that covers it has completed since.
 */
export const STATUS = {
	private: 0,
	linked: 1,
	unlinked: 2,
	flushed: 3,
	freed: 4,
	recycled: 5,
} as const;

export interface Table {
	readonly name: string;
	/** Level of its entries. */
	readonly level: number;
	/** Number of entries. */
	readonly size: number;
	/** Where its entries stand in the state. */
	readonly slots: number;
	readonly status: number;
	/** Readers that were inside when it was unlinked (mask by thread). */
	readonly readers: number;
	/** Threads (mask) that free tables and whose own walk-cache invalidation has completed since the unlink without covering it. */
	readonly missed: number;
	/** Initial content. */
	readonly holds: readonly number[];
}

/** A thread's variables in the state. */
export interface ThreadModel {
	readonly name: string;
	readonly steps: readonly Step[];
	readonly pc: number;
	readonly result: number;
	/** Depth of reader sections. */
	readonly reader: number;
	/** Readers this thread's grace period still waits for. */
	readonly grace: number;
	/** 4 bytes each: pages of an open operation. */
	readonly open: number;
	readonly registers: ReadonlyMap<string, number>;
}

export interface Model {
	readonly scenario: Scenario;
	readonly personality: Personality;
	readonly levels: number;
	readonly fanout: number;
	readonly rootSlots: number;
	readonly pages: number;
	readonly targets: readonly string[];
	readonly tables: readonly Table[];
	readonly threads: readonly ThreadModel[];
	readonly locks: ReadonlyMap<string, number>;
	readonly vars: ReadonlyMap<string, number>;
	/** 0 while devices do DMA, 1 while they are stopped. */
	readonly dma: number;
	/** Pages written since they were last reported / collected by a sweep and not reported yet (4 bytes each). */
	readonly wrote: number;
	readonly collected: number;
	/** Where the next free byte of the state is; caches and invalidations come after. */
	readonly end: number;
}

/** Pages under entry `prefix` of level `level`, as a mask. */
export function cover(model: Model, level: number, prefix: number): number {
	const width = model.fanout ** (level - 1);
	return ((1 << width) - 1) << (prefix * width);
}

/** Number of entries of a level in the whole address space. */
export const entriesAt = (model: Model, level: number): number =>
	model.rootSlots * model.fanout ** (model.levels - level);

/** Reads a 32-bit mask at a byte offset. */
export const mask32 = (s: Uint8Array, at: number): number =>
	(s[at] as number) |
	((s[at + 1] as number) << 8) |
	((s[at + 2] as number) << 16) |
	((s[at + 3] as number) << 24);

/** Writes a 32-bit mask. */
export function setMask32(s: Uint8Array, at: number, mask: number): void {
	s[at] = mask & 255;
	s[at + 1] = (mask >>> 8) & 255;
	s[at + 2] = (mask >>> 16) & 255;
	s[at + 3] = (mask >>> 24) & 255;
}

/** Mask of a list of pages; throws ScenarioError for a page that does not exist. */
export function pageMask(
	model: Pick<Model, "pages" | "scenario">,
	pages: "all" | readonly (number | string)[],
	path?: readonly (string | number)[],
): number {
	if (pages === "all") return (1 << model.pages) - 1;
	let mask = 0;
	for (const text of pages) {
		const page = Number(text);
		if (!(page < model.pages))
			throw new ScenarioError(
				`page ${page} does not exist; the geometry has pages 0 to ${model.pages - 1}`,
				path,
			);
		mask |= 1 << page;
	}
	return mask;
}

const isOn = (
	step: Step,
	switches: Readonly<Record<string, boolean>>,
	path: readonly (string | number)[],
) => {
	if (step.when === undefined) return true;
	const off = step.when.startsWith("!");
	const name = off ? step.when.slice(1) : step.when;
	if (!Object.hasOwn(switches, name))
		throw new ScenarioError(`no switch ${name} (named by "when")`, path);
	return switches[name] !== off;
};

/** Replaces `#` in every text of a step by the instance's number. */
const instantiate = (step: Step, instance: number): Step =>
	JSON.parse(JSON.stringify(step).replaceAll("#", String(instance))) as Step;

function registersOf(steps: readonly Step[]): string[] {
	const names = new Set<string>();
	for (const step of steps) {
		if (step.verb === "read") names.add(step.args.into);
		if (step.verb === "let") names.add(step.args.register);
		if (step.verb === "swap") names.add(step.args.saw);
		if (step.verb === "cas" && step.args.saw !== undefined)
			names.add(step.args.saw);
	}
	return [...names];
}

/** Resolves a scenario. Throws ScenarioError when names or sizes do not fit. */
export function buildModel(scenario: Scenario): Model {
	const { levels, slots: rootSlots, fanout } = scenario.geometry;
	const fail = (text: string, ...path: (string | number)[]): never => {
		throw new ScenarioError(text, path);
	};
	const pages = rootSlots * fanout ** (levels - 1);
	if (pages > MAX_PAGES)
		fail(`${pages} pages; the explorer takes at most ${MAX_PAGES}`, "geometry");
	const names = ["root", ...Object.keys(scenario.tables)];
	if (names.length > MAX_TABLES)
		fail(`more than ${MAX_TABLES - 1} tables`, "tables");
	let at = 0;
	const take = (n: number): number => {
		at += n;
		return at - n;
	};
	const used = usesOf(scenario);
	// Four bytes that stay zero stand for every variable that nothing in this scenario writes.
	const zero = take(4);
	const tables = names.map((name, number): Table => {
		const spec = scenario.tables[name];
		const level = number === 0 ? levels : (spec?.level ?? 1);
		if (number > 0 && level >= levels)
			fail(
				`table ${name}: level ${level} is not below the root's ${levels}`,
				"tables",
				name,
				"level",
			);
		const size = number === 0 ? rootSlots : fanout;
		const holds = number === 0 ? scenario.root : (spec?.holds ?? {});
		const { all = "empty", ...some } = holds;
		const path = number === 0 ? ["root"] : ["tables", name, "holds"];
		const everywhere = valueOf(scenario, names, all, [...path, "all"]);
		const words = Array.from({ length: size }, () => everywhere);
		for (const [key, text] of Object.entries(some)) {
			const value = valueOf(scenario, names, text, [...path, key]);
			if (/^\d+$/.test(key) && Number(key) < size) words[Number(key)] = value;
			else
				fail(
					`${name} has no slot ${key}; it has 0 to ${size - 1}, or "all"`,
					...path,
					key,
				);
		}
		return {
			name,
			level,
			size,
			slots: take(size),
			status: take(1),
			readers: used.readers ? take(1) : zero,
			missed: used.missing ? take(1) : zero,
			holds: words,
		};
	});
	for (const table of tables)
		for (const word of table.holds)
			if (word >= TABLE && word < LEAF)
				if (tables[word - TABLE]?.level !== table.level - 1)
					fail(
						`${table.name} (entries of level ${table.level}) cannot point to ${names[word - TABLE]}`,
						...(table === tables[0]
							? ["root"]
							: ["tables", table.name, "holds"]),
					);
	onceLinked(tables, names, fail);
	const threads = threadModels(scenario, take, used, zero);
	const { observe } = scenario;
	if (observe !== undefined && !threads.some((t) => t.name === observe))
		fail(
			`observe: no thread ${observe}; there are ${threads.map((t) => t.name).join(", ")}`,
			"observe",
		);
	const locks = new Map<string, number>();
	for (const thread of threads)
		for (const step of thread.steps)
			if (step.verb === "lock" && !locks.has(step.args))
				locks.set(step.args, take(1));
	const vars = new Map(Object.keys(scenario.vars).map((v) => [v, take(1)]));
	return {
		scenario,
		personality: scenario.personality,
		levels,
		fanout,
		rootSlots,
		pages,
		targets: scenario.targets,
		tables,
		threads,
		locks,
		vars,
		dma: used.dma ? take(1) : zero,
		wrote: used.dirty ? take(4) : zero,
		collected: used.dirty ? take(4) : zero,
		end: at,
	};
}

/** A table stands in one slot at most when the scenario starts. */
function onceLinked(
	tables: readonly Table[],
	names: readonly string[],
	fail: (text: string, ...path: (string | number)[]) => never,
): void {
	const seen = new Map<number, string>();
	for (const table of tables)
		table.holds.forEach((word, slot) => {
			if (!isTable(word)) return;
			const here = `${table.name}[${slot}]`;
			const before = seen.get(word);
			if (before !== undefined)
				fail(
					`${names[word - TABLE]} is linked twice at the start, by ${before} and by ${here}`,
					...(table === tables[0] ? ["root"] : ["tables", table.name, "holds"]),
				);
			seen.set(word, here);
		});
}

interface Uses {
	readonly readers: boolean;
	readonly missing: boolean;
	readonly open: boolean;
	readonly dirty: boolean;
	readonly dma: boolean;
}

/** Which kinds of variable the steps of a scenario need. */
function usesOf(scenario: Scenario): Uses {
	const verbs = new Set(
		scenario.threads.flatMap((t) => t.steps.map((s) => s.verb)),
	);
	return {
		readers: verbs.has("reader") || verbs.has("grace"),
		missing:
			(verbs.has("flush") || verbs.has("issue")) &&
			(verbs.has("free") || verbs.has("recycle")),
		open: verbs.has("begin"),
		dirty: verbs.has("dirty") || scenario.hardware.includes("dirty"),
		dma: verbs.has("dma"),
	};
}

function threadModels(
	scenario: Scenario,
	take: (n: number) => number,
	used: Uses,
	zero: number,
): ThreadModel[] {
	const models: ThreadModel[] = [];
	for (const [source, thread] of scenario.threads.entries())
		for (let i = 1; i <= thread.instances; i++) {
			const steps = thread.steps
				.flatMap((step, at): Step[] => {
					const origin = ["threads", source, "steps", at];
					if (isOn(step, scenario.switches, origin))
						return [{ ...step, origin }];
					// What is switched off keeps its label, so that jumps to it go to what follows.
					return step.label === undefined
						? []
						: [{ verb: "nothing", args: true, label: step.label, origin }];
				})
				.map((step) => instantiate(step, i));
			const name = thread.instances > 1 ? `${thread.name}${i}` : thread.name;
			if (models.some((m) => m.name === name))
				throw new ScenarioError(`two threads named ${name}`, [
					"threads",
					source,
					"name",
				]);
			models.push({
				name,
				steps,
				pc: take(1),
				result: take(1),
				reader: used.readers ? take(1) : zero,
				grace: used.readers ? take(1) : zero,
				open: used.open ? take(4) : zero,
				registers: new Map(registersOf(steps).map((r) => [r, take(1)])),
			});
		}
	if (models.length > 8)
		throw new ScenarioError("more than 8 threads", ["threads"]);
	return models;
}

/** The value byte that a text names (no register). Throws ScenarioError for an unknown name. */
export function valueOf(
	scenario: Scenario,
	tables: readonly string[],
	text: string,
	path?: readonly (string | number)[],
): number {
	const dirty = text.endsWith("+dirty");
	const name = dirty ? text.slice(0, -"+dirty".length) : text;
	if (name === "empty" && !dirty) return EMPTY;
	const table = tables.indexOf(name);
	if (table > 0 && !dirty) return TABLE + table;
	const target = scenario.targets.indexOf(name);
	if (target >= 0) return LEAF + 2 * target + (dirty ? 1 : 0);
	throw new ScenarioError(
		`${text} is neither empty, nor a table (${tables.slice(1).join(", ") || "none"}), nor a target (${scenario.targets.join(", ")})`,
		path,
	);
}

/** The text of a value byte. */
export function valueText(model: Model, value: number): string {
	if (value === EMPTY) return "empty";
	if (value === GARBAGE) return "garbage";
	if (value < LEAF) return model.tables[value - TABLE]?.name ?? "?";
	const dirty = (value - LEAF) & 1 ? "+dirty" : "";
	return `${model.targets[(value - LEAF) >> 1]}${dirty}`;
}

export const isTable = (value: number): boolean =>
	value >= TABLE && value < LEAF;
export const isLeaf = (value: number): boolean =>
	value >= LEAF && value < GARBAGE;
