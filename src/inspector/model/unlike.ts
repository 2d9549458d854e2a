/** Which records of an operation the other log's operation has not: for two logs side by side. */
import type { Row } from "../worker/protocol.ts";

/** Longer operations are compared as sets: the table below grows with the square. */
const ALIGNED_MAX = 400;

/** What makes two records alike: all but number, time and operation. */
function likeness(row: Row): string {
	const at = row.text.indexOf(',"data":');
	return `${row.type} ${row.actor} ${at < 0 ? row.text : row.text.slice(at)}`;
}

/** Positions of rows of `here` that have no partner in `there`, keeping order where the operations are short enough. */
export function unlike(
	here: readonly Row[],
	there: readonly Row[],
): ReadonlySet<number> {
	const mine = here.map(likeness);
	const theirs = there.map(likeness);
	const isLong = mine.length > ALIGNED_MAX || theirs.length > ALIGNED_MAX;
	const paired = isLong
		? new Set(mine.flatMap((key, i) => (theirs.includes(key) ? [i] : [])))
		: aligned(mine, theirs);
	return new Set(here.filter((_, i) => !paired.has(i)).map((row) => row.at));
}

/** Indices of `mine` in a longest common subsequence. */
function aligned(
	mine: readonly string[],
	theirs: readonly string[],
): ReadonlySet<number> {
	const width = theirs.length + 1;
	const length = new Uint16Array((mine.length + 1) * width);
	const of = (i: number, j: number): number => length[i * width + j] as number;
	for (let i = mine.length - 1; i >= 0; i--)
		for (let j = theirs.length - 1; j >= 0; j--)
			length[i * width + j] =
				mine[i] === theirs[j]
					? of(i + 1, j + 1) + 1
					: Math.max(of(i + 1, j), of(i, j + 1));
	const paired = new Set<number>();
	for (let i = 0, j = 0; i < mine.length && j < theirs.length; ) {
		if (mine[i] === theirs[j]) {
			paired.add(i++);
			j++;
		} else if (of(i + 1, j) >= of(i, j + 1)) i++;
		else j++;
	}
	return paired;
}
