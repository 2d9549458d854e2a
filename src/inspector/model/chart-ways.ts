/** Shortest ways through a statechart of steps, from every state to every other. A way never goes through a new BEGIN. */
import type { Chart, ChartEdge } from "./chart.ts";

/** Ways of one chart. */
export class ChartWays {
	readonly #edges = new Map<string, ChartEdge[]>();
	readonly #from = new Map<string, ReadonlyMap<string, readonly ChartEdge[]>>();

	constructor(chart: Chart) {
		for (const edge of chart.edges) {
			const isStart = edge.event === "BEGIN" && edge.from !== "Idle";
			if (edge.to === undefined || isStart) continue;
			const known = this.#edges.get(edge.from);
			if (known === undefined) this.#edges.set(edge.from, [edge]);
			else known.push(edge);
		}
	}

	/** The shortest ways from a state, by their ends; the way to itself is empty. */
	from(state: string): ReadonlyMap<string, readonly ChartEdge[]> {
		let ways = this.#from.get(state);
		if (ways === undefined) {
			ways = this.#search(state);
			this.#from.set(state, ways);
		}
		return ways;
	}

	/** The edge that enters a state again, as a loop over devices does. */
	loop(state: string): ChartEdge | undefined {
		return this.#edges.get(state)?.find((edge) => edge.to === state);
	}

	#search(start: string): ReadonlyMap<string, readonly ChartEdge[]> {
		const ways = new Map<string, readonly ChartEdge[]>([[start, []]]);
		for (const [path, way] of ways)
			for (const edge of this.#edges.get(path) ?? []) {
				const to = edge.to as string;
				if (!ways.has(to)) ways.set(to, [...way, edge]);
			}
		return ways;
	}
}
