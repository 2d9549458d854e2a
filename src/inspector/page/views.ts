/** The views of the main pane: id for addresses, name for people. */
export const VIEWS = [
	["topology", "Topology"],
	["statechart", "Statechart"],
	["pages", "Page table"],
	["iotlb", "IOTLB"],
	["sequence", "Sequence"],
	["violations", "Violations"],
	["diff", "Diff"],
] as const;
/** A view's id. */
export type ViewId = (typeof VIEWS)[number][0];
