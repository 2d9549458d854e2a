/**
 * The hazards W1-W8 of facts iommufd-semantics.md §3.6, found by invariants in the records of runs: red exactly where the facts say so, by the
 * id and in the call that they say; group-owned never red. And the error-outs of §3.8 and §11, folded from records.
 */
import { describe, expect, test } from "vitest";
import { createJudge } from "../../src/invariants/judge.ts";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import {
	runScenario,
	type RunOptions,
	type ScenarioRun,
} from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";
import { apply, booksText, emptyBooks } from "./table.ts";

interface Judged {
	readonly run: ScenarioRun;
	/** "GRP-4@d": error id and the call it was found in. */
	readonly errors: string[];
	readonly warnings: string[];
	/** Errors that still stand when the log ends. */
	readonly standing: string[];
}

function judge(scenario: string, options: RunOptions): Judged {
	const run = runScenario(runScenarioNamed(scenario), {
		engine: "compiled",
		...options,
	});
	const judged = createJudge(run.header);
	for (const record of run.records) judged.next(record);
	judged.finish();
	const label = (seq: number): string => {
		const op = run.records[seq - 1]?.op;
		return (
			Object.keys(run.calls).find((l) => run.calls[l]!.seq === op) ?? "end"
		);
	};
	const { violations, warnings } = judged.verdicts;
	const named = (list: typeof violations) => [
		...new Set(list.map(({ id, seq }) => `${id}@${label(seq)}`)),
	];
	return {
		run,
		errors: named(violations),
		warnings: named(warnings),
		standing: [
			...new Set(violations.filter((v) => v.standing).map(({ id }) => id)),
		],
	};
}

const LAGGING: readonly Flow[] = ["posted-v2", "device-lagging"];
const OWNED: readonly Flow[] = [...LAGGING, "device-forced"];

describe.each(LAGGING)("%s", (flow) => {
	test("W1: between d and f the books contradict the hardware (GRP-4) and each other (GRP-9)", () => {
		const { errors, standing } = judge("replace-1", { flow });
		expect(errors).toEqual(expect.arrayContaining(["GRP-4@d", "GRP-9@d"]));
		expect(standing).toEqual([]);
	});
	test("W2: the last laggard's detach stops the group under device 1 (GRP-8)", () => {
		expect(judge("laggard-detach", { flow }).errors).toContain(
			"GRP-8@detach 3",
		);
	});
	test("W3: detaching device 1 stops the group under its siblings (GRP-8)", () => {
		expect(judge("first-detach", { flow }).errors).toContain("GRP-8@detach 1");
	});
	test("W7: a laggard's window can be mapped over, and then its replace fails for good", () => {
		const { warnings, run } = judge("laggard-region", { flow });
		expect(warnings).toContain("RSV-6@map over");
		expect(run.calls["f"]).toMatchObject({ errno: "EADDRINUSE" });
	});
	test("W8: when user space stops after d, GRP-4 and GRP-9 stand broken at the end", () => {
		expect(judge("unfinished", { flow }).standing).toEqual(
			expect.arrayContaining(["GRP-4", "GRP-9"]),
		);
	});
});

test.each(OWNED)(
	"W4 under %s: the new domain is switched to before it is filled (HWP-10)",
	(flow) => {
		expect(judge("replace-1", { flow }).errors).toContain("HWP-10@d");
	},
);

test.each(FLOWS)(
	"W5 under %s: only the partial detach drains the current domain (HWP-11)",
	(flow) => {
		const { errors } = judge("replace-3", { flow });
		expect(errors.includes("HWP-11@f")).toBe(flow === "device-lagging");
	},
);

test.each(FLOWS.filter((flow) => flow !== "detach-attach"))(
	"W6 under %s: only the partial detach must allocate to roll back (RSV-5)",
	(flow) => {
		const { errors } = judge("failing-rollback", { flow });
		expect(errors.includes("RSV-5@f")).toBe(flow === "device-lagging");
		const refill = judge("failing-refill", { flow }).errors;
		expect(refill.includes("HWP-4@f")).toBe(flow === "device-lagging");
	},
);

test("W7 under device-forced and group-owned: the laggard's window is reserved, the map refused", () => {
	for (const flow of ["device-forced", "group-owned"] as const)
		expect(
			judge("laggard-region", { flow }).run.calls["map over"],
		).toMatchObject({ errno: "EINVAL" });
});

