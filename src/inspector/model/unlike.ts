/** Two operations compared record by record: for two logs side by side. */
import type { Row } from "../worker/protocol.ts";

/** Longer operations are compared as sets: the table below grows with the square. */
export const ALIGNED_MAX = 400;

/** What makes two records alike: all but number, time and operation. */
export function likeness(type: string, actor: string, text: string): string {
	const at = text.indexOf(',"data":');
	return `${type} ${actor} ${at < 0 ? text : text.slice(at)}`;
}

/** Positions of rows of `here` that have no partner in `there`, keeping order where the operations are short enough. */
export function unlike(
	here: readonly Row[],
	there: readonly Row[],
): ReadonlySet<number> {
	const keyOf = ({ type, actor, text }: Row): string =>
		likeness(type, actor, text);
	const mine = here.map(keyOf);
	const theirs = there.map(keyOf);
	const isLong = mine.length > ALIGNED_MAX || theirs.length > ALIGNED_MAX;
	const known = new Set(theirs);
	const paired = isLong ? undefined : partners(mine, theirs);
	return new Set(
		here
			.filter((_, i) =>
				paired === undefined ? !known.has(mine[i] as string) : !paired.has(i),
			)
			.map((row) => row.at),
	);
}

/** The pairs of a longest common subsequence: index in `mine` → index in `theirs`, ascending. */
export function partners(
	mine: readonly string[],
	theirs: readonly string[],
): ReadonlyMap<number, number> {
	const width = theirs.length + 1;
	const length = new Uint16Array((mine.length + 1) * width);
	const of = (i: number, j: number): number => length[i * width + j] as number;
	for (let i = mine.length - 1; i >= 0; i--)
		for (let j = theirs.length - 1; j >= 0; j--)
			length[i * width + j] =
				mine[i] === theirs[j]
					? of(i + 1, j + 1) + 1
					: Math.max(of(i + 1, j), of(i, j + 1));
	const pairs = new Map<number, number>();
	for (let i = 0, j = 0; i < mine.length && j < theirs.length; ) {
		if (mine[i] === theirs[j]) pairs.set(i++, j++);
		else if (of(i + 1, j) >= of(i, j + 1)) i++;
		else j++;
	}
	return pairs;
}
