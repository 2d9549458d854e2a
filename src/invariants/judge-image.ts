/** A judge as plain data: for snapshots that are kept. */
import { type WorldImage, worldImage } from "../world/image.ts";
import type { World } from "../world/types.ts";
import type { Bracket } from "./bracket.ts";
import type { Verdicts } from "./verdicts.ts";

/** A judge written down. One graph: its parts name each other. */
export interface JudgeImage {
	readonly world: WorldImage;
	/** Ids of the catalogue, whose order the counts follow. */
	readonly catalogue: readonly string[];
	readonly found: Omit<Verdicts, "header" | "catalogue" | "onViolation">;
	readonly brackets: Map<number, Bracket>;
	readonly idle: Bracket;
	readonly unrested: Bracket;
	readonly memory: Map<string, number>;
}

/** What is written down of a judge's state. */
type Parts = Pick<JudgeImage, "brackets" | "idle" | "unrested" | "memory"> & {
	readonly world: World;
	readonly verdicts: Verdicts;
};

/** Writes a judge down. The image shares with the judge: write it out before that goes on. */
export function judgeImage(parts: Parts): JudgeImage {
	const { world, verdicts, brackets, idle, unrested, memory } = parts;
	const { header: _, catalogue, onViolation: __, ...found } = verdicts;
	return {
		world: worldImage(world),
		catalogue: catalogue.map(({ id }) => id),
		found,
		brackets,
		idle,
		unrested,
		memory,
	};
}
