/**
 * The explorer's scenarios that come with the project: YAML files beside this module (docs/scenarios.md documents the format,
 * docs/experiments.md what each is about). The only file here that touches the disk.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { CallScenario } from "../explore/call-scenario.ts";
import { parseCallScenario } from "../explore/explore-calls.ts";
import { parseScenario } from "../explore/scenario-file.ts";
import type { Scenario } from "../explore/scenario-schema.ts";

/** Folders of scenario files: the protocols of facts pagetable-semantics.md §6, and the situations of the seed mails. */
export const SCENARIO_FOLDERS = ["protocols", "library"] as const;
/** Folder of scenarios about concurrent ioctls. */
const CALLS = "calls";

/** Where the files are: beside this module, or, when it runs compiled, in the source tree. */
function home(): string {
	const beside = import.meta.dirname;
	if (existsSync(join(beside, SCENARIO_FOLDERS[0]))) return beside;
	return join(beside, "../../../src/scenarios");
}

/** A scenario file of the project. */
export interface ScenarioFile {
	readonly name: string;
	readonly folder: (typeof SCENARIO_FOLDERS)[number] | typeof CALLS;
	readonly path: string;
}

/** All scenario files about page tables, by folder and name. */
export const scenarioFiles = (): ScenarioFile[] => filesOf(SCENARIO_FOLDERS);
/** All scenario files about concurrent calls (explore-calls.ts), by name. */
export const callScenarioFiles = (): ScenarioFile[] => filesOf([CALLS]);

function filesOf(folders: readonly ScenarioFile["folder"][]): ScenarioFile[] {
	const root = home();
	return folders.flatMap((folder) => {
		const path = join(root, folder);
		if (!existsSync(path)) return [];
		return readdirSync(path)
			.filter((file) => file.endsWith(".yaml"))
			.sort()
			.map((file) => ({
				name: file.slice(0, -".yaml".length),
				folder,
				path: join(path, file),
			}));
	});
}

/** Loads a scenario of the project by name; undefined when there is none. */
export function loadScenario(name: string): Scenario | undefined {
	const file = scenarioFiles().find((f) => f.name === name);
	if (file === undefined) return undefined;
	return parseScenario(readFileSync(file.path, "utf8"), file.path);
}

/** Loads a scenario about concurrent calls by name; undefined when there is none. */
export function loadCallScenario(name: string): CallScenario | undefined {
	const file = callScenarioFiles().find((f) => f.name === name);
	if (file === undefined) return undefined;
	return parseCallScenario(readFileSync(file.path, "utf8"), file.path);
}
