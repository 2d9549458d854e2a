import {
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
	applyCapture,
	CaptureError,
	EVENT_GROUP,
	plainPlan,
	planCapture,
	probeLine,
	removeCapture,
	setupScript,
} from "../../src/traces/capture.ts";
import { PROBES } from "../../src/traces/capture-probes.ts";
import { EVENTS } from "../../src/traces/events.ts";
import { FIXTURES } from "./support.ts";

describe("probe lines", () => {
	test("every probe's event is known to the importer, and every handler's probe is there", () => {
		const known = new Set(EVENTS.map(({ name }) => name));
		for (const { event } of PROBES) expect(known.has(event), event).toBe(true);
		const probed = new Set(PROBES.map(({ event }) => event));
		const wanted = EVENTS.filter(
			({ probe, handle }) => probe && handle !== undefined,
		);
		const missing = wanted
			.filter(({ name }) => !probed.has(name))
			.map(({ name }) => name);
		expect(missing).toEqual([]);
	});

	test.each([
		["a_bridge_v1.M1", "kprobe"],
		["c_bridge_v1.M6", "fprobe"],
	] as const)(
		"as they were accepted by Linux 6.12 in %s (%s)",
		(name, form) => {
			const recorded = new Set(
				gunzipSync(readFileSync(join(FIXTURES, name, "probes.txt.gz")))
					.toString()
					.replaceAll(":lab/", `:${EVENT_GROUP}/`)
					.split("\n"),
			);
			const plan = plainPlan(["core", "iommufd", "vtd"]);
			for (const probe of plan.probes)
				if ([...recorded].some((line) => line.includes(`/${probe.event} `)))
					expect(recorded.has(probeLine(probe, form)), probe.event).toBe(true);
		},
	);

	test("the printed set-up names every probe once, and how to undo it", () => {
		const script = setupScript(plainPlan());
		for (const { event } of PROBES) {
			expect(script.split(`:${EVENT_GROUP}/${event} `)).toHaveLength(2);
			expect(script).toContain(`'-:${EVENT_GROUP}/${event}'`);
		}
		expect(script).toContain("echo mono > trace_clock");
	});
});

describe("on a host", () => {
	let root = "";
	beforeEach(() => {
		root = mkdtempSync(join(tmpdir(), "tracefs-"));
	});
	afterEach(() => rmSync(root, { recursive: true }));

	const offer = (files: { [name: string]: string }): void => {
		for (const [name, text] of Object.entries(files)) {
			mkdirSync(join(root, name, ".."), { recursive: true });
			writeFileSync(join(root, name), text);
		}
	};
	const README =
		"  dynamic_events\n	  f[:[<group>/][<event>]] <func-name>[%return] [<args>]\n <argname>[->field\n";

	test("without tracefs: says what to do", async () => {
		await expect(planCapture(undefined, root)).rejects.toThrow(CaptureError);
		await expect(planCapture(undefined, root)).rejects.toThrow(
			/mount -t tracefs/,
		);
	});

	test("leaves out what the kernel does not have, and says why", async () => {
		const functions = PROBES.map(({ fn }) => fn).filter(
			(fn) => fn !== "iommufd_device_bind" && fn !== "domain_context_clear_one",
		);
		offer({
			README,
			available_filter_functions: `${[...new Set(functions)].join("\n")}\ndma_pte_free_level\n`,
			available_events: "iommu:map\nsched:sched_switch\n",
		});
		const plan = await planCapture(undefined, root);
		expect(plan.form).toBe("fprobe");
		expect(plan.tracepoints).toEqual(["iommu"]);
		expect(
			plan.missing.map(({ probe, why }) => `${probe.event}: ${why}`).sort(),
		).toEqual([
			"ifd_bind_ret: iommufd_device_bind is not there: load module iommufd first",
			"vtd_ctx_clear: domain_context_clear_one is inlined or not in this kernel",
			"vtd_pt_free_level: dma_pte_free_level is not unique in this kernel",
		]);
		expect(setupScript(plan)).toContain("# left out: ifd_bind_ret");
	});

	test("an old kernel: kprobes, with a warning", async () => {
		offer({ README: "dynamic_events\n", available_events: "" });
		const plan = await planCapture(["core"], root);
		expect(plan.form).toBe("kprobe");
		expect(plan.warnings.join(" ")).toMatch(/miss hits inside interrupts/);
	});

	test.runIf(process.getuid?.() === 0)(
		"applies and removes only what is ours",
		async () => {
			offer({
				README,
				dynamic_events: "p:others/keep do_sys_open\n",
				available_events: "iommu:map\n",
				trace_clock: "",
				buffer_size_kb: "",
				tracing_on: "",
				"events/iommu/enable": "0",
				[`events/${EVENT_GROUP}/enable`]: "0",
			});
			const applied = await applyCapture(await planCapture(["core"], root));
			expect(applied.refused).toEqual([]);
			const text = readFileSync(join(root, "dynamic_events"), "utf8");
			expect(
				text.split("\n").filter((line) => line.includes(EVENT_GROUP)),
			).toHaveLength(applied.applied.length);
			expect(readFileSync(join(root, "trace_clock"), "utf8")).toBe("mono\n");
			const removed = await removeCapture(root);
			expect(removed).toBe(applied.applied.length);
			expect(readFileSync(join(root, "dynamic_events"), "utf8")).toContain(
				"p:others/keep",
			);
			expect(readFileSync(join(root, "events/iommu/enable"), "utf8")).toBe(
				"0\n",
			);
		},
	);
});
