/** What a call of a thread is called, in words and in a log. */
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { Step } from "../../machines/steps.ts";
import type { ActorId, HwptId } from "../vocabulary/ids.ts";
import type { Command } from "../orchestrator/commands.ts";
import type { Json } from "../vocabulary/fields.ts";
import { type CallHost, CTX, deviceNumbered, windowOf } from "./call-host.ts";
import type { Call } from "./call-scenario.ts";

/** What a call's target is called. */
const targetText = (to: number | string): string =>
	typeof to === "number" ? `H${to}` : to;

/** A call in words. */
export function callText(call: Call): string {
	if (call.do === "map") return `map in ${call.in} over dev${call.over}`;
	const to = call.do === "detach" ? "" : ` ${targetText(call.to)}`;
	return `${call.do} dev${call.dev}${to}`;
}

/** The arguments of a map over a device's window. */
export const mapArgs = (
	host: CallHost,
	call: Extract<Call, { do: "map" }>,
): Command<"map">["args"] => ({
	ctx: CTX,
	ioas: host.ids[call.in],
	iova: windowOf(call.over).start,
	length: "0x1000",
	va: "0xb00000",
	prot: 3,
});

/** Writes op.begin; returns its number. */
export function begun(host: CallHost, call: Call): number {
	const op = (host.facts?.length ?? 0) + 1;
	const dev = call.do === "map" ? "" : deviceNumbered(call.dev);
	const args =
		call.do === "map"
			? mapArgs(host, call)
			: call.do === "detach"
				? { ctx: CTX, dev }
				: { ctx: CTX, dev, pt: host.ids[call.to] };
	host.facts?.push({
		...(fact("op.begin", CTX as ActorId, {
			op: call.do,
			args: args as Json,
		}) as Fact),
		op,
	});
	return op;
}

/** Writes op.commit or op.fail. */
export function ended(
	host: CallHost,
	how: { readonly ok: boolean; readonly errno?: string },
): void {
	const end = how.ok
		? fact("op.commit", CTX, {})
		: fact("op.fail", CTX, { errno: how.errno as never, step: "call" });
	host.facts?.push({ ...(end as Fact), op: host.op });
}

/** A step named something that is gone: what it would have done to it is on record, and its call goes no further. */
export function strayed(host: CallHost, step: Step | undefined): void {
	if (step?.type === "obj.get" || step?.type === "obj.put") {
		const delta = step.type === "obj.get" ? step.n : -step.n;
		const obj = step.to as HwptId;
		const touch = fact("obj.ref", obj, { obj, delta, u: 0, why: step.why });
		host.facts?.push({ ...(touch as Fact), op: host.op });
	}
	ended(host, { ok: false, errno: "ENOENT" });
}
