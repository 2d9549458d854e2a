/**
 * Who executes what the library decides (docs/backends.md). A request is one call of user space: the ioctl's name and its struct's fields.
 * The model is the default backend: it decides and nothing else happens. Any other one must answer as the model decided; where it does
 * not, the log gets a `divergence` record and the caller an error.
 */
import { ERRNO, type ErrnoName } from "../../vocabulary/errno.ts";
import type { Json } from "../../vocabulary/fields.ts";

/** Struct fields by name: ids and flags are numbers, 64-bit values hex text. */
export type CallFields = { readonly [field: string]: Json };
/** One call of user space. */
export interface BackendRequest {
	/** Unique in the log: the number of the operation. */
	readonly id: number;
	/** The call as recordings spell it: `IOMMU_IOAS_MAP`. */
	readonly call: string;
	readonly args: CallFields;
}
/** The answer of a call. */
export interface BackendAnswer {
	/** 0, or -1 with an errno. */
	readonly ret: number;
	/** The errno's number and name; 0 and "" for success. */
	readonly errno: number;
	readonly errname: string;
	/** Fields that were copied back. */
	readonly out: CallFields;
}
/** What a backend knows of an earlier request: its answer, or "never" when it never saw it. */
export type Recalled = BackendAnswer | "never";

/** Executes requests, one at a time. */
export interface Backend {
	readonly name: string;
	/** Rejects with BackendError when no answer can be had: then nobody knows what became of the request. */
	execute(request: BackendRequest): Promise<BackendAnswer>;
	/** After a crash: what became of a request. A backend without memory of its own leaves it out. */
	recall?(id: number): Promise<Recalled>;
	close(): Promise<void>;
}

/**
 * Why there is no answer: `timeout`; `closed` (the agent ended or the connection broke); `bad-line` (no JSON), `line-too-long`, `bad-answer`
 * (JSON of another shape), `wrong-id` (an answer to something else); `protocol` (another version, or no greeting);
 * `unexpected-request` (a recording holds another call here); `divergence` (there is an answer, but not the model's).
 */
export type BackendErrorCode =
	| "timeout"
	| "closed"
	| "bad-line"
	| "line-too-long"
	| "bad-answer"
	| "wrong-id"
	| "protocol"
	| "unexpected-request"
	| "divergence";

/** A backend gave no answer, or not the model's. Says what to do. */
export class BackendError extends Error {
	override readonly name = "BackendError";
	readonly code: BackendErrorCode;
	/** The request it happened at; undefined when it was none's. */
	readonly request: BackendRequest | undefined;
	/** For `divergence`: what the model decided and what the backend said. */
	readonly expected: BackendAnswer | undefined;
	readonly actual: BackendAnswer | undefined;

	constructor(
		code: BackendErrorCode,
		message: string,
		more: {
			readonly request?: BackendRequest | undefined;
			readonly expected?: BackendAnswer;
			readonly actual?: BackendAnswer;
		} = {},
	) {
		super(message);
		this.code = code;
		this.request = more.request;
		this.expected = more.expected;
		this.actual = more.actual;
	}
}

/** A successful answer. */
export const succeeded = (out: CallFields): BackendAnswer => ({
	ret: 0,
	errno: 0,
	errname: "",
	out,
});
/** A refused call. */
export const refusedWith = (errname: ErrnoName): BackendAnswer => ({
	ret: -1,
	errno: ERRNO[errname],
	errname,
	out: {},
});

/** Numbers and hex text that mean the same are the same. */
function sameValue(a: Json | undefined, b: Json | undefined): boolean {
	if (a === b) return true;
	if (Array.isArray(a) && Array.isArray(b))
		return a.length === b.length && a.every((one, i) => sameValue(one, b[i]));
	if (typeof a === "object" && typeof b === "object" && a && b) {
		const keys = Object.keys(a);
		return keys.every((key) =>
			sameValue((a as CallFields)[key], (b as CallFields)[key]),
		);
	}
	return isNumber(a) && isNumber(b) && BigInt(a) === BigInt(b);
}
const isNumber = (value: unknown): value is number | string =>
	Number.isSafeInteger(value) ||
	(typeof value === "string" && /^0x[0-9a-f]{1,16}$/i.test(value));

/** Tells whether the backend answered as decided. Fields that nobody expects do not matter; on errors no field does. */
export function agrees(
	expected: BackendAnswer,
	actual: BackendAnswer,
): boolean {
	if (expected.ret < 0)
		return actual.ret < 0 && expected.errname === actual.errname;
	return actual.ret >= 0 && sameValue(expected.out, actual.out);
}
