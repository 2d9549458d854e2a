/** Logs of seed mail 3's scenario 1, made by the live system under any of the replace flows. */
import { logText } from "../../src/log/write.ts";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { deviceId, groupId } from "../../src/vocabulary/ids.ts";

/** The three devices of one group. */
export const DEVICES = [0, 1, 2].map((f) => deviceId(`0000:10:00.${f}`));

/**
 * Attach all three to one hwpt, map something, replace the first (call 1.d), and the others too when `whole`. The first hwpt's IOAS
 * holds two areas, the second's one.
 */
export function scenarioOne(flow: Flow, whole = false): string {
	const system = createIommuSystem({
		topology: {
			known: "complete",
			groups: [
				{
					group: groupId(7),
					driver: "vtd",
					members: DEVICES.map((dev) => ({
						dev,
						resv: [
							{ start: "0xfee00000", last: "0xfeefffff", kind: "msi" as const },
						],
					})),
				},
				{
					group: groupId(8),
					driver: "vtd",
					members: [
						{ dev: deviceId("0000:11:00.0"), resv: [], kernelDriver: "nvme" },
					],
				},
			],
		},
		flow,
	});
	const ctx = system.open();
	for (const dev of DEVICES) system.bind({ ctx, dev });
	const a = system.ioasAlloc({ ctx });
	const b = system.ioasAlloc({ ctx });
	system.map({
		ctx,
		ioas: a,
		iova: "0x100000",
		length: "0x200000",
		va: "0x7f0000000000",
		prot: 3,
	});
	system.map({
		ctx,
		ioas: a,
		iova: "0x400000",
		length: "0x3000",
		va: "0x7f0000400000",
		prot: 3,
	});
	system.map({
		ctx,
		ioas: b,
		iova: "0x100000",
		length: "0x4000",
		va: "0x7f0000800000",
		prot: 1,
	});
	const dev = DEVICES[0] as (typeof DEVICES)[number];
	const h1 = system.hwptAlloc({ ctx, dev, pt: a });
	const h2 = system.hwptAlloc({ ctx, dev, pt: b });
	for (const one of DEVICES) system.attach({ ctx, dev: one, pt: h1 });
	for (const one of whole ? DEVICES : [dev])
		system.dispatch({ op: "replace", args: { ctx, dev: one, pt: h2 } });
	return logText(system.header, [system.records]);
}
