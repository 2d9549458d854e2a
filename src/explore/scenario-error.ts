/** A scenario that cannot be used. The message names file, line and column where they are known. */
export class ScenarioError extends Error {
	override readonly name = "ScenarioError";
	/** Where in the scenario, as keys from the top; the parser turns it into line and column. */
	readonly path: readonly (string | number)[] | undefined;

	constructor(message: string, path?: readonly (string | number)[]) {
		super(message);
		this.path = path;
	}
}
