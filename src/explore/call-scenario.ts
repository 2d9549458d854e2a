/** Scenarios about concurrent ioctls: threads of attach, replace and detach calls on one group of three devices (seed mail 3). */
import { z } from "zod";
import { FLOWS } from "../orchestrator/switches.ts";

const call = z.strictObject({
	do: z.enum(["attach", "replace", "detach"]),
	dev: z.int().min(1).max(3),
	/** Which hwpt: H1 on IOAS A, H2 on IOAS B. */
	to: z.union([z.literal(1), z.literal(2)]).optional(),
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
		sets: z
			.array(z.array(z.int().min(1).max(3)).min(1))
			.max(3)
			.default([]),
		/** Devices that are attached to H1 before the threads start, in this order. */
		attached: z.array(z.int().min(1).max(3)).default([]),
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
	.superRefine(({ sets, threads, attached }, ctx) => {
		const wrong = (message: string, ...path: (string | number)[]) =>
			ctx.addIssue({ code: "custom", message, path });
		const inSets = sets.flat();
		inSets.forEach((dev, i) => {
			if (inSets.indexOf(dev) < i)
				wrong(`device ${dev} is in two sets`, "sets");
		});
		attached.forEach((dev, i) => {
			if (attached.indexOf(dev) < i)
				wrong(`device ${dev} is attached twice`, "attached", i);
		});
		threads.forEach(({ name }, i) => {
			if (threads.findIndex((t) => t.name === name) < i)
				wrong(`two threads named ${name}`, "threads", i, "name");
		});
	});
/** The number of the set a device is in: 1 to 3 for a set of its own. */
export function setOf(scenario: CallScenario, dev: number): number {
	const at = scenario.sets.findIndex((set) => set.includes(dev));
	return at < 0 ? dev : 4 + at;
}

/** A scenario about calls. */
export type CallScenario = z.infer<typeof callScenarioSchema>;
/** One call of a thread. */
export type Call = z.infer<typeof call>;