test("W7 remains in 6.12 for a sibling that is not attached: a warning, never an error", () => {
	const { errors, warnings } = judge("sibling-region", { flow: "group-owned" });
	expect(errors).toEqual([]);
	expect(warnings).toEqual(["RSV-6@map over"]);
});

const HAZARDS = [
	"replace-1",
	"replace-1-auto",
	"replace-1-one-ioas",
	"replace-2",
	"replace-2-auto",
	"replace-2-one-ioas",
	"replace-3",
	"replace-3-auto",
	"replace-3-one-ioas",
	"laggard-detach",
	"first-detach",
	"unfinished",
	"failing-rollback",
	"failing-refill",
	"sibling-region",
	"laggard-region",
	"refused-member",
	"other-hwpt-sibling",
	"only-one-attached",
	"bind-refusals",
];
test.each(HAZARDS)("group-owned has no error in %s", (scenario) => {
	expect(judge(scenario, { flow: "group-owned" }).errors).toEqual([]);
});
test.each(["vtd", "smmu-v3", "amd-vi"])(
	"nor with the %s personality",
	(driver) => {
		expect(judge("replace-1", { flow: "group-owned", driver }).errors).toEqual(
			[],
		);
	},
);

/** hw records of a call, as "1→D2", "1→D1 undo", "2 refused D2". */
function moves({ run }: Judged, label: string): string[] {
	const dev = (id: string) =>
		Object.keys(run.names)
			.find((name) => run.names[name] === id)!
			.replace("dev", "");
	const doms = run.records.flatMap((r) =>
		r.type === "hwpt.live" ? [r.data.dom] : [],
	);
	const dom = (id: string) =>
		doms.includes(id as never) ? `D${doms.indexOf(id as never) + 1}` : "blk";
	return run.records.flatMap((r) => {
		if (r.op !== run.calls[label]!.seq) return [];
		if (r.type === "hw.attach")
			return [
				`${dev(r.data.dev)}→${dom(r.data.dom)}${r.data.undo ? " undo" : ""}`,
			];
		if (r.type === "hw.attach.failed")
			return [
				`${dev(r.data.dev)} refused ${dom(r.data.dom)}${r.data.undo ? " undo" : ""}`,
			];
		return [];
	});
}
/** The books before and after a call. */
function around(run: ScenarioRun, label: string): [string, string] {
	const { seq } = run.calls[label]!;
	const books = emptyBooks();
	for (const record of run.records) if (record.seq < seq) apply(books, record);
	const before = booksText(books);
	for (const record of run.records) if (record.op === seq) apply(books, record);
	return [before, booksText(books)];
}

