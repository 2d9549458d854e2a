/**
 * Importers: a recording of a real kernel in, records of the log out. `importRecording` finds what there is (a folder, a trace, calls
 * alone, standard input), writes the header first and then the records, in the order of the trace, in one pass whose memory
 * does not grow with the trace.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { ByteSource } from "./bytes.ts";
import { fileSource, pullLines, readText } from "./bytes.ts";
import { CallBook } from "./call-book.ts";
import type { GroupEntry } from "./groups.ts";
import { parseGroups } from "./groups.ts";
import { headerOf } from "./header.ts";
import { LineSplitter } from "./lines.ts";
import type { Sink } from "./output.ts";
import { Output } from "./output.ts";
import type { Peek } from "./peek.ts";
import { peek } from "./peek.ts";
import type { ImportReport } from "./report.ts";
import { emptyReport } from "./report.ts";
import { State } from "./state.ts";
import { TraceImport } from "./trace-import.ts";
import { TraceLine } from "./trace-line.ts";
import { Witness } from "./witness.ts";
import { u64 } from "../vocabulary/fields.ts";

/** A recording that cannot be read at all. */
export class ImportError extends Error {
	override readonly name = "ImportError";
}

/** The parts of a recording. Any may be missing, but a trace or calls must be there. */
export interface Recording {
	readonly name: string;
	readonly trace?: ByteSource;
	readonly calls?: ByteSource;
	readonly witness?: ByteSource;
	readonly groups?: ByteSource;
	readonly cmdline?: ByteSource;
	readonly dmesg?: ByteSource;
	readonly counts?: ByteSource;
}

/** How to import. `alone`: only the file named, not what lies beside it. */
export interface ImportOptions {
	readonly alone?: boolean;
	readonly format?: "auto" | "ftrace" | "calls";
	/** Called now and then with the bytes of the trace read so far. */
	readonly onProgress?: (bytes: number) => void;
}

/** An import under way: the header is known, the records come with `batches` (once). `report` is final when they end. */
export interface ImportedRecording {
	readonly header: LogHeader;
	readonly report: ImportReport;
	/** Records in order, some thousands at a time. Can be iterated once. */
	readonly batches: AsyncIterable<readonly LogRecord[]>;
	/** The same, one call a record: the fastest way. Resolves when all are through. */
	readonly run: (sink: Sink) => Promise<ImportReport>;
}

/** File names of the parts, without ".gz". */
const PARTS: { readonly [name: string]: keyof Recording | undefined } = {
	"trace.txt": "trace",
	"calls.ndjson": "calls",
	"qemu_vtd.txt": "witness",
	"groups.txt": "groups",
	"cmdline.txt": "cmdline",
	"dmesg.txt": "dmesg",
	"counts.json": "counts",
};

/** The part a file holds, by its name, or undefined. */
export function partOf(fileName: string): keyof Recording | undefined {
	return PARTS[fileName.replace(/\.gz$/, "")];
}

/** Finds the parts of a recording: of a folder, or of a file and its siblings. Throws ImportError when there is nothing to read. */
export async function findRecording(
	path: string,
	options: ImportOptions = {},
): Promise<Recording> {
	if (path === "-") return single("-", options.format === "calls");
	const info = await stat(path).catch(() => undefined);
	if (info === undefined)
		throw new ImportError(`${path}: no such file or folder`);
	if (info.isDirectory()) return folder(path);
	const own = partOf(basename(path));
	const isCalls =
		options.format === "calls" ||
		(options.format !== "ftrace" &&
			(own === "calls" || /\.ndjson(\.gz)?$/.test(path)));
	if (options.alone === true || own === undefined) return single(path, isCalls);
	const around = await folder(dirname(path));
	if (isCalls) {
		const { trace: _trace, ...rest } = around;
		return { ...rest, name: path, calls: fileSource(path) };
	}
	return { ...around, name: path, trace: fileSource(path) };
}

