/**
 * The house's own rules (DESIGN §1): imports go down only, and the pure layers touch no clock, randomness, I/O or runtime.
 */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

/** Rank of each folder; a file may import from its own folder and from lower ranks. */
const RANKS: readonly (readonly string[])[] = [
	["src/vocabulary"],
	["src/pagetable", "src/iotlb", "src/log", "machines"],
	["src/world", "src/drivers"],
	["src/invariants"],
	[
		"src/orchestrator",
		"src/replay",
		"src/explore",
		"src/traces",
		"src/scenarios",
	],
	["src/inspector", "src/cli", "src/index.ts", "src/jetstream.ts"],
];
const PURE = [
	"src/vocabulary",
	"src/pagetable",
	"src/iotlb",
	"src/world",
	"src/drivers",
	"src/invariants",
	"machines",
];
/** What a pure file may not name, with the reason shown when it does. */
const IMPURE: readonly (readonly [RegExp, string])[] = [
	[/\bDate\.now\b|\bnew Date\b|\bperformance\./, "a clock"],
	[/\bMath\.random\b/, "randomness"],
	[/from "node:/, "I/O or the runtime"],
	[/\bprocess\./, "the process"],
	[/^(?:export )?let /m, "module state"],
];

function sources(folder: string): string[] {
	return readdirSync(join(root, folder), {
		withFileTypes: true,
		recursive: true,
	})
		.filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
		.map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const rankOf = (file: string): number =>
	RANKS.findIndex((folders) =>
		folders.some((f) => file === f || file.startsWith(`${f}/`)),
	);
const folderOf = (file: string): string =>
	RANKS.flat().find((f) => file === f || file.startsWith(`${f}/`)) ?? "";

const all = [...sources("src"), ...sources("machines")];

function importsOf(file: string): string[] {
	const text = readFileSync(join(root, file), "utf8");
	const found = text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
	return [...found].map((m) =>
		relative(root, resolve(root, dirname(file), m[1] ?? "")),
	);
}

describe("the house", () => {
	test("every source file lives in a folder of the house", () => {
		expect(all.filter((file) => rankOf(file) < 0)).toEqual([]);
	});

	test("imports go down only", () => {
		const wrong = all.flatMap((file) =>
			importsOf(file)
				.filter(
					(target) =>
						folderOf(target) !== folderOf(file) &&
						rankOf(target) > rankOf(file),
				)
				.map((target) => `${file} -> ${target}`),
		);
		expect(wrong).toEqual([]);
	});

	test("pure layers touch no clock, randomness, I/O or module state", () => {
		const wrong = all
			.filter((file) => PURE.some((f) => file.startsWith(`${f}/`)))
			.flatMap((file) => {
				const text = readFileSync(join(root, file), "utf8").replace(
					/\/\*[\s\S]*?\*\/|\/\/.*$/gm,
					"",
				);
				return IMPURE.filter(([pattern]) => pattern.test(text)).map(
					([, what]) => `${file}: ${what}`,
				);
			});
		expect(wrong).toEqual([]);
	});

	test("no file is longer than 400 lines", () => {
		const long = all
			.map(
				(file) =>
					[
						file,
						readFileSync(join(root, file), "utf8").split("\n").length,
					] as const,
			)
			.filter(([, lines]) => lines > 400);
		expect(long).toEqual([]);
	});

	test("no default exports, no unexplained any", () => {
		const wrong = all.filter((file) => {
			const text = readFileSync(join(root, file), "utf8");
			return (
				/^export default/m.test(text) ||
				/(?<!\/\/.*\n)^.*(?::|<|as) any\b/m.test(text)
			);
		});
		expect(wrong).toEqual([]);
	});
});
