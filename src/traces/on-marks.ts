/**
 * User-space markers in the trace: `lab: B seq=… call=… key=value…`, `lab: E seq=… ret=… errno=…`. They are operations when no
 * recording of the calls lies beside the trace. `lab: N` lines hold text for people and are never looked at.
 */
import type { Call } from "./call.ts";
import type { Lane } from "./lanes.ts";
import { K } from "./keys.ts";
import type { State } from "./state.ts";

/** "lab: " at the start of the text; then B, E or N. */
const LAB = [108, 97, 98, 58, 32] as const;
const LETTER_B = 66;
const LETTER_E = 69;

/** tracing_mark_write, and trace-cmd's `print`. */
export function onMark(state: State, lane: Lane): void {
	const { line } = state;
	let at = line.textStart;
	// trace-cmd: "print: tracing_mark_write: lab: …" or "print: <address>: lab: …".
	for (let from = at; from < line.end - 6 && from < at + 64; from++)
		if (isLab(line.buf, from)) {
			at = from;
			break;
		}
	if (!isLab(line.buf, at)) return;
	const letter = line.buf[at + 5];
	state.coverage.marker();
	if (state.shown.callFile || lane.context !== 0) return;
	if (letter !== LETTER_B && letter !== LETTER_E) return;
	line.tokenize(at + 6);
	if (letter === LETTER_E) {
		const ret = line.num(K.ret);
		const errno = line.num(K.errno);
		if (!Number.isSafeInteger(ret) || !(errno >= 0))
			return state.unexplained("marker without ret or errno");
		state.calls.markEnd(state, lane.pid, ret, errno);
		return;
	}
	const name = line.text(K.call);
	if (name === "") return state.unexplained("marker without a call");
	state.calls.markBegin(state, callOf(state, lane, name));
}

function isLab(buf: Uint8Array, at: number): boolean {
	for (let i = 0; i < LAB.length; i++) if (buf[at + i] !== LAB[i]) return false;
	return true;
}

const COUNTS = [
	["dev_id", K.devId],
	["pt_id", K.ptId],
	["ioas_id", K.ioasId],
	["iommufd", K.iommufd],
	["fd", K.fd],
	["id", K.id],
	["flags", K.flags],
	["fail_nth", K.failNth],
] as const;
const TEXTS = [
	["dev", K.dev],
	["path", K.path],
	["value", K.val],
] as const;

function callOf(state: State, lane: Lane, name: string): Call {
	const { line } = state;
	const args: Record<string, unknown> = {};
	for (const [key, slot] of COUNTS) {
		const value = line.num(slot);
		if (Number.isSafeInteger(value) && value >= 0) args[key] = value;
	}
	for (const [key, slot] of TEXTS) {
		const value = line.text(slot);
		if (value !== "") args[key] = value;
	}
	for (const [key, slot] of [
		["iova", K.iova],
		["length", K.len],
		["size", K.size],
	] as const)
		if (line.u64(slot) !== undefined) args[key] = line.text(slot);
	return {
		t: line.t,
		tEnd: line.t,
		tid: lane.pid,
		name,
		args,
		out: {},
		ret: 0,
		errno: 0,
		known: false,
	};
}
