/** docs/api.md is what the sources export and say. UPDATE=1 writes it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { OP_NAMES } from "../../src/orchestrator/results.ts";
import { type ApiExport, exportsOf } from "./api-reader.ts";

const root = resolve(import.meta.dirname, "../..");
const path = join(root, "docs/api.md");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** Entry names of package.json and their sources. */
const ENTRIES = Object.entries(
	manifest.exports as { readonly [name: string]: { readonly types: string } },
).map(([name, { types }]) => ({
	name: name.replace(".", "iommu-ledger"),
	source: types.replace("./dist/", "").replace(".d.ts", ".ts"),
}));
const read = ENTRIES.map((entry) => ({
	...entry,
	exports: exportsOf(entry.source),
}));

const cell = (text: string): string => text.replaceAll("|", "\\|");
const LONG = 160;
const code = (signature: string): string => {
	const short =
		signature.length <= LONG ? signature : `${signature.slice(0, LONG)}…`;
	return `\`${cell(short)}\``;
};

function section({ name, signature, doc, members, file }: ApiExport): string {
	const rows = members.map(
		(member) => `| ${code(member.signature)} | ${cell(member.doc)} |\n`,
	);
	const table =
		rows.length === 0 ? "" : `\n| member | |\n|---|---|\n${rows.join("")}`;
	return `#### ${name}\n\n${code(signature)} · ${file}\n\n${doc}\n${table}\n`;
}

function document(): string {
	const parts = read.map(({ name, source, exports }) => {
		const head = readFileSync(join(root, source), "utf8");
		const about = /^\/\*\*([\s\S]*?)(?:@example|\*\/)/.exec(head)?.[1] ?? "";
		const text = about.replaceAll(/\s*\n \* ?/g, " ").trim();
		const values = exports.filter(
			({ kind }) => kind !== "interface" && kind !== "type",
		);
		const types = exports.filter((one) => !values.includes(one));
		const group = (title: string, list: readonly ApiExport[]): string =>
			list.length === 0 ? "" : `### ${title}\n\n${list.map(section).join("")}`;
		return `## ${name}\n\n${text}\n\n${group("Values", values)}${group("Types", types)}`;
	});
	return `# API reference\n\nEvery export of every entry of the package, with its docstring: written by a test from the sources (\`UPDATE=1 npx vitest run test/docs/api.test.ts\`) and\nheld to them. docs/embedding.md shows how the pieces are used.\n\n${parts.join("")}`;
}

test("docs/api.md is what the sources say", () => {
	const text = document();
	if (process.env["UPDATE"] !== undefined) writeFileSync(path, text);
	expect(
		readFileSync(path, "utf8"),
		"docs/api.md is behind the sources: UPDATE=1 npx vitest run test/docs/api.test.ts",
	).toBe(text);
});

describe.each(read)("$name", ({ source, exports }) => {
	test("its exports are those that the module has at run time", async () => {
		const live = Object.keys(await import(join(root, source))).sort();
		const values = exports
			.filter(({ kind }) => kind !== "interface" && kind !== "type")
			.map(({ name }) => name);
		expect(values).toEqual(live);
	});
	test("every export has a docstring", () => {
		expect(
			exports.filter(({ doc }) => doc === "").map(({ name }) => name),
		).toEqual([]);
	});
	test("the entry shows an example", () => {
		expect(readFileSync(join(root, source), "utf8")).toContain("@example");
	});
});

test("every operation is documented, with its arguments and its result", () => {
	const main = read[0]!.exports;
	const named = (name: string): string[] =>
		main
			.find((one) => one.name === name)!
			.members.map(({ signature }) => /^readonly (\w+)/.exec(signature)![1]!);
	const docsOf = (name: string) =>
		main.find((one) => one.name === name)!.members;
	expect(named("CommandResults").sort()).toEqual([...OP_NAMES].sort());
	expect(named("CommandArgs").sort()).toEqual([...OP_NAMES].sort());
	expect(docsOf("CommandArgs").filter(({ doc }) => doc === "")).toEqual([]);
});
