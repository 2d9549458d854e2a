/**
 * A first look at a trace, before its header is written: has it probes (fidelity L1), which devices join a group only during the
 * trace, and was its buffer overwritten. Looks at the first PEEK_BYTES; when no probe is there, on to the end of a source
 * that can be read twice.
 */
import type { ByteSource } from "./bytes.ts";
import { EVENTS_BY_HASH } from "./events.ts";
import { LineSplitter } from "./lines.ts";
import { isQemuLine } from "./qemu.ts";
import { K } from "./keys.ts";
import { TraceLine } from "./trace-line.ts";

/** How much of a trace is looked at and held before the import starts. */
export const PEEK_BYTES = 1 << 20;

/** What the first look found, and the chunks it took, to be read again. */
export interface Peek {
	readonly probes: boolean;
	/** What the input looks like, by its first line with content. */
	readonly kind: "ftrace" | "calls" | "qemu" | "native";
	/** Devices whose first membership event is an addition: groups.txt shows them, the trace begins without. */
	readonly joining: ReadonlySet<string>;
	readonly chunks: readonly Uint8Array[];
	readonly rest: AsyncIterator<Uint8Array>;
}

/** Looks at the beginning of a trace. */
export async function peek(
	source: ByteSource,
	peekBytes = PEEK_BYTES,
): Promise<Peek> {
	const rest = source.open()[Symbol.asyncIterator]();
	const chunks: Uint8Array[] = [];
	const look = new Look();
	let size = 0;
	let done = false;
	while (size < peekBytes && !done) {
		const next = await rest.next();
		if (next.done === true) done = true;
		else {
			chunks.push(next.value);
			size += next.value.length;
			look.feed(next.value);
		}
	}
	if (!look.probes && !done && source.again && look.kind === "ftrace")
		for await (const chunk of source.open()) {
			look.feed(chunk);
			if (look.probes) break;
		}
	const { probes, joining } = look;
	return { probes, kind: look.kind ?? "ftrace", joining, chunks, rest };
}

/** The whole input again, from what was looked at. Can be used once. */
export async function* replay(looked: Peek): AsyncGenerator<Uint8Array> {
	yield* looked.chunks;
	for (;;) {
		const next = await looked.rest.next();
		if (next.done === true) return;
		yield next.value;
	}
}

/** The kind of input, by a line's beginning; undefined for a comment. */
function kindOf(text: string): Peek["kind"] | undefined {
	if (/^\s*(?:#|$)/.test(text)) return undefined;
	if (text.startsWith("{"))
		return text.includes('"format":"iommu-ledger"') ? "native" : "calls";
	return isQemuLine(text) ? "qemu" : "ftrace";
}

class Look {
	probes = false;
	kind: Peek["kind"] | undefined;
	readonly joining = new Set<string>();
	private readonly seen = new Set<string>();
	private readonly line = new TraceLine();
	private readonly splitter = new LineSplitter();

	feed(chunk: Uint8Array): void {
		this.splitter.feed(chunk, (buf, start, end) => {
			this.kind ??= kindOf(
				Buffer.from(buf.subarray(start, Math.min(end, start + 512))).toString(
					"latin1",
				),
			);
			if (!this.line.parse(buf, start, end)) return;
			const kind = EVENTS_BY_HASH.get(this.line.nameHash);
			if (kind === undefined) return;
			if (kind.probe) this.probes = true;
			if (!kind.name.endsWith("_group") || !kind.name.includes("device_"))
				return;
			this.line.tokenize();
			const name = this.line.text(K.device);
			if (name === "" || this.seen.has(name)) return;
			this.seen.add(name);
			if (kind.name.startsWith("add_")) this.joining.add(name);
		});
	}
}
