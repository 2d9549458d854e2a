/** The generated parts of docs/replace-flows.md and docs/machines.md are what runs and definitions say. UPDATE=1 writes them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type AnyDefinition, eachNode } from "../../machines/define.ts";
import { createJudge } from "../../src/invariants/judge.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";
import { ENTITIES, SAGAS, TRANSACTIONS } from "../machines/all.ts";
import { table } from "./table.ts";

const DOCS = join(import.meta.dirname, "../../docs");

/** Holds a generated block of a document against `text`, or writes it. */
function generated(document: string, block: string, text: string): void {
	const path = join(DOCS, document);
	const content = readFileSync(path, "utf8");
	const start = content.indexOf(`<!-- generated: ${block} `);
	const from = content.indexOf("-->\n", start) + 4;
	const to = content.indexOf("<!-- end -->", from);
	expect(start >= 0 && to >= from, `${document} has no block ${block}`).toBe(
		true,
	);
	if (process.env["UPDATE"] !== undefined)
		writeFileSync(path, `${content.slice(0, from)}${text}${content.slice(to)}`);
	else expect(content.slice(from, to)).toBe(text);
}

const HEAD =
	"| call | switched to | devices | u1/u2 | A | B | rA | rB | D1 cleaned |\n|---|---|---|---|---|---|---|---|---|\n";

test("replace-flows.md: tables", () => {
	const parts = ["replace-1", "replace-2", "replace-3"].flatMap((name) => {
		const scenario = runScenarioNamed(name);
		const title = `\n### ${name}: ${scenario.title}\n`;
		const tables = FLOWS.map((flow) => {
			const run = runScenario(scenario, { flow, engine: "compiled" });
			const rows = table(run, ["a", "b", "c", "d", "e", "f", "g", "h"]).map(
				(row) => {
					const [label = "", ...cells] = row.split(" | ");
					const { errno } = run.calls[label]!;
					return `| ${errno === undefined ? label : `${label} (${errno})`} | ${cells.join(" | ")} |\n`;
				},
			);
			return `\n\`${flow}\`\n\n${HEAD}${rows.join("")}`;
		});
		return [title, ...tables];
	});
	generated("replace-flows.md", "tables", `${parts.join("")}\n`);
});

test("replace-flows.md: hazards", () => {
	const rows = RUN_SCENARIOS.map((scenario) => {
		const cells = FLOWS.map((flow) => {
			const run = runScenario(scenario, { flow, engine: "compiled" });
			const judge = createJudge(run.header);
			for (const record of run.records) judge.next(record);
			judge.finish();
			const where = (seq: number) => {
				const op = run.records[seq - 1]?.op;
				return (
					Object.keys(run.calls).find(
						(label) => run.calls[label]!.seq === op,
					) ?? "end"
				);
			};
			const { violations, warnings } = judge.verdicts;
			const order = (
				a: { seq: number; id: string },
				b: { seq: number; id: string },
			) => a.seq - b.seq || (a.id < b.id ? -1 : 1);
			const found = [
				...[...violations]
					.sort(order)
					.map(({ id, seq }) => `${id}@${where(seq)}`),
				...[...warnings]
					.sort(order)
					.map(({ id, seq }) => `(${id}@${where(seq)})`),
			];
			return found.length === 0 ? "–" : [...new Set(found)].join(", ");
		});
		return `| ${scenario.name} | ${cells.join(" | ")} |\n`;
	});
	generated(
		"replace-flows.md",
		"hazards",
		`\n| scenario | ${FLOWS.join(" | ")} |\n|---|${"---|".repeat(FLOWS.length)}\n${rows.join("")}\n`,
	);
});

function size(definition: AnyDefinition): string {
	let states = 0;
	let edges = 0;
	eachNode(definition.config, (_path, node) => {
		if (node.states === undefined) states++;
		for (const event of Object.values(node.on ?? {}))
			edges += Array.isArray(event) ? event.length : 1;
	});
	return `${states} | ${edges}`;
}

test("machines.md: the list", () => {
	const line = (definition: AnyDefinition) =>
		`| \`${definition.id}\` | ${definition.about} | ${size(definition)} |\n`;
	const head = "| machine | stands for | states | edges |\n|---|---|---|---|\n";
	generated(
		"machines.md",
		"list",
		`\nEntities\n\n${head}${ENTITIES.map(line).join("")}\nTransactions\n\n${head}${TRANSACTIONS.map(line).join("")}\nSagas\n\n${head}${SAGAS.map(line).join("")}\n`,
	);
});
