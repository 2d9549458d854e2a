/** Every command of docs/anomalies.md works and finds what the page says; every switch named as mending it does. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { DEFAULT_SWITCHES } from "../../src/orchestrator/switches.ts";
import { invariantById } from "../../src/invariants/catalogue.ts";
import { run } from "../cli/harness.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/anomalies.md"), "utf8");
const rows = page
	.split("\n")
	.filter((line) => /^\| [AR]\d/.test(line))
	.map((line) =>
		line
			.split("|")
			.slice(1, -1)
			.map((cell) => cell.trim()),
	);
const COMMAND = /`iommu-ledger ([^`]+)`/;
const idsIn = (text: string): string[] => text.match(/[A-Z]{2,3}-\d+/g) ?? [];

/** Ids that a command finds, warnings included. */
async function finds(command: string): Promise<string[]> {
	const [name, ...rest] = command.split(" ");
	const argv = rest.map((word) =>
		word.startsWith("logs/") ? join(root, word) : word,
	);
	const { out, err, code } = await run(name!, ...argv, "--json");
	expect({ command, code, err }).toMatchObject({ command, err: "" });
	const said = JSON.parse(out) as {
		readonly violations: readonly { readonly id: string }[];
		readonly warnings?: readonly { readonly id: string }[];
	};
	return [...said.violations, ...(said.warnings ?? [])].map(({ id }) => id);
}

const anomalies = rows.filter(([id]) => id!.startsWith("A"));
const races = rows.filter(([id]) => id!.startsWith("R"));

test("the page has A1 to A14 and R1 to R11", () => {
	const ids = [...new Set(rows.map(([id]) => id!))];
	expect(ids).toEqual([
		...Array.from({ length: 14 }, (_, i) => `A${i + 1}`),
		...Array.from({ length: 11 }, (_, i) => `R${i + 1}`),
	]);
});

const shown = anomalies.filter((cells) => COMMAND.test(cells[3]!));
describe.each(shown.map((cells) => [cells[0]!, cells[3]!, cells] as const))(
	"%s %s",
	(_, cell, cells) => {
		const command = COMMAND.exec(cell)![1]!;
		const ids = idsIn(cells[4]!);
		test("finds the ids named", async () => {
			expect(ids.length).toBeGreaterThan(0);
			for (const id of ids) expect(invariantById(id)?.id).toBe(id);
			expect(await finds(command)).toEqual(expect.arrayContaining(ids));
		});
		const mended = /`([A-Za-z]+)=(true|false)`/.exec(cells[6]!);
		test.skipIf(mended === null)("does not when mended", async () => {
			expect(Object.keys(DEFAULT_SWITCHES)).toContain(mended![1]);
			const plain = command.replace(/ --set .*/, "");
			const seen = await finds(`${plain} --set ${mended![1]}=${mended![2]}`);
			expect(seen.filter((id) => ids.includes(id))).toEqual([]);
		});
	},
);

test("every anomaly has a command", () => {
	expect(shown.length).toBe(anomalies.length);
});

const explored = races.flatMap(([id, , text]) =>
	COMMAND.test(text!)
		? [[id!, COMMAND.exec(text!)![1]!, idsIn(text!.split(";")[0]!)] as const]
		: [],
);
test.each(explored)("%s: %s", async (_, command, ids) => {
	expect(await finds(command)).toEqual(expect.arrayContaining([...ids]));
});
test.each([
	"explore detach-against-replace --set locks=call",
	"explore sweep-against-unmap --set gate=true",
])("nothing is found by %s", async (command) => {
	expect(await finds(command)).toEqual([]);
});
