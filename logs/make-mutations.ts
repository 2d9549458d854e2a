/** Prints the tables of docs/mutations.md: `npx tsx logs/make-mutations.ts`. */
import { MUTATIONS } from "../test/traces/mutate.ts";
import { mutateAll, REASONS } from "../test/traces/mutations.ts";

const pairs = (table: ReadonlyMap<string, number>): string =>
	[...table]
		.toSorted(([, a], [, b]) => b - a)
		.map(([key, n]) => `${key} ×${n}`)
		.join(", ");
const silentEvents = new Map<string, number>();

console.log(
	"| mutation | tried | flagged | named as damage | no record changes | silent | invariants |",
);
console.log("|---|---|---|---|---|---|---|");
for (const kind of Object.keys(MUTATIONS)) {
	const { tried, flagged, named, same, silent, ids } = await mutateAll(kind);
	let quiet = 0;
	for (const [event, n] of silent) {
		quiet += n;
		silentEvents.set(event, (silentEvents.get(event) ?? 0) + n);
	}
	console.log(
		`| ${kind} | ${tried} | ${flagged} | ${named} | ${same} | ${quiet} | ${pairs(ids)} |`,
	);
}
console.log("\n| silent at | times | why it cannot be told |");
console.log("|---|---|---|");
for (const [pattern, why] of REASONS) {
	const hit = [...silentEvents].filter(([event]) => pattern.test(event));
	if (hit.length === 0) continue;
	const n = hit.reduce((sum, [, times]) => sum + times, 0);
	console.log(
		`| ${hit.map(([event]) => `\`${event}\``).join(", ")} | ${n} | ${why} |`,
	);
}
