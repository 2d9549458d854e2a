/** A call of a kernel recording and its arguments (facts/trace-formats.md §2). */
import type { DeviceId, GroupId } from "../../vocabulary/ids.ts";
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { JsonObject, Reply } from "./call.ts";

/** A call of the recording. */
export interface TraceCall {
	readonly call: string;
	readonly args: JsonObject;
	readonly out: JsonObject;
	readonly ret: number;
	readonly errname: string;
	readonly t: number;
	readonly tEnd: number;
	readonly seq: number;
	/** Line in the file, from 0. */
	readonly line: number;
}

/** A numeric argument. */
export const num = (c: TraceCall, name: string): number => {
	const value = c.args[name];
	if (typeof value !== "number") throw new Error(`argument ${name} is missing`);
	return value;
};
/** A 64-bit argument. */
export const big = (c: TraceCall, name: string): bigint => {
	const value = c.args[name];
	if (typeof value !== "string" && typeof value !== "number")
		throw new Error(`argument ${name} is missing`);
	return BigInt(value);
};
/** The device argument. */
export const devOf = (c: TraceCall): DeviceId =>
	deviceId(String(c.args["dev"]));
/** The group argument. */
export const groupOf = (c: TraceCall): GroupId => groupId(num(c, "group"));

/** Renames an output and puts what the program prints on errors in its place. */
export const shown = (
	reply: Reply,
	name: string,
	as: string,
	otherwise: unknown,
): Reply => ({
	...reply,
	out: { [as]: reply.errno === null ? reply.out?.[name] : otherwise },
});
