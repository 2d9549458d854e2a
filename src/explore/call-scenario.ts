/** Scenarios about concurrent ioctls: threads of attach, replace, detach and map calls on the devices of one group or more (seed mail 3). */
import { z } from "zod";
import { FLOWS } from "../orchestrator/switches.ts";
import { isErrnoName } from "../vocabulary/errno.ts";

/** Devices that a scenario may name. */
export const DEVICES_MAX = 6;

const dev = z.int().min(1).max(DEVICES_MAX);
/** A hwpt (H1 on IOAS A, H2 on IOAS B), or an IOAS, whose automatic hwpt is found or made. */
const target = z.union([
	z.literal(1),
	z.literal(2),
	z.literal("A"),
	z.literal("B"),
]);
const call = z.discriminatedUnion("do", [
	z.strictObject({ do: z.literal("attach"), dev, to: target }),
	z.strictObject({ do: z.literal("replace"), dev, to: target }),
	z.strictObject({ do: z.literal("detach"), dev }),
	/** IOAS_MAP into A or B, over the window of a device. */
	z.strictObject({ do: z.literal("map"), in: z.enum(["A", "B"]), over: dev }),
]);
const refusal = z.strictObject({
	dev,
	/** Which hwpt's domain, or that of any. */
	to: z.union([z.literal(1), z.literal(2), z.literal("any")]),
	errno: z
		.string()
		.refine(isErrnoName, "an errno such as EINVAL")
		.default("EINVAL"),
	when: z.enum(["forward", "undo", "any"]).default("forward"),
});

export const callScenarioSchema = z
	.strictObject({
		name: z.string().min(1),
		title: z.string().optional(),
		question: z.string().optional(),
		source: z.string().optional(),
		flow: z.enum(FLOWS).default("group-owned"),
		/** group: each transaction takes the group's lock. call: a lock around every whole ioctl. none: no lock at all. */
		locks: z.enum(["group", "call", "none"]).default("group"),
		/**
		 * VFIO's device sets: a call holds the lock of its device's set (vfio/device_cdev.c takes dev_set->lock), unless `locks: none`. A device
		 * that is in none of these is a set of its own.
		 */
		sets: z.array(z.array(dev).min(1)).max(3).default([]),
		/** iommu_groups, by their devices; all are bound. */
		groups: z
			.array(z.array(dev).min(1))
			.min(1)
			.max(3)
			.default([[1, 2, 3]]),
		/** Devices with a reserved window of their own, which attach reserves in the IOAS. */
		windows: z.array(dev).default([]),
		/** Devices that are attached before the threads start, in this order. */
		attached: z.array(dev).default([]),
		/** What they are attached to. */
		at: target.default(1),
		/** Drivers that refuse to attach a device to a domain, going there or coming back. */
		refuse: z.array(refusal).max(4).default([]),
		/** What a rollback must allocate cannot be had (W6). */
		failRollback: z.boolean().default(false),
		threads: z
			.array(
				z.strictObject({
					name: z.string(),
					calls: z.array(call).min(1).max(6),
				}),
			)
			.min(1)
			.max(4),
		expect: z
			.strictObject({
				verdict: z.enum(["holds", "violated"]),
				ids: z.array(z.string()).default([]),
				/** Risks that a kernel may take: they decide no verdict. */
				warnings: z.array(z.string()).default([]),
				states: z.int().optional(),
				/** `locks` and `flow` that turn it green. */
				fix: z
					.strictObject({
						flow: z.enum(FLOWS).optional(),
						locks: z.enum(["group", "call", "none"]).optional(),
					})
					.optional(),
			})
			.optional(),
	})
	.superRefine(({ sets, groups, windows, threads, attached, refuse }, ctx) => {
		const wrong = (message: string, ...path: (string | number)[]) =>
			ctx.addIssue({ code: "custom", message, path });
		const once = (list: readonly number[], what: string, where: string) =>
			list.forEach((one, i) => {
				if (list.indexOf(one) < i) wrong(`device ${one} ${what}`, where);
			});
		once(sets.flat(), "is in two sets", "sets");
		once(groups.flat(), "is in two groups", "groups");
		const known = (one: number, ...path: (string | number)[]) => {
			if (!groups.flat().includes(one))
				wrong(`device ${one} is in no group`, ...path);
		};
		windows.forEach((one, i) => known(one, "windows", i));
		sets.flat().forEach((one) => known(one, "sets"));
		refuse.forEach((rule, i) => known(rule.dev, "refuse", i, "dev"));
		attached.forEach((one, i) => {
			known(one, "attached", i);
			if (attached.indexOf(one) < i)
				wrong(`device ${one} is attached twice`, "attached", i);
		});
		threads.forEach(({ name, calls }, i) => {
			if (threads.findIndex((t) => t.name === name) < i)
				wrong(`two threads named ${name}`, "threads", i, "name");
			calls.forEach((one, n) => {
				const where = ["threads", i, "calls", n] as const;
				if (one.do !== "map") return known(one.dev, ...where, "dev");
				if (!windows.includes(one.over))
					wrong(`device ${one.over} has no window`, ...where, "over");
			});
		});
	});
/** The number of the device set that a call locks; 0 for none. */
export function setOf(scenario: CallScenario, call: Call): number {
	if (call.do === "map") return 0;
	const at = scenario.sets.findIndex((set) => set.includes(call.dev));
	return at < 0 ? call.dev : DEVICES_MAX + 1 + at;
}

/** A scenario about calls. */
export type CallScenario = z.infer<typeof callScenarioSchema>;
/** One call of a thread. */
export type Call = z.infer<typeof call>;
