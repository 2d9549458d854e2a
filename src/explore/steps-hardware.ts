/** Steps about hardware: invalidations, DMA, dirty bits. */
import type { Invalidation } from "./caches.ts";
import { reads, union, writes } from "./footprint.ts";
import { MAX_TABLES, STATUS, type Table, isLeaf, pageMask } from "./model.ts";
import { type Draft, type Parts, type Site, stepText } from "./operations.ts";
import { ScenarioError } from "./scenario-error.ts";
import type { Step } from "./scenario-schema.ts";
import type { Scope } from "./scope.ts";

export function hardwareDrafts(scope: Scope, step: Step): Draft[] | undefined {
	const { model, resources, dirty } = scope.parts;
	switch (step.verb) {
		case "flush": {
			const site = newSite(scope, step.args, stepText(step));
			return [issue(scope, site), complete(scope, [site])];
		}
		case "issue": {
			const site = newSite(scope, step.args, stepText(step));
			scope.open.push(site);
			return [issue(scope, site)];
		}
		case "wait":
			return [complete(scope, [...scope.open])];
		case "dma": {
			if (typeof step.args === "string") {
				const stopped = step.args === "stop" ? 1 : 0;
				const run = (s: Uint8Array) => {
					s[model.dma] = stopped;
				};
				return [{ footprint: writes(resources.everything), run }];
			}
			const { page, write } = step.args;
			const pages = pageMask(model, [page]);
			const low = resources.ofPages(pages);
			if (!write) return [{ footprint: reads(low), run: () => {} }];
			return [
				{
					footprint: writes(low),
					choices: (s) => Math.max(1, dirty.options(s, page)),
					run: (s, choice) => dirty.write(s, page, choice),
				},
			];
		}
		case "dirty": {
			const sweep = "sweep" in step.args;
			const place = scope.place(
				"sweep" in step.args ? step.args.sweep : step.args.set,
			);
			const clear = "sweep" in step.args && step.args.clear;
			const run = (s: Uint8Array) => {
				const value = scope.load(s, place);
				const table = place.resolve(s);
				if (sweep) dirty.sweep(s, table, place.index, value, clear);
				else if (isLeaf(value)) dirty.mark(s, table, place.index);
			};
			return [
				{
					footprint: scope.writePrint(place),
					run,
					place,
					...scope.privately(place),
				},
			];
		}
		case "report":
			return [
				{
					footprint: writes(resources.everything),
					run: (s) => dirty.report(s),
				},
			];
		default:
			return undefined;
	}
}

function newSite(
	scope: Scope,
	args: {
		pages: "all" | readonly (number | string)[];
		scope: Invalidation["scope"];
		level?: number | undefined;
	},
	text: string,
): number {
	const { model, resources, caches, sites, take } = scope.parts;
	const pages = pageMask(model, args.pages);
	if (args.level !== undefined && args.level > model.levels)
		throw new ScenarioError(
			`level ${args.level}: the geometry has ${model.levels} levels`,
		);
	const invalidation = { pages, scope: args.scope, level: args.level };
	const domain =
		model.personality.ih0NonLeafScope === "domain" && args.scope !== "leaf";
	const freeable = freeableBy(scope);
	const low = domain
		? resources.everything
		: resources.ofPages(pages) | resources.ofTables(freeable);
	sites.push({
		at: take(3),
		invalidation,
		keep: caches.keepMask(invalidation),
		tables: caches.tablesDropped(invalidation),
		freeable,
		thread: scope.number,
		footprint: writes(low),
		text,
	});
	return sites.length - 1;
}

/** Tables that a thread's steps may free. */
function freeableBy(scope: Scope): number {
	let mask = 0;
	for (const step of scope.thread.steps) {
		if (step.verb !== "free" && step.verb !== "recycle") continue;
		for (const text of [step.args].flat())
			mask |= text.startsWith("$") ? -1 : 1 << scope.table(text);
	}
	return mask;
}

function issue(scope: Scope, number: number): Draft {
	const { parts } = scope;
	const { model, sites, checks } = parts;
	const site = sites[number] as Site;
	const run = (s: Uint8Array) => {
		let unlinked = 0;
		for (let t = 0; t < MAX_TABLES && t < model.tables.length; t++)
			if (s[model.tables[t]?.status ?? 0] === STATUS.unlinked)
				unlinked |= 1 << t;
		unlinked &= site.tables | site.freeable;
		s[site.at] = 1;
		s[site.at + 1] = unlinked & 255;
		s[site.at + 2] = unlinked >> 8;
		parts.queue?.issued(s, number);
		checks.issued(s, site.invalidation);
	};
	const { writeLow } = site.footprint;
	return { footprint: reads(writeLow), run, site: number };
}

function complete(scope: Scope, numbers: readonly number[]): Draft {
	const { parts } = scope;
	const { sites } = parts;
	const run = (s: Uint8Array) => {
		for (const earlier of parts.queue?.before(s, numbers) ?? [])
			perform(parts, s, earlier);
		for (const number of numbers) {
			const site = sites[number] as Site;
			if (s[site.at] === 1) perform(parts, s, number);
			eachUnlinked(parts, s, site, (table, covered) => {
				// Its sync is over, and did not cover this one (PT-30).
				if (!covered)
					s[table.missed] = (s[table.missed] as number) | (1 << site.thread);
			});
			s.fill(0, site.at, site.at + 3);
		}
	};
	const footprint = union(...numbers.map((n) => (sites[n] as Site).footprint));
	return { footprint, run, waits: true };
}

/** Hardware carries the invalidation out: what it covers is gone, and tables unlinked before the issue count as flushed. */
export function perform(parts: Parts, s: Uint8Array, number: number): void {
	const { caches } = parts;
	const site = parts.sites[number] as Site;
	parts.queue?.performed(s, number);
	for (let i = 0; i < caches.bytes; i++)
		s[caches.at + i] = (s[caches.at + i] as number) & (site.keep[i] as number);
	s[site.at] = 2;
	eachUnlinked(parts, s, site, (table, covered) => {
		if (covered) s[table.status] = STATUS.flushed;
	});
}

/** The tables that were unlinked when the invalidation was issued and still are; `covered`: it drops every pointer to it. */
function eachUnlinked(
	{ model }: Parts,
	s: Uint8Array,
	site: Site,
	act: (table: Table, covered: boolean) => void,
): void {
	const { scope } = site.invalidation;
	if (scope !== "all" && scope !== "walk") return;
	const unlinked =
		(s[site.at + 1] as number) | ((s[site.at + 2] as number) << 8);
	for (let t = 0; t < model.tables.length; t++) {
		const table = model.tables[t];
		if (table === undefined || (unlinked & (1 << t)) === 0) continue;
		if (s[table.status] === STATUS.unlinked)
			act(table, (site.tables & (1 << t)) !== 0);
	}
}
