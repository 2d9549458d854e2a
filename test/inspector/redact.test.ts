import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { join } from "node:path";
import { logSource } from "../../src/cli/log-source.ts";
import type { Judgement } from "../../src/inspector/worker/protocol.ts";
import { Session } from "../../src/inspector/worker/session.ts";
import type { LogSource } from "../../src/inspector/source.ts";
import { redactor } from "../../src/inspector/redact.ts";
import { generatedLog } from "./generate.ts";

const fixed = () => redactor(() => 4);

describe("redaction", () => {
	it("leaves no device name and keeps who is who", () => {
		const lines = generatedLog({ records: 800 }).trimEnd().split("\n");
		const redact = fixed();
		const out = lines.map((line) => redact.line(line));
		const devices = (text: string) => text.match(/device:[^"]+/g) ?? [];
		const before = lines.flatMap(devices);
		const after = out.flatMap(devices);
		expect(after).toHaveLength(before.length);
		const book = new Map<string, string>();
		for (const [i, name] of before.entries()) {
			const standIn = after[i] as string;
			expect(book.get(name) ?? standIn).toBe(standIn);
			book.set(name, standIn);
		}
		expect(new Set(book.values()).size).toBe(book.size);
		const text = out.join("\n");
		for (const name of book.keys()) expect(text).not.toContain(`"${name}"`);
	});

	it("replaces kernel pointers, hosts, tasks and free text, and keeps what the log is about", () => {
		const out = JSON.parse(
			fixed().line(
				JSON.stringify({
					seq: 3,
					t: 9,
					type: "op.begin",
					actor: "task:qemu-system-x86/4711",
					op: 3,
					data: {
						op: "map",
						args: {
							domain: "0xffff888104a3c000",
							iova: "0x1000",
							name: "0000:3b:00.0",
						},
						task: "qemu on db-17.example.com",
					},
				}),
			),
		);
		expect(out.actor).toBe("task:task-1");
		expect(out.data.args).toEqual({
			domain: "0xffff000000000001",
			iova: "0x1000",
			name: "ffff:00:00.1",
		});
		expect(JSON.stringify(out)).not.toMatch(/qemu|example|ffff8881/);
		expect([out.seq, out.t, out.op, out.data.op]).toEqual([3, 9, 3, "map"]);
	});

	it("drops where a recording was made from the header", () => {
		const out = fixed().line(
			'{"format":"iommu-ledger","kernel":"6.12","source":{"host":"db-17","file":"/home/x"}}',
		);
		expect(out).not.toMatch(/db-17|home/);
		expect(JSON.parse(out).format).toBe("iommu-ledger");
	});

	it("moves physical addresses together: distances stay", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 0, max: 2 ** 40 }),
				fc.integer({ min: 0, max: 2 ** 40 }),
				(a, b) => {
					const redact = fixed();
					const moved = [a, b].map((pa) =>
						Number(
							JSON.parse(
								redact.line(
									JSON.stringify({ data: { pa: `0x${pa.toString(16)}` } }),
								),
							).data.pa,
						),
					) as [number, number];
					expect(moved[0] - moved[1]).toBe(a - b);
					expect(moved[0]).not.toBe(a);
				},
			),
		);
	});

	it("takes requester ids along with the addresses that they are, in any order, segments apart", () => {
		const redact = fixed();
		const line = (data: object) =>
			JSON.parse(redact.line(JSON.stringify({ data }))).data;
		const first = line({ sid: 0x0208 });
		const { dev } = line({ dev: "device:0000:02:01.0" });
		const parts = /^device:ffff:(..):(..)\.(.)$/.exec(dev) as RegExpExecArray;
		const [bus, slot, fn] = parts.slice(1).map((d) => Number.parseInt(d, 16));
		expect(
			((bus as number) << 8) | ((slot as number) << 3) | (fn as number),
		).toBe(first.sid);
		expect(line({ dev: "device:0001:02:01.0" }).dev).toBe(
			dev.replace("ffff", "fffe"),
		);
		expect(line({ aliases: [0x0208, 3] }).aliases[0]).toBe(first.sid);
		expect(JSON.stringify(first)).not.toContain(String(0x0208));
	});

	it.each(["f2_attach_v1.B1", "a_bridge_v1.M1", "f1_same_single_v1.A1"])(
		"leaves the verdict on %s as it is, record by record",
		async (name) => {
			const source = (await logSource(
				join(import.meta.dirname, "../../logs/kernel", name),
			)) as LogSource;
			const pieces: Uint8Array[] = [];
			for await (const piece of source.read(0, new AbortController().signal))
				pieces.push(piece);
			const text = Buffer.concat(pieces).toString();
			const redact = fixed();
			const redacted = text
				.split("\n")
				.map((line) => (line === "" ? "" : redact.line(line)))
				.join("\n");
			const found = (log: string) => {
				const session = new Session(async () => undefined);
				session.push(Buffer.from(log));
				session.finish();
				while (session.work());
				session.track.finish();
				const judged = session.calls.violations({}) as Judgement;
				return [...judged.violations, ...judged.warnings].map(
					({ id, seq, evidence }) => `${id} ${seq} ${evidence}`,
				);
			};
			expect(found(redacted)).toEqual(found(text));
			expect(redacted).not.toMatch(/\b0000:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/);
		},
	);

	it("never lets a broken line through", () => {
		expect(fixed().line('{"actor":"device:0000:3b:00.0"')).not.toContain(
			"3b:00",
		);
	});
});
