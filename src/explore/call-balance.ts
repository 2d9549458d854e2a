/** RSV-5 while calls are explored: what a call that fails in the end has made and dropped of reservations. */
import type { IoasContext } from "../../machines/ioas.ts";
import type { Step } from "../../machines/steps.ts";
import type { Report } from "./call-checks.ts";
import type { CallHost } from "./call-host.ts";

/** How many reservations there are of the owner, in the IOAS, that a step is about; undefined when it is about none. */
export function reservationsOf(
	{ executor }: CallHost,
	step: Step | undefined,
): number | undefined {
	if (step?.type !== "resv.add" && step?.type !== "resv.drop") return undefined;
	const { resv } = executor.context<IoasContext>(step.to).iopt;
	return resv.filter(({ owner }) => owner === ownerOf(step)).length;
}

const ownerOf = (step: Step): string => {
	const { owner, dev } = step as { owner?: string; dev?: string };
	return owner ?? dev ?? "";
};

/** The balance of a call after a step: `IOAS OWNER N;` for what does not cancel out. `before`: of reservationsOf. */
export function balanceAfter(
	balance: string,
	host: CallHost,
	step: Step | undefined,
	before: number | undefined,
): string {
	if (step === undefined || before === undefined) return balance;
	const net = new Map(entriesOf(balance));
	const key = `${step.to} ${ownerOf(step)}`;
	const by = (reservationsOf(host, step) ?? 0) - before;
	net.set(key, (net.get(key) ?? 0) + by);
	return [...net]
		.filter(([, n]) => n !== 0)
		.toSorted(([a], [b]) => (a < b ? -1 : 1))
		.map(([entry, n]) => `${entry} ${n};`)
		.join("");
}

const entriesOf = (balance: string): [string, number][] =>
	balance
		.split(";")
		.filter((text) => text !== "")
		.map((text) => {
			const at = text.lastIndexOf(" ");
			return [text.slice(0, at), Number(text.slice(at + 1))];
		});

/** Reports what a failed call leaves behind. */
export function unbalanced(
	balance: string,
	errno: string,
	report: Report,
): void {
	for (const [key, net] of entriesOf(balance)) {
		const [ioas, owner] = key.split(" ");
		report(
			"RSV-5",
			`a call failed with ${errno}, but ${owner} ${net < 0 ? "lost the reservation that was there before" : "kept a reservation that was not there before"} in ${ioas}`,
		);
	}
}
