/** Runs the program in this process and keeps what it prints. */
import { createIo } from "../../src/cli/io.ts";
import { program } from "../../src/cli/program.ts";

/** What a call came to. */
export interface Ran {
	readonly code: number;
	readonly out: string;
	readonly err: string;
}

/** Runs `iommu-ledger ARGV…` as in a pipe: no terminal, no colour, no progress. */
export async function run(...argv: string[]): Promise<Ran> {
	let out = "";
	let err = "";
	const io = createIo(
		{ write: (text) => void (out += text) },
		{ write: (text) => void (err += text) },
		{},
	);
	const code = await program(argv, io);
	return { code, out, err };
}
