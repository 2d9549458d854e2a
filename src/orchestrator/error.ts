/** What a caller of the library gets when an operation fails: the kernel's errno, the step that failed, the operation. */
import type { ErrnoName } from "../vocabulary/errno.ts";

/** An operation failed; the log holds why, from its `op.begin` on. */
export class IommuError extends Error {
	override readonly name = "IommuError";
	readonly errno: ErrnoName;
	readonly step: string;
	readonly op: string;
	/** `seq` of the operation's `op.begin`. */
	readonly seq: number;

	constructor(errno: ErrnoName, step: string, op: string, seq: number) {
		super(
			`${op} failed: ${errno} at step ${step} (operation ${seq} of the log)`,
		);
		this.errno = errno;
		this.step = step;
		this.op = op;
		this.seq = seq;
	}
}
