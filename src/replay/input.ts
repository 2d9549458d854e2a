/**
 * What lies at a path, whatever it is: a native log, a kernel trace, a folder with a whole recording, recorded calls, standard input. Finds
 * out which by its content and streams header and records.
 */
import { readdir, stat } from "node:fs/promises";
import { scanLog } from "../log/read.ts";
import type { TornTail } from "../log/scan.ts";
import { type ByteSource, fileSource } from "../traces/bytes.ts";
import { importParts, importRecording } from "../traces/import.ts";
import { partOf } from "../traces/recording.ts";
import type { ImportReport } from "../traces/report.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** What a path can hold. */
export type InputFormat = "native" | "ftrace" | "qemu" | "calls";

/** How to open it. */
export interface InputOptions {
	readonly format?: "auto" | InputFormat;
	/** Read only the file named, nothing that lies beside it. */
	readonly alone?: boolean;
}

/** What is left to say when all records are through. */
export interface Ending {
	/** What lies behind the last seal of a native log and was dropped: an append that was cut short. */
	readonly tail?: TornTail;
	/** The importer's account of a recording. */
	readonly imported?: ImportReport;
}

/** An input whose kind is known. */
export interface Input {
	readonly format: InputFormat;
	/** False for standard input: it can be streamed once. */
	readonly again: boolean;
	/**
	 * Streams the header, then every record in order. A record may be reused for later ones: `copyRecord` what must stay. Throws LogError for
	 * damaged logs, ImportError for what cannot be imported, and the errors of the file system.
	 */
	readonly stream: (
		onHeader: (header: LogHeader) => void,
		onRecord: (record: LogRecord) => void,
	) => Promise<Ending>;
}

/** Opens a path; `-` is standard input. Throws the errors of the file system. */
export async function openInput(
	path: string,
	options: InputOptions = {},
): Promise<Input> {
	const source =
		path === "-" ? await peeked(fileSource("-")) : fileSource(path);
	const asked = options.format ?? "auto";
	const format = asked === "auto" ? await formatOf(path, source) : asked;
	if (format === "native")
		return { format, again: source.again, stream: nativeStream(path, source) };
	return {
		format,
		again: source.again,
		stream: importStream(path, source, format, options),
	};
}

const nativeStream =
	(path: string, source: ByteSource): Input["stream"] =>
	async (onHeader, onRecord) => {
		const { tail } = await scanLog(source.again ? path : source.open(), {
			header: onHeader,
			record: onRecord,
		});
		return tail === undefined ? {} : { tail };
	};

const importStream =
	(
		path: string,
		source: ByteSource,
		format: "ftrace" | "qemu" | "calls",
		options: InputOptions,
	): Input["stream"] =>
	async (onHeader, onRecord) => {
		const how = { alone: options.alone ?? false, format };
		const recording =
			path === "-"
				? await importParts(
						{ name: "-", [format === "calls" ? "calls" : "trace"]: source },
						how,
					)
				: await importRecording(path, how);
		onHeader(recording.header);
		await recording.run(onRecord);
		return { imported: recording.report };
	};

/** A source that can be opened once, with its first chunk looked at: `open` gives it back in front of the rest. */
async function peeked(
	source: ByteSource,
): Promise<ByteSource & { readonly first: Uint8Array }> {
	const chunks = source.open()[Symbol.asyncIterator]();
	const { value, done } = await chunks.next();
	const first = done ? new Uint8Array() : value;
	async function* all(): AsyncGenerator<Uint8Array> {
		yield first;
		for (;;) {
			const next = await chunks.next();
			if (next.done) return;
			yield next.value;
		}
	}
	return { name: source.name, again: false, open: all, first };
}

async function formatOf(
	path: string,
	source: ByteSource & { readonly first?: Uint8Array },
): Promise<InputFormat> {
	if (source.first !== undefined) return formatByContent(source.first);
	if ((await stat(path)).isDirectory())
		return formatOfFolder(await readdir(path));
	for await (const chunk of source.open()) return formatByContent(chunk);
	return "native";
}

/** A folder is a recording, or a log in segments (src/log/segments.ts). */
function formatOfFolder(names: readonly string[]): InputFormat {
	const parts = names.map(partOf);
	if (parts.includes("trace")) return "ftrace";
	if (parts.includes("calls")) return "calls";
	return names.some((name) => /^\d{16}\.(?:ndjson|blog)/.test(name))
		? "native"
		: "ftrace";
}

const SNIFF_BYTES = 4096;

/** Native unless it clearly is something else: the log's reader has the best words for what is neither. */
function formatByContent(chunk: Uint8Array): InputFormat {
	const start = Buffer.from(chunk.subarray(0, SNIFF_BYTES)).toString("latin1");
	if (/"iommu-ledger"|^\{"(?:seq|seal)"/.test(start)) return "native";
	if (/^\s*\{.*"call"/m.test(start)) return "calls";
	if (/^(?:\d+@\d+\.\d+:)?(?:iommufd_|iommu_backend_|vfio_)\w+ /m.test(start))
		return "qemu";
	return /^# tracer:|^cpus=|^\s*\S.*\s\[\d{3}\]\s/m.test(start)
		? "ftrace"
		: "native";
}
