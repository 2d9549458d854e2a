/** What a call of a thread is called, in words and in a log. */
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import { type CallHost, CTX, DEVS } from "./call-host.ts";
import type { Call } from "./call-scenario.ts";

/** A call in words. */
export const callText = (call: Call): string =>
	`${call.do} dev${call.dev}${call.to === undefined ? "" : ` H${call.to}`}`;

/** Writes op.begin; returns its number. */
export function begun(host: CallHost, call: Call): number {
	const op = (host.facts?.length ?? 0) + 1;
	const args: { [name: string]: string | number } = {
		ctx: CTX,
		dev: DEVS[call.dev - 1] ?? "",
	};
	if (call.do !== "detach") args["pt"] = host.hwpts[(call.to ?? 1) - 1] ?? 0;
	host.facts?.push({
		...(fact("op.begin", CTX as ActorId, { op: call.do, args }) as Fact),
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
