/** The generated parts of docs/backends.md: every call with its fields, every check of the suite. UPDATE=1 writes them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AGENT_RULES } from "../../src/orchestrator/backend/check.ts";
import { callTable } from "../../src/orchestrator/backend/calls.ts";

const path = join(import.meta.dirname, "../../docs/backends.md");

function generated(block: string, text: string): void {
	const content = readFileSync(path, "utf8");
	const start = content.indexOf(`<!-- generated: ${block} `);
	const from = content.indexOf("-->\n", start) + 4;
	const to = content.indexOf("<!-- end -->", from);
	expect(start >= 0 && to >= from).toBe(true);
	if (process.env["UPDATE"] !== undefined)
		writeFileSync(path, `${content.slice(0, from)}${text}${content.slice(to)}`);
	else expect(content.slice(from, to)).toBe(text);
}

test("calls", () => {
	const rows = callTable().map(
		({ op, call, args, out }) =>
			`| \`${op}\` | ${call ?? "–"} | ${args.join(", ")} | ${out.join(", ")} |\n`,
	);
	generated(
		"calls",
		`\n| command | call | args | out |\n|---|---|---|---|\n${rows.join("")}\n`,
	);
});
test("checks", () => {
	const rows = AGENT_RULES.map(({ name, rule }) => `* *${name}*: ${rule}\n`);
	generated("checks", `\n${rows.join("")}\n`);
});
