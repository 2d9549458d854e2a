/**
 * A first look at a trace, before its header is written: has it probes (fidelity L1), which devices join a group only during the
 * trace, and was its buffer overwritten. Looks at the first PEEK_BYTES; when no probe is there, on to the end of a source
 * that can be read twice.
 */
import type { ByteSource } from "./bytes.ts";
import { EVENTS_BY_HASH } from "./events.ts";
import { LineSplitter } from "./lines.ts";
import { K, TraceLine } from "./trace-line.ts";

/** How much of a trace is looked at and held before the import starts. */
export const PEEK_BYTES = 1 << 20;

/** What the first look found, and the chunks it took, to be read again. */
export interface Peek {
	readonly probes: boolean;
	/** Devices whose first membership event is an addition: groups.txt shows them, the trace begins without. */
	readonly joining: ReadonlySet<string>;
	readonly chunks: readonly Uint8Array[];
	readonly rest: AsyncIterator<Uint8Array>;
}

/** Looks at the beginning of a trace. */
export async function peek(source: ByteSource): Promise<Peek> {
	const rest = source.open()[Symbol.asyncIterator]();
	const chunks: Uint8Array[] = [];
	const look = new Look();
	let size = 0;
	let done = false;
	while (size < PEEK_BYTES && !done) {
		const next = await rest.next();
		if (next.done === true) done = true;
		else {
			chunks.push(next.value);
			size += next.value.length;
			look.feed(next.value);
		}
	}
	if (!look.probes && !done && source.again)
		for await (const chunk of source.open()) {
			look.feed(chunk);
			if (look.probes) break;
		}
	return { probes: look.probes, joining: look.joining, chunks, rest };
}

class Look {
	probes = false;
	readonly joining = new Set<string>();
	private readonly seen = new Set<string>();
	private readonly line = new TraceLine();
	private readonly splitter = new LineSplitter();

	feed(chunk: Uint8Array): void {
		this.splitter.feed(chunk, (buf, start, end) => {
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
