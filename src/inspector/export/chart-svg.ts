/** A statechart as an SVG file: readable in any viewer, no scripts, no fonts from elsewhere. */
import type { Box, ChartLayout } from "../model/chart-layout.ts";
import { xmlText } from "./xml.ts";
import { LINE_HEIGHT, TITLE_HEIGHT } from "../model/chart-text.ts";

const STYLE = `text{font:10.5px system-ui,"DejaVu Sans",sans-serif;fill:#3c4654}
.name{font-weight:600;font-size:12px;fill:#1b2027}.note{fill:#5b6573}
.box{fill:#fff;stroke:#7b8794}.outer{fill:#f4f6f9;stroke:#a9b3bf}.region{stroke-dasharray:5 4}
.wire{fill:none;stroke:#5b6573}.failed{stroke:#b3261e;stroke-dasharray:4 2}
@media (prefers-color-scheme:dark){svg{background:#fff}}`;

/** The drawing as text. */
export function chartSvg(layout: ChartLayout): string {
	const { width, height, chart } = layout;
	const out = [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
		`<title>${xmlText(`${chart.id}: ${chart.about}`)}</title>`,
		`<style>${STYLE}</style>`,
		'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" fill="#5b6573"/></marker></defs>',
		`<rect width="${width}" height="${height}" fill="#fff"/>`,
		...layout.boxes.flatMap(boxSvg),
		...layout.wires.map(
			({ path, line }) =>
				`<path class="wire${isFailure(line) ? " failed" : ""}" d="${path}" marker-end="url(#tip)"/>`,
		),
		"</svg>",
	];
	return `${out.join("\n")}\n`;
}

/** A transition on failure only: drawn dashed. */
export const isFailure = (line: {
	readonly edges: readonly {
		readonly event: string;
		readonly trigger: string;
	}[];
}): boolean =>
	line.edges.length > 0 &&
	line.edges.every(
		({ event, trigger }) =>
			trigger === "error" || /^(?:FAILED|.*[._]fail(?:ed)?)$/i.test(event),
	);

function boxSvg(box: Box): string[] {
	const { x, y, width, height, state } = box;
	const kind = box.isOuter ? "outer" : "box";
	const mark = box.isInitial ? "▸ " : "";
	const out = [
		`<rect class="${kind}${box.isRegion ? " region" : ""}" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`,
		`<text class="name" x="${x + 10}" y="${y + 15}">${xmlText(mark + state.name)}<tspan class="note" font-weight="400" font-size="10.5" dx="8">${xmlText(box.note)}</tspan></text>`,
	];
	if (state.kind === "final")
		out.push(
			`<rect class="box" style="fill:none" x="${x + 3}" y="${y + 3}" width="${width - 6}" height="${height - 6}" rx="4"/>`,
		);
	for (const [i, line] of box.lines.entries())
		out.push(
			`<text x="${box.linesX}" y="${y + TITLE_HEIGHT + 11 + i * LINE_HEIGHT}">${xmlText(line.text)}</text>`,
		);
	return out;
}
