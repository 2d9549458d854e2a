/**
 * Runs the benchmarks one after the other, each in a process of its own: `npm run bench` for all, `npm run bench -- verify log` for some.
 * Every benchmark prints its figures beside a yardstick measured in the same process.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";

const all = readdirSync(import.meta.dirname)
	.filter(
		(file) => file.endsWith(".ts") && file !== basename(import.meta.filename),
	)
	.map((file) => basename(file, ".ts"));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
	console.error(
		`no benchmark ${unknown.join(", ")}; there are ${all.join(", ")}`,
	);
	process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : all) {
	console.log(`\n## ${name}\n`);
	const file = join(import.meta.dirname, `${name}.ts`);
	const { status } = spawnSync(
		process.execPath,
		["--expose-gc", "--import", "tsx", file],
		{ stdio: "inherit" },
	);
	if (status !== 0) process.exitCode = 1;
}
