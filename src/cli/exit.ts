/** Exit codes (DESIGN §6): the same everywhere, and of several files the worst. */

/** The outcomes of judging a file. */
export type Verdict = "holds" | "violated" | "unexplained" | "unusable";

/** 0 holds, 1 violated, 2 unusable input, 3 unexplained or incomplete. */
export const EXIT: Readonly<Record<Verdict, number>> = {
	holds: 0,
	violated: 1,
	unusable: 2,
	unexplained: 3,
};

/** Worst first: what one of several files says about them all. */
const WORST: readonly Verdict[] = [
	"unusable",
	"violated",
	"unexplained",
	"holds",
];

/** The worst of several verdicts; `holds` for none. */
export function worst(verdicts: readonly Verdict[]): Verdict {
	return WORST.find((verdict) => verdicts.includes(verdict)) ?? "holds";
}
