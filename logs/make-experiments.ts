/**
 * Writes docs/experiments.md from the scenario files and from what exploring them finds: `npm run experiments`. Verdicts, ids, states, ways and
 * tables are compared with a fresh run by test/explore/docs.test.ts; times are those of the machine that wrote the page.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { experimentsPage } from "../src/scenarios/experiments.ts";

const path = join(import.meta.dirname, "../docs/experiments.md");
writeFileSync(path, experimentsPage({ now: () => performance.now() }));
