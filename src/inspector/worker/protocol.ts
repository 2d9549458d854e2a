/**
 * What the page and a log's worker say to each other. Calls have one answer each; news come unasked. Everything is plain data, and
 * large columns travel as transferable buffers.
 */
import type { Gap } from "../model/gaps.ts";
import type { Chart } from "../model/chart.ts";
import type { IotlbPicture } from "../model/iotlb.ts";
import type { PageTablePicture } from "../model/page-table.ts";
import type { Topology } from "../model/topology.ts";
import type { LineProblem } from "../model/log-index.ts";
import type { Span } from "../model/spans.ts";
import type { TimelinePicture, TimelineWindow } from "../model/timeline.ts";
import type { StaleWindow } from "./stale-history.ts";

/** A record as a list shows it. `at` is its position from 0. */
export interface Row {
	readonly at: number;
	readonly seq: number;
	readonly t: number;
	readonly type: string;
	readonly actor: string;
	readonly op: number;
	/** The whole line. */
	readonly text: string;
}

/** What is known of a log so far. */
export interface Summary {
	readonly header: Readonly<Record<string, unknown>> | undefined;
	readonly count: number;
	readonly lengthBytes: number;
	readonly seals: number;
	readonly operations: number;
	readonly problems: readonly LineProblem[];
	readonly problemCount: number;
	readonly types: readonly string[];
	readonly actors: readonly string[];
	/** Records that the world's fold has seen. */
	readonly folded: number;
	/** Records that could not be folded, and why not the first. */
	readonly unreadable: number;
	readonly firstUnreadable: string | undefined;
	readonly tFirst: number;
	readonly tLast: number;
}

/** A broken invariant, for people. */
export interface ViolationRow {
	readonly id: string;
	readonly severity: "error" | "warning";
	readonly evidence: "possible" | "proven";
	readonly seq: number;
	/** Position of the record. */
	readonly at: number;
	readonly message: string;
	readonly sentence: string;
	readonly harm: string;
	readonly subject: string;
	readonly actors: readonly string[];
	readonly source: readonly string[];
	readonly leading: readonly Row[];
	readonly healedSeq: number | undefined;
	readonly uses: readonly { readonly seq: number; readonly what: string }[];
}
/** What the judge found so far. */
export interface Judgement {
	/** Records judged, of how many. */
	readonly judged: number;
	readonly violations: readonly ViolationRow[];
	readonly warnings: readonly ViolationRow[];
	readonly leftOut: number;
	readonly unexplained: readonly {
		readonly id: string;
		readonly missing: string;
		readonly seq: number;
		readonly count: number;
	}[];
	readonly checked: number;
	readonly exercised: number;
	readonly catalogue: number;
}

/** Two places in a log compared. */
export interface Difference {
	readonly what: string;
	readonly actor: string;
	readonly before: string;
	readonly after: string;
}

/** Where an actor, or the operation at the cursor, stands in its statechart. */
export interface ChartPlace {
	/** Id of the machine; `flow` picks among machines of one id. */
	readonly machine: string;
	readonly flow: string;
	readonly subject: string;
	readonly states: readonly string[];
	/** The transition that led here, when it is known. */
	readonly last: { readonly from: string; readonly to: string } | undefined;
	/** Position of the record that led here. */
	readonly since: number;
	/** States passed by an operation so far. */
	readonly passed: readonly string[];
	readonly note: string;
}

/** Where a position lies among the operations, for two logs side by side. */
export interface Place {
	/** Operations begun up to here. */
	readonly operations: number;
	/** Records since the last one began, and how many it has. */
	readonly offset: number;
	readonly length: number;
	/** What its first records are, to find their partners (model/unlike.ts). */
	readonly keys: readonly string[];
}

/** Which neighbour of a record is wanted. */
export type Neighbour = "operation" | "actor" | "failure" | "violation";

/** The calls: name → [argument, answer]. */
export interface Calls {
	rows: [{ positions: readonly number[] }, readonly Row[]];
	timeline: [TimelineWindow, TimelinePicture];
	/** Positions that match; empty query: undefined = all. A newer filter call ends an older one (it answers undefined too). */
	filter: [{ query: string }, Uint32Array | undefined];
	/** Position of a neighbour of `at` in that direction, or −1. */
	neighbour: [{ at: number; direction: 1 | -1; what: Neighbour }, number];
	positionOf: [{ seq: number }, number];
	/** The operation that the record at `at` belongs to, or else (`isOwn` false) the last begun of those that were running. */
	operationAt: [
		{ at: number },
		(Span & { readonly isOwn: boolean }) | undefined,
	];
	/** Who translates whom; undefined when the log is not one of ours. */
	topology: [{ at: number }, Topology | undefined];
	/** The statechart's place of an actor; without one, of the saga or the operation at the cursor. */
	chart: [
		{ at: number; actor?: string; isSaga?: boolean },
		ChartPlace | undefined,
	];
	/** All matching records as CSV / the timeline as a Chrome trace. */
	csv: [{ query: string }, string];
	perfetto: [object, string];
	violations: [object, Judgement | undefined];
	/** Positions of errors, ascending. */
	marks: [object, Uint32Array];
	/** A domain's page table: of `domain`, or of the first that has one. */
	pageTable: [
		{
			at: number;
			domain?: string;
			window?: { readonly from: number; readonly to: number };
		},
		(
			| { domains: readonly string[]; picture: PageTablePicture | undefined }
			| undefined
		),
	];
	iotlb: [{ at: number }, IotlbPicture | undefined];
	staleWindows: [
		{ from: number; to: number },
		{ windows: readonly StaleWindow[]; dropped: number },
	];
	diff: [{ from: number; to: number }, readonly Difference[] | undefined];
	/** Charts that the log itself brings (watched actor systems), and the actors that have one. */
	charts: [object, readonly Chart[]];
	placeOf: [{ at: number }, Place];
	positionOfPlace: [Place, number];
	/** Rows of one operation, capped; and what others did between them. */
	operation: [
		{ op: number },
		(
			| {
					span: Span;
					rows: readonly Row[];
					leftOut: number;
					gaps: readonly Gap[];
			  }
			| undefined
		),
	];
}
/** A call's name. */
export type CallName = keyof Calls;

/** Page → worker. */
export type ToWorker =
	| {
			readonly kind: "open";
			readonly url?: string;
			readonly bytes?: Uint8Array;
			readonly live: boolean;
			readonly sizeHintBytes?: number;
	  }
	| {
			readonly kind: "call";
			readonly id: number;
			readonly name: CallName;
			readonly argument: unknown;
	  };

/** How far the worker is. */
export interface Progress {
	readonly summary: Summary;
	/** All bytes of a log that does not grow are indexed. */
	readonly isComplete: boolean;
	/** … and judged to its end. */
	readonly isJudged: boolean;
	/** A live log's connection: what a person should know about it. */
	readonly connection: "none" | "following" | "reconnecting" | "ended";
	readonly error: string | undefined;
}

/** Worker → page. */
export type FromWorker =
	| {
			readonly kind: "answer";
			readonly id: number;
			readonly value?: unknown;
			readonly error?: string;
	  }
	| { readonly kind: "progress"; readonly progress: Progress };
