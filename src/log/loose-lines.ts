/** Lines of a damaged log, read without trusting anything: what each of them claims to be. */
import { decodeSeal, SEAL_START, type Seal } from "./seal.ts";

/** A line and what it seems to be. */
export interface LooseLine {
	/** Byte positions in the buffer; `end` excludes the newline. */
	readonly start: number;
	readonly end: number;
	/** Ends in a newline. */
	readonly whole: boolean;
	readonly kind: "header" | "record" | "seal" | "broken";
	/** For records. */
	readonly seq: number;
	readonly seal: Seal | undefined;
}

const NEWLINE = 0x0a;

/** The lines of `bytes`, at most `max` of them. */
export function looseLines(bytes: Buffer, max: number): LooseLine[] {
	const lines: LooseLine[] = [];
	let start = 0;
	while (start < bytes.length && lines.length < max) {
		const newline = bytes.indexOf(NEWLINE, start);
		const end = newline < 0 ? bytes.length : newline;
		lines.push({
			start,
			end,
			whole: newline >= 0,
			...claim(bytes.toString("utf8", start, end)),
		});
		start = end + 1;
	}
	return lines;
}

function claim(text: string): Pick<LooseLine, "kind" | "seq" | "seal"> {
	const broken = { kind: "broken", seq: -1, seal: undefined } as const;
	if (text.startsWith(SEAL_START)) {
		const seal = decodeSeal(text);
		return seal === undefined ? broken : { kind: "seal", seq: -1, seal };
	}
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return broken;
	}
	if (typeof value !== "object" || value === null) return broken;
	const { seq, format } = value as { seq?: unknown; format?: unknown };
	if (format === "iommu-ledger")
		return { kind: "header", seq: 0, seal: undefined };
	return typeof seq === "number"
		? { kind: "record", seq, seal: undefined }
		: broken;
}
