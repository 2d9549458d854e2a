/** The README's examples are run: every command line that needs no browser (test/examples runs the programs). */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { run } from "../cli/harness.ts";

const root = resolve(import.meta.dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-readme-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Command lines as words: paths made absolute, files to write put into a temporary folder. */
const commands = [
	...readme.matchAll(/^ {4}npx iommu-ledger (.+?)(?: {2,}#.*)?$/gm),
]
	.map((match) => (match[1] as string).trim().split(/\s+/))
	.filter(([name]) => name !== "inspect" && name !== "COMMAND")
	.filter((words) => !words.some((word) => word.startsWith("trace.")))
	.map((words) =>
		words.map((word, i) => {
			if (words[i - 1] === "-o" || words[i - 1] === "--out")
				return join(folder, word);
			return word.startsWith("logs/") ? join(root, word) : word;
		}),
	);

test("the README shows commands", () => {
	expect(commands.length).toBeGreaterThan(5);
});

test.each(commands.map((words) => [words.join(" "), words] as const))(
	"%s",
	async (_, words) => {
		if (words[0] === "report") return expect(words).toContain("-o"); // needs the built page: test/inspector
		const { code, err } = await run(...words);
		expect(err).not.toMatch(/iommu-ledger:/);
		expect([0, 1, 3]).toContain(code);
	},
);
