/** Every invariant has a record sequence that breaks it, that breaks nothing else before it, and that holds without its last operation. */
import { expect, test } from "vitest";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { bound, Builder, header, TOPOLOGY } from "../world/build.ts";
import { GROUP_BREAKS, wholeLife, type Break } from "./breaks-groups.ts";
import { MEMORY_BREAKS } from "./breaks-memory.ts";
import { USER_BREAKS } from "./breaks-users.ts";

const BREAKS: { readonly [id: string]: Break } = {
	...GROUP_BREAKS,
	...MEMORY_BREAKS,
	...USER_BREAKS,
};

/** Regions that only some breaks need. */
function topologyFor(id: string): Partial<LogHeader> {
	const region =
		id === "RSV-6"
			? { start: "0xd0000000", last: "0xd00fffff", kind: "reserved" as const }
			: id === "MSI-1"
				? { start: "0x8000000", last: "0x80fffff", kind: "sw-msi" as const }
				: undefined;
	if (region === undefined) return {};
	const [group] = TOPOLOGY.groups as [(typeof TOPOLOGY.groups)[number]];
	const members = group.members.map((member, i) =>
		(id === "RSV-6") === (i === 1)
			? {
					...member,
					resv:
						id === "MSI-1" && i === 0
							? [region]
							: id === "RSV-6"
								? [...member.resv, region]
								: member.resv,
				}
			: member,
	);
	return { topology: { ...TOPOLOGY, groups: [{ ...group, members }] } };
}

/** Rows about page tables that are logged entry by entry have whole logs instead: test/scenarios/table-runs.test.ts. */
const entryByEntry = new Set(
	CATALOGUE.filter(
		({ id, entries, test: state }) =>
			entries === true ||
			(state !== undefined && /^PT-(5|9|10|26|52)$/.test(id)),
	).map(({ id }) => id),
);

test("the table of breaks covers the catalogue and nothing else", () => {
	expect(Object.keys(BREAKS).sort()).toEqual(
		CATALOGUE.map(({ id }) => id)
			.filter((id) => !entryByEntry.has(id))
			.sort(),
	);
});

test.each(Object.entries(BREAKS))(
	"%s is the first to fail",
	(id, { before, bad, header: more, fresh }) => {
		const head = header({
			...topologyFor(id),
			...more,
		});
		const start = () => (fresh === true ? new Builder() : bound());
		const prefix = start();
		before?.(prefix);
		const good = verifyRecords(head, prefix.records);
		expect(
			[...good.violations, ...good.warnings].filter((one) => one.id === id),
		).toEqual([]);
		const b = start();
		before?.(b);
		bad(b);
		const report = verifyRecords(head, b.records);
		const all = [...report.violations, ...report.warnings];
		expect(all.map((one) => one.id)).toContain(id);
		const severity = CATALOGUE.find((one) => one.id === id)?.severity;
		const first =
			severity === "warning" ? report.warnings[0] : report.violations[0];
		expect(`${first?.id}: ${first?.message}`).toMatch(new RegExp(`^${id}: `));
		expect(
			first?.leadingRecords.every((seq) => seq > 0 && seq <= b.records.length),
		).toBe(true);
		expect(first?.message).not.toMatch(/undefined|NaN|\[object/);
	},
);

test("a right life breaks nothing and exercises most of the catalogue", () => {
	const b = bound();
	wholeLife(b);
	const report = verifyRecords(header(), b.records);
	expect(report.violations).toEqual([]);
	expect(report.verdict).toBe("holds");
	expect(
		report.invariants.filter(({ checked }) => checked > 0).length,
	).toBeGreaterThanOrEqual(35);
});
