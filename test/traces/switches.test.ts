/**
 * What the kernel did in the seed mail's scenarios (facts/trace-formats.md §4): which call switched whom, and which did nothing.
 * Findings F1 and F4 are unreported as far as we know: they have to go to the kernel's security contact before this repository is
 * made public.
 */
import { describe, expect, test } from "vitest";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { importAll, load, only } from "./support.ts";

/** Per attach / replace / detach call: its device, how many members moved, and what it was for the caller. */
function calls(records: readonly LogRecord[]): string[] {
	return only(records, "op.begin")
		.filter(({ data }) => /^(?:attach|replace|detach)$/.test(data.op))
		.map((begin) => {
			const own = records.filter(({ op }) => op === begin.seq);
			const moved = own.filter(({ type }) => type === "hw.attach").length;
			const outcome = own
				.map(({ type }) => type)
				.find((type) =>
					/^dev\.(?:attached|replaced|replace\.noop|detached)$/.test(type),
				);
			return `${begin.data.op} ${begin.actor.slice(-4)} moved ${moved} ${outcome}`;
		});
}

describe("who is switched in which call", () => {
	test("scenario 1, bridge: the first replace moves all four members, the others are no-ops", async () => {
		const { records } = await importAll(load("a_bridge_v1.M1"));
		expect(calls(records).slice(0, 6)).toEqual([
			"attach 01.0 moved 4 dev.attached",
			"attach 02.0 moved 0 dev.attached",
			"attach 03.0 moved 0 dev.attached",
			"replace 01.0 moved 4 dev.replaced",
			"replace 02.0 moved 0 dev.replace.noop",
			"replace 03.0 moved 0 dev.replace.noop",
		]);
		expect(only(records, "grp.domain.set")).toHaveLength(6);
	});

	test("scenario 2, functions of one device: a detached member still follows the replace", async () => {
		const { records } = await importAll(load("b_mfunc_v1.M1"));
		expect(calls(records).slice(0, 7)).toEqual([
			"attach 10.0 moved 3 dev.attached",
			"attach 10.1 moved 0 dev.attached",
			"attach 10.2 moved 0 dev.attached",
			"detach 10.2 moved 0 dev.detached",
			"replace 10.0 moved 3 dev.replaced",
			"replace 10.1 moved 0 dev.replace.noop",
			"attach 10.2 moved 0 dev.attached",
		]);
	});

	test("scenario 3, automatic hwpts: the old one dies inside the first replace", async () => {
		const { records } = await importAll(load("c_mfunc_v2.M1"));
		const replace = only(records, "dev.replaced")[0];
		const own = records.filter(({ op }) => op === replace?.op);
		const types = own.map(({ type }) => type);
		expect(types.indexOf("hw.attach")).toBeLessThan(
			types.indexOf("hwpt.autodestroyed"),
		);
		expect(types.indexOf("hwpt.autodestroyed")).toBeLessThan(
			types.indexOf("dom.freed"),
		);
		expect(only(records, "hwpt.live").every(({ data }) => data.auto)).toBe(
			true,
		);
	});

	test("counts follow the kernel's: n up, n-1 and 1 down", async () => {
		const { records } = await importAll(load("a_bridge_v1.M1"));
		const replace = only(records, "dev.replaced")[0];
		const refs = only(records, "obj.ref")
			.filter(({ op }) => op === replace?.op)
			.map(({ data }) => [data.delta, data.u]);
		expect(refs).toEqual([
			[3, 4],
			[-2, 2],
			[-1, 1],
		]);
	});

	test("reservations move for every attached device, in order", async () => {
		const { records } = await importAll(load("a_bridge_v1.M1"));
		const replace = only(records, "dev.replaced")[0];
		const own = records.filter(({ op }) => op === replace?.op);
		expect(only(own, "resv.added").map(({ data }) => data.owner)).toEqual(
			only(own, "resv.dropped").map(({ data }) => data.owner),
		);
		expect(only(own, "resv.added")[0]?.data.ranges).toEqual([
			[0xfee00000, 0xfeefffff],
		]);
	});

	test("a replace that fails drops live reservations: taken back without having been added (finding F1)", async () => {
		const { records } = await importAll(load("f1_same_single_v1.A1"));
		const failed = only(records, "op.fail").filter(
			({ data }) => data.errno === "ENOMEM",
		);
		const dropped = failed.filter(({ op }) => {
			const own = records.filter((record) => record.op === op);
			return (
				own.some(({ type }) => type === "resv.dropped") &&
				!own.some(({ type }) => type === "resv.added")
			);
		});
		expect(failed).toHaveLength(8);
		expect(dropped).toHaveLength(8);
	});

	test("an errno after a completed replace: the caller is off the list, the group stays moved (finding F4)", async () => {
		const { records } = await importAll(load("f4_ro_mfunc_v1.B5"));
		const fault = only(records, "op.fail").find(({ op, data }) => {
			return (
				data.errno === "EFAULT" &&
				records.some(
					(record) => record.op === op && record.type === "dev.replaced",
				)
			);
		});
		const own = records.filter(({ op }) => op === fault?.op);
		expect(only(own, "hw.attach")).toHaveLength(3);
		expect(only(own, "dev.detached").map(({ data }) => data.last)).toEqual([
			false,
		]);
	});
});
