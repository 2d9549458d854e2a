/** The lines of text in a state's box. Every transition is a line of the state that it leaves; its wire starts at that line. */
import type { Chart, ChartEdge, ChartState } from "./chart.ts";
import { edgeLabel } from "./chart.ts";

/** A line in a state's box. */
export interface BoxLine {
	readonly text: string;
	/** The transitions it stands for; none for entry, exit and invoke. */
	readonly edges: readonly ChartEdge[];
	/** Where they lead; undefined when the state stays. */
	readonly to: string | undefined;
}

/** Width of a character of the small font, in pixels: a little too wide for most fonts, so that text fits in all. */
export const CHARACTER_WIDTH = 6;
/** Height of a line of small text. */
export const LINE_HEIGHT = 14;
/** Height of a box' title. */
export const TITLE_HEIGHT = 20;
/** Lines longer than this are cut; the whole text is in the line's title. */
const LINE_LENGTH_MAX = 66;

/** Cuts a text that is too long for a drawing. */
export const shortened = (text: string): string =>
	text.length <= LINE_LENGTH_MAX
		? text
		: `${text.slice(0, LINE_LENGTH_MAX - 1)}…`;

/** Width of a text in the small font. */
export const textWidth = (text: string): number =>
	text.length * CHARACTER_WIDTH;

/** What a state does by itself, beside its name: `askReserve` on entry. */
export function titleNote(state: ChartState): string {
	const { entry, exit, invokes } = state;
	return [
		...(entry.length > 0 ? [`entry / ${entry.join(", ")}`] : []),
		...(exit.length > 0 ? [`exit / ${exit.join(", ")}`] : []),
		...invokes.map((actor) => `invoke ${actor}`),
	].join("  ");
}

/** The transitions out of a state, those that differ only in their event together: `DONE, FAILED [moreToDrop]`. */
export function linesOf(chart: Chart, state: ChartState): BoxLine[] {
	const bySameness = new Map<string, ChartEdge[]>();
	for (const edge of chart.edges) {
		if (edge.from !== state.path) continue;
		const key = JSON.stringify([
			edge.to,
			edge.guard,
			edge.actions,
			edge.trigger === "event" ? "" : edgeLabel(edge),
		]);
		bySameness.set(key, [...(bySameness.get(key) ?? []), edge]);
	}
	return [...bySameness.values()].map((edges) => {
		const first = edges[0] as ChartEdge;
		const event = [...new Set(edges.map((edge) => edge.event))].join(", ");
		const stays = first.to === undefined || first.to === first.from;
		const mark = stays && first.reenter ? "↻ " : "";
		return {
			text: shortened(mark + edgeLabel({ ...first, event })),
			edges,
			to: stays ? undefined : first.to,
		};
	});
}
