import { spawnSync } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
	applyCapture,
	CaptureError,
	EVENT_GROUP,
	GROUPS_COMMAND,
	plainPlan,
	planCapture,
	probeLine,
	removeCapture,
	setupScript,
} from "../../src/traces/capture.ts";
import { PROBES } from "../../src/traces/capture-probes.ts";
import { EVENTS } from "../../src/traces/events.ts";
import { parseGroups } from "../../src/traces/groups.ts";
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
			expect(
				script
					.split(`probe '`)
					.filter((line) => line.includes(`:${EVENT_GROUP}/${event} `)),
			).toHaveLength(1);
			expect(script).toContain(`'-:${EVENT_GROUP}/${event}'`);
		}
		expect(script).toContain("echo mono > trace_clock");
	});
});

const shell = (script: string, env: { [name: string]: string } = {}) =>
	spawnSync("sh", ["-e", "-c", script], {
		encoding: "utf8",
		env: { ...process.env, ...env },
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

	test("the printed set-up goes on behind what a kernel refuses, and says it", () => {
		offer({
			trace_clock: "",
			buffer_size_kb: "",
			tracing_on: "",
			"events/iommu/enable": "0",
		});
		// Not a file: every probe is refused.
		mkdirSync(join(root, "dynamic_events"));
		const { status, stderr } = shell(setupScript(plainPlan(["core"], root)));
		expect(status).toBe(0);
		const refused = PROBES.filter(({ part }) => part === "core").length;
		expect(stderr.match(/^not available: [pr]/gm)).toHaveLength(refused);
		expect(stderr).toContain("not available: events intel_iommu");
		expect(readFileSync(join(root, "events/iommu/enable"), "utf8")).toBe("1\n");
		expect(readFileSync(join(root, "tracing_on"), "utf8")).toBe("1\n");
	});

	test("the command for groups.txt writes what the importer reads", () => {
		const bridge = "devices/pci0000:00/0000:00:04.0/0000:01:00.0";
		const device = `${bridge}/0000:02:01.0`;
		offer({
			"groups/11/type": "DMA\n",
			"groups/11/reserved_regions":
				"0x00000000fee00000 0x00000000feefffff msi\n",
			[`${bridge}/class`]: "0x060400\n",
			[`${bridge}/vendor`]: "0x1b36\n",
			[`${bridge}/device`]: "0x000e\n",
			[`${device}/class`]: "0x00ff00\n",
			[`${device}/vendor`]: "0x1234\n",
			[`${device}/device`]: "0x11e8\n",
			"drivers/vfio-pci/bind": "",
		});
		symlinkSync(join(root, "drivers/vfio-pci"), join(root, device, "driver"));
		mkdirSync(join(root, "groups/11/devices"));
		for (const path of [bridge, device])
			symlinkSync(
				join(root, path),
				join(root, "groups/11/devices", basename(path)),
			);
		const { status, stderr } = shell(GROUPS_COMMAND, {
			S: join(root, "groups"),
			D: root,
		});
		expect([status, stderr]).toEqual([0, ""]);
		expect(parseGroups(readFileSync(join(root, "groups.txt"), "utf8"))).toEqual(
			[
				{
					number: 11,
					members: [
						{ name: "0000:01:00.0", driver: "none" },
						{ name: "0000:02:01.0", driver: "vfio-pci", alias: 0x200 },
					],
					resv: [{ start: "0xfee00000", last: "0xfeefffff", kind: "msi" }],
				},
			],
		);
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
