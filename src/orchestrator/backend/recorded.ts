/** A backend that answers from a recording: for tests, and to try the library on what a kernel once said. */
import { sameJson } from "../same-json.ts";
import type {
	Backend,
	BackendAnswer,
	BackendRequest,
	CallFields,
} from "./backend.ts";
import { BackendError } from "./backend.ts";

/** One recorded call with its answer. Without `args` it takes whatever is asked. */
export interface RecordedCall extends BackendAnswer {
	readonly call: string;
	readonly args?: CallFields;
}

/** Answers requests with the recorded answers, in order. Another call than the recorded one is a BackendError `unexpected-request`. */
export function recordedBackend(calls: Iterable<RecordedCall>): Backend {
	const left = [...calls];
	let at = 0;
	return {
		name: "recorded",
		async execute(request) {
			const next = left[at];
			if (next === undefined)
				throw unexpected(request, `the recording ends after ${at} calls`);
			const { call, args, ...answer } = next;
			if (
				call !== request.call ||
				(args !== undefined && !sameJson(args, request.args))
			)
				throw unexpected(
					request,
					`call ${at + 1} of the recording is ${call} ${JSON.stringify(args ?? {})}`,
				);
			at++;
			return answer;
		},
		async close() {},
	};
}
const unexpected = (request: BackendRequest, why: string): BackendError =>
	new BackendError(
		"unexpected-request",
		`${request.call} ${JSON.stringify(request.args)}: ${why}`,
		{ request },
	);

/** Passes everything on to another backend and keeps what it answered: `calls` can be played again by recordedBackend. */
export function recordingBackend(
	inner: Backend,
): Backend & { readonly calls: readonly RecordedCall[] } {
	const calls: RecordedCall[] = [];
	return {
		name: `recording of ${inner.name}`,
		calls,
		async execute(request) {
			const answer = await inner.execute(request);
			const { call, args } = request;
			calls.push({ call, args, ...answer });
			return answer;
		},
		...(inner.recall === undefined
			? {}
			: { recall: (id: number) => inner.recall!(id) }),
		close: () => inner.close(),
	};
}
