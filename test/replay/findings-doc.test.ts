/** Every command of docs/kernel-findings.md is run on the recording it names, and comes out as its comment says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { verifyPath } from "../../src/replay/verify-path.ts";

const ROOT = join(import.meta.dirname, "../..");
const text = readFileSync(join(ROOT, "docs/kernel-findings.md"), "utf8");
const commands = [
	...text.matchAll(/^ +iommu-ledger verify (logs\/\S+) +# (.*)$/gm),
].map(([, path = "", comment = ""]) => [path, comment] as const);

test("the page opens with how to report to the kernel's security contact", () => {
	const opening = text.split("\n## ")[0] ?? "";
	expect(opening).toContain("security-bugs.rst");
	expect(opening).toContain("before anything here is published".slice(7));
});

test("every finding has commands", () => {
	expect(commands.length).toBeGreaterThanOrEqual(15);
	expect(text.match(/iommu-ledger verify/g)?.length).toBe(commands.length);
});

describe.each(commands)("%s", (path, comment) => {
	test(comment, { timeout: 120_000 }, async () => {
		const file = await verifyPath(join(ROOT, path));
		const said = /violated|holds/.exec(comment)?.[0] ?? "holds";
		expect(file.verdict).toBe(said);
		for (const [id] of comment.matchAll(
			/\b[A-Z]{2,3}-\d+(?= (?!\d|never))|\b[A-Z]{2,3}-\d+$/g,
		))
			if (said === "violated")
				expect(file.report?.violations.map((v) => v.id)).toContain(id);
		const evidence = /\((proven|possible)\)/.exec(comment)?.[1];
		if (evidence !== undefined)
			expect(file.report?.violations.some((v) => v.evidence === evidence)).toBe(
				true,
			);
		const dma = /(\d+) of (\d+) accesses predicted/.exec(comment);
		if (dma !== null) {
			expect(file.report?.summary.predictions.predicted).toBe(Number(dma[1]));
			expect(file.report?.summary.dmas).toBe(Number(dma[2]));
		}
		const longest = /longest(?: window)? ([\d.]+) ms/.exec(comment);
		const { strict, lazy } = file.report!.kernelVerdicts;
		if (longest !== null)
			expect(
				(Math.max(strict.longestNs, lazy.longestNs) / 1e6).toFixed(2),
			).toBe(longest[1]);
	});
});
