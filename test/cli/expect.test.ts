import { expect, test } from "vitest";
import {
	differences,
	ExpectError,
	parseExpectations,
} from "../../src/cli/expect.ts";

const entry = {
	path: "a",
	verdict: "violated",
	ids: ["PT-32"],
	proven: ["PT-32"],
	records: 3,
} as const;

test("agrees with exactly the same outcome, whatever the order of ids", () => {
	const expected = {
		...entry,
		ids: ["RSV-2", "PT-32"],
		proven: [...entry.proven],
	};
	expect(
		differences(expected, { ...entry, ids: ["PT-32", "RSV-2", "PT-32"] }),
	).toEqual([]);
});

test("an unexpected green is a difference", () => {
	const found = { verdict: "holds", ids: [], proven: [], records: 3 } as const;
	expect(
		differences(
			{ ...entry, ids: [...entry.ids], proven: [...entry.proven] },
			found,
		),
	).toEqual([
		"verdict: expected violated, found holds",
		"ids: expected PT-32, found none",
		"proven: expected PT-32, found none",
	]);
});

test("one record less is a difference", () => {
	const expected = { ...entry, ids: [...entry.ids], proven: [...entry.proven] };
	expect(differences(expected, { ...entry, records: 2 })).toEqual([
		"records: expected 3, found 2",
	]);
});

test.each([
	["{", "not JSON"],
	['{"files":[]}', "files"],
	[
		'{"files":[{"path":"a","verdict":"green","ids":[],"records":1}]}',
		"verdict",
	],
	[
		'{"files":[{"path":"a","verdict":"holds","ids":[],"records":1,"x":1}]}',
		"x",
	],
])("a file that cannot be used names the place: %s", (text, part) => {
	expect(() => parseExpectations(text, "e.json")).toThrow(ExpectError);
	expect(() => parseExpectations(text, "e.json")).toThrow(part);
});
