/**
 * `verify --expect FILE`: what each file must come out as. The run succeeds only when every file gets exactly the verdict, the
 * ids and the number of records listed: an unexpected green fails as an unexpected red does.
 */
import { z } from "zod";
import type { Verdict } from "./exit.ts";

const Entry = z.strictObject({
	/** Path of the log or recording, relative to the expectation file. */
	path: z.string().min(1),
	verdict: z.enum(["holds", "violated", "unexplained", "unusable"]),
	/** Ids of all errors, in any order, each once. */
	ids: z.array(z.string()),
	/** Ids of those errors that must be proven by a witness, in any order. */
	proven: z.array(z.string()).default([]),
	/** Records consumed. */
	records: z.number().int().nonnegative(),
});

const Expectations = z.strictObject({ files: z.array(Entry).min(1) });

/** What one file must come out as. */
export type Expectation = z.infer<typeof Entry>;

/** What one file did come out as. */
export interface Outcome {
	readonly verdict: Verdict;
	readonly ids: readonly string[];
	readonly proven: readonly string[];
	readonly records: number;
}

/** The expectation file cannot be used; the message says where. */
export class ExpectError extends Error {
	override readonly name = "ExpectError";
}

/** Reads an expectation file's text. Throws ExpectError naming the field that is wrong. */
export function parseExpectations(
	text: string,
	file: string,
): readonly Expectation[] {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new ExpectError(`${file}: not JSON: ${(error as Error).message}`);
	}
	const parsed = Expectations.safeParse(value);
	if (parsed.success) return parsed.data.files;
	const issue = parsed.error.issues[0];
	throw new ExpectError(
		`${file}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "wrong shape"}`,
	);
}

const sorted = (ids: readonly string[]): string =>
	[...new Set(ids)].sort().join(" ") || "none";

/** What differs between expectation and outcome, a sentence each; empty when they agree. */
export function differences(
	expected: Expectation,
	found: Outcome,
): readonly string[] {
	const pairs: readonly (readonly [string, string, string])[] = [
		["verdict", expected.verdict, found.verdict],
		["ids", sorted(expected.ids), sorted(found.ids)],
		["proven", sorted(expected.proven), sorted(found.proven)],
		["records", String(expected.records), String(found.records)],
	];
	return pairs
		.filter(([, want, got]) => want !== got)
		.map(([what, want, got]) => `${what}: expected ${want}, found ${got}`);
}