const single = (path: string, isCalls: boolean): Recording =>
	isCalls
		? { name: path, calls: fileSource(path) }
		: { name: path, trace: fileSource(path) };

async function folder(path: string): Promise<Recording> {
	const found: { [part: string]: ByteSource | string } = { name: path };
	for (const name of (await readdir(path === "" ? "." : path)).sort()) {
		const part = partOf(name);
		if (part !== undefined) found[part] ??= fileSource(join(path, name));
	}
	const recording = found as unknown as Recording;
	if (recording.trace === undefined && recording.calls === undefined)
		throw new ImportError(
			`${path}: no recording here (expected trace.txt or calls.ndjson, plain or gzip)`,
		);
	return recording;
}

/** Opens a recording: a folder, a trace file with its siblings, calls.ndjson, or "-". */
export async function importRecording(
	path: string,
	options: ImportOptions = {},
): Promise<ImportedRecording> {
	return importParts(await findRecording(path, options), options);
}

const text = async (source: ByteSource | undefined): Promise<string> =>
	source === undefined ? "" : ((await readText(source)) ?? "");

/** Imports a recording whose parts are at hand. */
export async function importParts(
	parts: Recording,
	options: ImportOptions = {},
): Promise<ImportedRecording> {
	if (parts.trace === undefined && parts.calls === undefined)
		throw new ImportError(`${parts.name}: neither a trace nor calls to read`);
	const cmdline = await text(parts.cmdline);
	const dmesg = await text(parts.dmesg);
	const groupsText = parts.groups && (await text(parts.groups));
	const groups = groupsText === undefined ? undefined : parseGroups(groupsText);
	const counts = parseCounts(await text(parts.counts));
	const looked = parts.trace && (await peek(parts.trace));
	const header = headerOf(
		{ cmdline, dmesg, groups },
		looked?.probes === true ? "L1" : "L0",
		looked?.joining ?? new Set(),
		looked === undefined ? "calls" : "ftrace",
	);
	const report = emptyReport();
	const start = (sink: Sink): Run =>
		new Run(parts, looked, header, groups ?? [], counts, report, sink);
	return {
		header,
		report,
		batches: {
			[Symbol.asyncIterator]: () => batches(start, options),
		},
		run: async (sink) => {
			const run = start(sink);
			for await (const bytes of run.steps()) options.onProgress?.(bytes);
			return report;
		},
	};
}

async function* batches(
	start: (sink: Sink) => Run,
	options: ImportOptions,
): AsyncGenerator<readonly LogRecord[]> {
	let batch: LogRecord[] = [];
	const run = start((record) => batch.push(record));
	for await (const bytes of run.steps()) {
		options.onProgress?.(bytes);
		if (batch.length === 0) continue;
		const full = batch;
		batch = [];
		yield full;
	}
	if (batch.length > 0) yield batch;
}

/** What counts.json tells about the recorder: missed probe hits, the spread of the emulator's clock. No answer is read from it. */
interface RecorderCounts {
	readonly missed: number;
	readonly spreadNs: number | undefined;
}

function parseCounts(json: string): RecorderCounts {
	let value: unknown;
	try {
		value = JSON.parse(json === "" ? "{}" : json);
	} catch {
		value = {};
	}
	const fields = (value ?? {}) as Record<string, unknown>;
	const missed = fields["kprobe_missed"];
	const spread = fields["qemu_offset_spread_us"];
	const high = Array.isArray(spread) ? spread[1] : undefined;
	return {
		missed: Number.isSafeInteger(missed) ? Math.max(0, missed as number) : 0,
		spreadNs:
			typeof high === "number" && high >= 0 && high < 1e9
				? high * 1000
				: undefined,
	};
}

/** One pass over a recording. */
class Run {
	private readonly state: State;
	private readonly trace: TraceImport;
	private readonly splitter = new LineSplitter();
	private readonly probe = new TraceLine();
	private readonly looked: Peek | undefined;
	private readonly report: ImportReport;
	private readonly witness: Witness | undefined;