describe("error-outs of a replace, group-owned (facts §3.8, §11)", () => {
	test("row 34: member 2 refuses; 1→H2, 1→H1, 2→H1; no count, list or reservation changes", () => {
		const judged = judge("refused-member", { flow: "group-owned" });
		expect(moves(judged, "d")).toEqual([
			"1→D2",
			"2 refused D2",
			"1→D1 undo",
			"2→D1 undo",
		]);
		const [before, after] = around(judged.run, "d");
		expect(after).toBe(before);
		expect(judged.run.calls["d"]).toMatchObject({ errno: "EINVAL" });
	});
	test("A13: with VT-d the refusing member is blocked until the revert, with others not", () => {
		const blocked = (driver: string) =>
			judge("refused-member", { driver }).run.records.flatMap((r) =>
				r.type === "hw.attach.failed" ? [r.data.blocked] : [],
			);
		expect(blocked("vtd")).toEqual([true]);
		expect(blocked("smmu-v3")).toEqual([undefined]);
	});
	test("row 35: on one IOAS the live reservations vanish (A1); with the anomaly off they stay", () => {
		const { errors } = judge("refused-member-one-ioas", {
			flow: "group-owned",
		});
		expect(errors).toEqual(expect.arrayContaining(["RSV-2@d", "RSV-5@d"]));
		const mended = judge("refused-member-one-ioas", {
			set: { sameIoasUnreserve: false },
		});
		expect(mended.errors).toEqual([]);
		const [before, after] = around(mended.run, "d");
		expect(after).toBe(before);
	});
	test("a member that cannot go back is blocked: Torn, found by GRP-1", () => {
		const judged = judge("torn-group", { flow: "group-owned" });
		expect(moves(judged, "d")).toEqual([
			"1→D2",
			"2 refused D2",
			"1 refused D1 undo",
			"1→blk undo",
			"2→D1 undo",
		]);
		expect(judged.errors).toContain("GRP-1@d");
		expect(
			judged.run.system.snapshot().find(({ id }) => id === "group:7")?.state,
		).toBe("ownership.Owned.Torn|attachment.Held.Attached");
	});
	test("row 33: an unattached sibling cannot go elsewhere, nor move the group", () => {
		const { run } = judge("other-hwpt-sibling", { flow: "group-owned" });
		for (const label of ["try 3", "replace 3"]) {
			expect(run.calls[label]).toMatchObject({ errno: "EINVAL" });
			const [before, after] = around(run, label);
			expect(after).toBe(before);
		}
	});
	test("A14: up to 6.12.23 the unattached sibling did move it", () => {
		const judged = judge("other-hwpt-sibling", {
			set: { replaceByUnattached: true },
		});
		expect(moves(judged, "replace 3")).toEqual(["1→D2", "2→D2", "3→D2"]);
	});
	test("row 36: detaching the only attached device blocks all three", () => {
		expect(moves(judge("only-one-attached", {}), "detach 1")).toEqual([
			"1→blk",
			"2→blk",
			"3→blk",
		]);
	});
	test("row 37: an unbind of an attached device is EBUSY and keeps ownership", () => {
		const { run } = judge("only-one-attached", {});
		expect(run.calls["unbind refused"]).toMatchObject({ errno: "EBUSY" });
		const [before, after] = around(run, "unbind refused");
		expect(after).toBe(before);
		expect(
			run.records.some(
				(r) =>
					r.op === run.calls["unbind refused"]!.seq &&
					r.type === "grp.owner.released",
			),
		).toBe(false);
	});
	test("A8: an unwritable answer detaches the device and leaves its siblings on the new hwpt; mended, it goes back", () => {
		const judged = judge("unwritable-result", { flow: "group-owned" });
		expect(judged.run.calls["d"]).toMatchObject({
			errno: "EFAULT",
			step: "resp",
		});
		expect(judged.errors).toContain("VFT-7@d");
		const mended = judge("unwritable-result", {
			set: { respFailureDetaches: false },
		});
		const [before, after] = around(mended.run, "d");
		expect(after).toBe(before);
	});
	test("rows 38-40: binds that are refused leave nothing behind", () => {
		const { run } = judge("bind-refusals", {});
		const refused = {
			"sibling has a kernel driver": "EPERM",
			"direct region": "EINVAL",
			"second context": "EPERM",
			"not coherent": "EINVAL",
		};
		for (const [label, errno] of Object.entries(refused)) {
			expect(run.calls[label]).toMatchObject({ errno });
			const [before, after] = around(run, label);
			expect(after).toBe(before);
		}
	});
	test("A12: a software MSI window learned by a later device leaves the domain without its cookie (MSI-1)", () => {
		expect(judge("software-msi", {}).errors).toContain("MSI-1@attach 1");
	});
});

describe.each([
	"replace-1",
	"replace-1-auto",
	"replace-3-auto",
	"only-one-attached",
	"software-msi",
])("fail-nth over %s, group-owned", (scenario) => {
	const { failableSteps } = runScenario(runScenarioNamed(scenario), {
		engine: "compiled",
	}).system;
	test.each(Array.from({ length: failableSteps }, (_, i) => i + 1))(
		"step %i: a failed call changes nothing, but for A8 (A1 mended)",
		(failNth) => {
			const run = runScenario(runScenarioNamed(scenario), {
				engine: "compiled",
				set: { failNth, sameIoasUnreserve: false },
			});
			for (const [label, { errno, step, seq }] of Object.entries(run.calls)) {
				if (errno === undefined) continue;
				// A8: attach and replace detach the device when the answer cannot be copied out.
				const { op } = run.records[seq - 1]!.data as { readonly op: string };
				if (step === "resp" && (op === "attach" || op === "replace")) continue;
				const [before, after] = around(run, label);
				expect(`${label} ${after}`).toBe(`${label} ${before}`);
			}
		},
	);
});

test("every scenario's name is its own", () => {
	expect(new Set(RUN_SCENARIOS.map(({ name }) => name)).size).toBe(
		RUN_SCENARIOS.length,
	);
});
