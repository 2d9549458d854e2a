/** Reads scenario text (YAML or JSON, which is a subset of it) and says where it is wrong; sets switches and parameters. */
import { LineCounter, isScalar, parseDocument, visit } from "yaml";
import type { z } from "zod";
import { ScenarioError } from "./scenario-error.ts";
import { type Scenario, scenarioSchema } from "./scenario-schema.ts";
import { tableSystem } from "./table-system.ts";

/** A scenario larger than this is refused: bytes. A large one of our own has 6 kB. */
const MAX_TEXT = 1_000_000;

/** Parses a scenario and resolves its names. `file` stands in messages only. Throws ScenarioError. */
export const parseScenario = (text: string, file: string): Scenario =>
	parseFile(scenarioSchema, text, file, (scenario) => {
		const system = tableSystem(scenario, { explicit: false });
		system.initial(new Uint8Array(system.bytes));
	});

/** Parses YAML or JSON of a schema; ScenarioError says where it is wrong. */
export function parseFile<T>(
	schema: z.ZodType<T>,
	text: string,
	file: string,
	check: (value: T) => void = () => {},
): T {
	if (text.length > MAX_TEXT)
		throw new ScenarioError(
			`${file}: ${text.length} characters; a scenario has at most ${MAX_TEXT}`,
		);
	const lines = new LineCounter();
	const doc = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
	const broken = doc.errors[0];
	if (broken !== undefined) {
		const at = lines.linePos(broken.pos[0]);
		const said = broken.message.split("\n")[0] ?? "";
		const why = said.includes("call stack") ? "nested too deeply" : said;
		throw new ScenarioError(`${file}:${at.line}:${at.col}: not YAML: ${why}`);
	}
	visit(doc, {
		Pair(_, { key }) {
			if (!isScalar(key) || key.value !== "__proto__") return;
			const at = lines.linePos(key.range?.[0] ?? 0);
			throw new ScenarioError(
				`${file}:${at.line}:${at.col}: __proto__ cannot be a name`,
			);
		},
	});
	const wrong = (
		message: string,
		path: readonly (string | number)[],
	): ScenarioError => {
		const at = lines.linePos(offsetOf(doc, path));
		const where = path.length === 0 ? "" : ` at ${path.join(".")}`;
		return new ScenarioError(
			`${file}:${at.line}:${at.col}: ${message}${where}`,
		);
	};
	const result = schema.safeParse(toPlain(doc, file));
	if (!result.success) {
		const issue = result.error.issues[0];
		const path = (issue?.path ?? []) as (string | number)[];
		throw wrong(issue?.message ?? "not a scenario", path);
	}
	try {
		check(result.data);
	} catch (error) {
		if (!(error instanceof ScenarioError)) throw error;
		throw wrong(error.message, error.path ?? []);
	}
	return result.data;
}

function toPlain(doc: ReturnType<typeof parseDocument>, file: string): unknown {
	try {
		return doc.toJS({ maxAliasCount: 100 });
	} catch (error) {
		throw new ScenarioError(`${file}:1:1: ${(error as Error).message}`);
	}
}

/** The offset of the node at `path`, or of its nearest ancestor. */
function offsetOf(
	doc: ReturnType<typeof parseDocument>,
	path: readonly (string | number)[],
): number {
	for (let n = path.length; n > 0; n--) {
		const node = doc.getIn(path.slice(0, n), true) as
			| { range?: [number, number, number] }
			| undefined;
		if (node?.range != null) return node.range[0];
	}
	return 0;
}

/**
 * The scenario with switches and personality parameters set (`rcu: true`, `tlbiTTL: ignored`). Throws ScenarioError for a
 * name that is neither.
 */
export function withSettings(
	scenario: Scenario,
	settings: Readonly<Record<string, boolean | string | number>>,
): Scenario {
	const switches = { ...scenario.switches };
	const personality: Record<string, unknown> = { ...scenario.personality };
	for (const [key, value] of Object.entries(settings)) {
		if (Object.hasOwn(switches, key)) {
			if (typeof value !== "boolean")
				throw new ScenarioError(`${scenario.name}: switch ${key} is on or off`);
			switches[key] = value;
		} else if (Object.hasOwn(personality, key)) personality[key] = value;
		else
			throw new ScenarioError(
				`${scenario.name}: no switch or parameter ${key}; there are ${[...Object.keys(switches), ...Object.keys(personality)].join(", ")}`,
			);
	}
	const checked = scenarioSchema.shape.personality.safeParse(personality);
	if (!checked.success)
		throw new ScenarioError(
			`${scenario.name}: ${checked.error.issues[0]?.path.join(".")}: ${checked.error.issues[0]?.message}`,
		);
	return { ...scenario, switches, personality: checked.data };
}