	constructor(
		parts: Recording,
		looked: Peek | undefined,
		header: LogHeader,
		groups: readonly GroupEntry[],
		counts: RecorderCounts,
		report: ImportReport,
		sink: Sink,
	) {
		this.looked = looked;
		this.report = report;
		const book = new CallBook(report, parts.calls && pullLines(parts.calls));
		const out = new Output(sink);
		this.state = new State(
			out,
			report,
			book,
			header.iommu.scalable,
			header.fidelity !== "L0",
		);
		this.state.shown.callFile = parts.calls !== undefined;
		seedTopology(this.state, header);
		seedReserved(this.state, groups);
		this.witness =
			parts.witness && looked !== undefined
				? new Witness(report, pullLines(parts.witness), counts.spreadNs)
				: undefined;
		this.witness?.bind(this.state);
		book.witness = this.witness;
		this.trace = new TraceImport(this.state);
		if (counts.missed > 0)
			out.emit(
				0,
				"trace.lost",
				"host",
				{
					n: counts.missed,
					why: "probe hits missed since boot (recorder's count)",
				},
				undefined,
			);
	}

	/** Works through the recording; yields the bytes read so far after each piece. */
	async *steps(): AsyncGenerator<number> {
		const { report, looked } = this;
		if (looked !== undefined) {
			for (const chunk of looked.chunks) {
				await this.chunk(chunk);
				yield report.bytes;
			}
			for (;;) {
				const next = await looked.rest.next();
				if (next.done === true) break;
				await this.chunk(next.value);
				yield report.bytes;
			}
			this.splitter.finish(this.trace.take);
			this.trace.finish();
		}
		yield* this.tail();
		this.state.out.flush();
		report.records = this.state.out.written;
	}

	private async chunk(chunk: Uint8Array): Promise<void> {
		this.report.bytes += chunk.length;
		const { calls } = this.state;
		if (calls.more || this.witness !== undefined) {
			const t = this.lastTime(chunk);
			if (t !== undefined) {
				await calls.ensure(t);
				await this.witness?.ensure(t);
			}
		}
		this.splitter.feed(chunk, this.trace.take);
	}

	/** The time of the last whole line of a chunk that has one. */
	private lastTime(chunk: Uint8Array): number | undefined {
		let end = chunk.lastIndexOf(10);
		for (let tries = 0; end > 0 && tries < 100; tries++) {
			const start = chunk.lastIndexOf(10, end - 1) + 1;
			if (this.probe.parse(chunk, start, end)) return this.probe.t;
			end = start - 1;
		}
		return undefined;
	}

	/** What is left of calls and of the emulator's log when the trace has ended, or was never there. */
	private async *tail(): AsyncGenerator<number> {
		const { calls } = this.state;
		for (;;) {
			const until = await calls.known();
			if (!calls.more) break;
			calls.advance(this.state, until);
			yield this.report.bytes;
		}
		const { witness } = this;
		while (witness?.more === true) {
			await witness.ensure(Number.POSITIVE_INFINITY);
			witness.finish();
			yield this.report.bytes;
		}
	}
}

/** The names of the header's topology, so that they are not learned again. */
function seedTopology(state: State, header: LogHeader): void {
	for (const { group: id, members } of header.topology.groups) {
		const group = state.ids.group(Number(id.slice(6)));
		for (const member of members) {
			const device = state.ids.device(member.dev.slice(7));
			device.group = group;
			group.members.add(device);
		}
	}
}

/** What iommufd reserves for each device: all but "direct-relaxable" (iopt_table_enforce_dev_resv_regions). */
function seedReserved(state: State, groups: readonly GroupEntry[]): void {
	for (const { members, resv } of groups)
		for (const { name } of members)
			state.ids.device(name).reserved = resv
				.filter(({ kind }) => kind !== "direct-relaxable")
				.map(({ start, last }) => [u64(BigInt(start)), u64(BigInt(last))]);
}
