/**
 * Every invariant is broken by what a real kernel bug would leave: a run of the model with a named fault (faulted.ts), an exploration without a lock, a
 * recording with lines removed. The faulty run violates it first and nothing but what is listed; without the fault it holds.
 */
import {
	cpSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import {
	commandOf,
	FAULTED,
	type FaultedRun,
} from "../../src/invariants/faulted.ts";
import { verifyPath } from "../../src/replay/verify-path.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";
import { run } from "../cli/harness.ts";

const idsOf = (found: readonly { readonly id: string }[]): string[] => [
	...new Set(found.map(({ id }) => id)),
];
const isWarning = (id: string): boolean =>
	CATALOGUE.find((one) => one.id === id)?.severity === "warning";
function settings(set: string | undefined): Record<string, string> {
	if (set === undefined) return {};
	const at = set.indexOf("=");
	return { [set.slice(0, at)]: set.slice(at + 1) };
}
function judged({ scenario, driver }: FaultedRun, set: Record<string, string>) {
	const { header, records } = runScenario(runScenarioNamed(scenario), {
		engine: "compiled",
		set,
		...(driver === undefined ? {} : { driver }),
	});
	const { violations, warnings } = verifyRecords(header, records);
	return { errors: idsOf(violations), warnings: idsOf(warnings) };
}

test("each invariant has a faulty run or says what else breaks it", () => {
	const ids = CATALOGUE.map(({ id }) => id);
	expect(ids).toEqual(expect.arrayContaining(Object.keys(FAULTED)));
	for (const { id, brokenBy } of CATALOGUE)
		expect(brokenBy ?? FAULTED[id], id).toBeDefined();
	const byHand = CATALOGUE.filter(
		({ id, brokenBy }) =>
			!id.startsWith("PT-") &&
			FAULTED[id] === undefined &&
			brokenBy?.startsWith("record sequence") === true,
	);
	expect(byHand.map(({ id }) => id)).toEqual(["IOP-15"]);
});

test.each(Object.entries(FAULTED))("%s", (id, faulty) => {
	const { set, also = [], first = id } = faulty;
	const bad = judged(faulty, settings(set));
	const good = judged(faulty, {});
	if (isWarning(id)) {
		expect(bad.warnings).toContain(id);
		expect(bad.errors).toEqual([]);
		if (set !== undefined) expect(good.warnings).not.toContain(id);
		return;
	}
	expect(bad.errors[0], commandOf(faulty)).toBe(first);
	expect(new Set(bad.errors)).toEqual(new Set([id, ...also]));
	if (set !== undefined) expect(good.errors).not.toContain(id);
});

test("the commands of the page do the same", async () => {
	for (const id of ["OWN-3", "PIN-4", "IOP-4", "VFT-6", "GRP-11"]) {
		const [, ...argv] = commandOf(FAULTED[id]!).split(" ");
		const { code, out } = await run(
			...argv.map((word) => word.replaceAll("'", "")),
			"--json",
		);
		const { verdict, violations } = JSON.parse(out) as {
			verdict: string;
			violations: { id: string }[];
		};
		expect([code, verdict, violations[0]?.id]).toEqual([1, "violated", id]);
	}
});

test("the tour breaks nothing", () => {
	expect(judged({ scenario: "tour" }, {})).toEqual({
		errors: [],
		warnings: ["GRP-14"],
	});
});

describe("where no single step goes wrong", () => {
	const within = async (work: (folder: string) => Promise<void>) => {
		const folder = mkdtempSync(join(tmpdir(), "faults-"));
		try {
			await work(folder);
		} finally {
			rmSync(folder, { recursive: true });
		}
	};

	test("GRP-6: two first attaches without the group's lock", async () => {
		await within(async (folder) => {
			const log = join(folder, "two.ndjson");
			expect(
				(await run("explore", "attach-without-lock", "--out", log)).code,
			).toBe(1);
			const { report } = await verifyPath(log);
			expect(idsOf(report!.violations).slice(0, 2)).toEqual([
				"GRP-15",
				"GRP-6",
			]);
		});
		expect(
			(await run("explore", "attach-without-lock", "--set", "locks=group"))
				.code,
		).toBe(0);
	});

	test("IOP-17: a recording without the flush between the table and the superpage in its place", async () => {
		const source = join(
			import.meta.dirname,
			"../../logs/kernel/g_superpage.M1",
		);
		const flush =
			/247\.3728(?:16|21|23|31): (?:ct_flush_range_in|cache_tag_flush_range|qi_submit|ct_flush_range_ret): /;
		await within(async (folder) => {
			cpSync(source, folder, { recursive: true });
			const lines = gunzipSync(readFileSync(join(source, "trace.txt.gz")))
				.toString()
				.split("\n");
			const kept = lines.filter((line) => !flush.test(line));
			expect(lines.length - kept.length).toBe(4);
			rmSync(join(folder, "trace.txt.gz"));
			writeFileSync(join(folder, "trace.txt"), kept.join("\n"));
			const { report } = await verifyPath(folder);
			expect(idsOf(report!.violations)).toEqual(["IOP-17", "PT-37"]);
		});
		expect((await verifyPath(source)).verdict).toBe("holds");
	});
});

describe("faults are named right", () => {
	const refused = (set: Record<string, string>) => () =>
		runScenario(RUN_SCENARIOS[0]!, { set });
	test.each([
		[{ omit: "no.such" }, /omit: "no.such" is no step/],
		[{ omit: "op.commit" }, /is no step/],
		[{ repeat: "obj.ref#x" }, /repeat: "obj.ref#x" is no step/],
		[{ late: "obj.ref+0" }, /\+ takes how many steps later/],
		[{ late: "obj.ref#1#2" }, /is no step/],
		[{ late: "obj.ref+1+2" }, /\+ takes how many steps later/],
		[{ wrong: "obj.ref:uu=1" }, /obj.ref has no field "uu"; it has: obj, /],
		[{ wrong: "obj.ref:__proto__=1" }, /obj.ref has no field "__proto__"/],
		[{ wrong: "obj.ref:constructor=1" }, /has no field "constructor"/],
		[{ wrong: "obj.ref:u=-1" }, /obj.ref's u is of kind count, and -1 is not/],
		[{ wrong: "hw.attach:dom=5" }, /hw.attach's dom is of kind domain/],
		[{ wrong: "dom.map:iova=0x01" }, /dom.map's iova is of kind hex/],
		[{ wrong: "obj.ref#1" }, /is not STEP:FIELD=VALUE/],
		[{ wrong: "nothing:u=1" }, /wrong: "nothing" is no step/],
		[{ blind: "replace" }, /blind: "replace" is no guard/],
		[{ blind: "no.such" }, /machines: iommu-group, device/],
	] as const)("%o", (set, message) => {
		expect(refused(set)).toThrow(RangeError);
		expect(refused(set)).toThrow(message);
	});

	test("a header names those that are set, and no others", () => {
		const { header } = runScenario(RUN_SCENARIOS[0]!, {
			set: { late: "dom.cc.set" },
		});
		expect(header.switches).toMatchObject({ late: "dom.cc.set", omit: "" });
		expect(header.switches).not.toHaveProperty("repeat");
		expect(header.switches).not.toHaveProperty("blind");
	});

	test("late by steps, late to the end, twice, wrong: exactly that, and nothing else moves", () => {
		const types = (set: Record<string, string>) =>
			runScenario(runScenarioNamed("only-one-attached"), {
				engine: "compiled",
				set,
			}).records;
		const plain = types({});
		const at = plain.findIndex(({ type }) => type === "dom.unmap");
		const names = (list: typeof plain) => list.map(({ type }) => type);
		const moved = names(plain);
		moved.splice(at, 1);
		moved.splice(at + 2, 0, "dom.unmap");
		expect(names(types({ late: "dom.unmap#1+2" }))).toEqual(moved);
		const last = names(plain);
		last.splice(at, 1);
		const end = plain.findIndex(
			({ type, op }) => op === plain[at]!.op && type === "op.commit",
		);
		last.splice(end - 1, 0, "dom.unmap");
		expect(names(types({ late: "dom.unmap#1" }))).toEqual(last);
		expect(types({ repeat: "dom.unmap#1" }).length).toBe(plain.length + 1);
		const wrong = types({ wrong: "dom.unmap#1:unmapped=4096" });
		expect(wrong.length).toBe(plain.length);
		expect(wrong[at]!.data).toEqual({ ...plain[at]!.data, unmapped: 4096 });
		const map = plain.findIndex(({ type }) => type === "dom.map");
		expect(types({ wrong: "dom.map#1:iova=0x5000" })[map]!.data).toEqual({
			...plain[map]!.data,
			iova: 0x5000,
		});
		const same = (i: number) =>
			JSON.stringify(wrong[i], (_, v: unknown) =>
				typeof v === "bigint" ? String(v) : v,
			) ===
			JSON.stringify(plain[i], (_, v: unknown) =>
				typeof v === "bigint" ? String(v) : v,
			);
		expect(plain.every((_, i) => i === at || same(i))).toBe(true);
	});
});
