import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { K } from "../../src/traces/keys.ts";
import { TraceLine } from "../../src/traces/trace-line.ts";

function parse(text: string): TraceLine | undefined {
	const line = new TraceLine();
	const buf = Buffer.from(text, "latin1");
	return line.parse(buf, 0, buf.length) ? line : undefined;
}

describe("head of a trace line", () => {
	test("ftrace text", () => {
		const line = parse(
			"           iolab-1077    [003] d.s1.    22.358992: qi_submit: cc_inv dmar0: 0x100000d0031 0x0 0x0 0x0",
		);
		expect(line).toMatchObject({
			t: 22_358_992_000,
			pid: 1077,
			cpu: 3,
			context: 1,
		});
		expect(line?.taskName()).toBe("iolab");
		expect(line?.eventName()).toBe("qi_submit");
	});

	test.each([
		["kworker/u8:1-31", "kworker/u8:1", 31],
		["a-b-c-7", "a-b-c", 7],
		["<idle>-0", "<idle>", 0],
		["my task [x]-12", "my task [x]", 12],
	])("task %s", (task, name, pid) => {
		const line = parse(`   ${task}   [000] .....   1.000001: map: x`);
		expect(line?.pid).toBe(pid);
		expect(line?.taskName()).toBe(name);
	});

	test("a column for the thread group, no flags, nanoseconds (trace-cmd report)", () => {
		expect(
			parse("  iolab-1077  (   1077) [001] ....  22.358992: unmap: x")?.pid,
		).toBe(1077);
		const line = parse(
			"          iolab-1077  [001]    22.358992123: map:                  IOMMU: iova=0x10 - 0x20 paddr=0x30 size=16",
		);
		expect(line?.t).toBe(22_358_992_123);
		line?.tokenize();
		expect(line?.num(K.size)).toBe(16);
	});

	test.each([
		["..h..", 2],
		["..H..", 2],
		["..s..", 1],
		[".N...", 0],
		["d..1.", 0],
		["..Z..", 3],
	])("flags %s", (flags, context) => {
		expect(parse(`t-1 [000] ${flags} 1.000000: map: x`)?.context).toBe(context);
	});

	test.each([
		"",
		"nonsense",
		"t-1 [000] ..... 1.0",
		"t-1 [000] ..... 1.000000 map: x",
		"t-1 [00x] ..... 1.000000: map: x",
		"t- [000] ..... 1.000000: map: x",
		"t-1 [000] ..... 99999999999999999999.0: map: x",
	])("refuses %j", (text) => expect(parse(text)).toBeUndefined());
});

describe("fields", () => {
	const fields = (text: string): TraceLine => {
		const line = parse(`t-1 [000] ..... 1.000000: e: ${text}`);
		if (line === undefined) throw new Error("not a line");
		line.tokenize();
		return line;
	};

	test("skips the caller, reads hex, decimal, text, fault", () => {
		const line = fields(
			'(f+0x4/0x8 [iommufd] <- g) dom=0xffff888104c7d0a0 ret=-12 dev="0000:02:01.0" hwpt_id=(fault) iova=0x0',
		);
		expect(line.num(K.ret)).toBe(-12);
		expect(line.text(K.dev)).toBe("0000:02:01.0");
		expect(line.num(K.hwptId)).toBeNaN();
		expect(line.has(K.gid)).toBe(false);
		expect(line.u64(K.iova)).toBe(0);
	});

	test("64-bit values are exact in every form", () => {
		const value = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
		fc.assert(
			fc.property(value, (wide) => {
				const line = fields(`iova=0x${wide.toString(16)}`);
				expect(BigInt(line.u64(K.iova) ?? -1)).toBe(wide);
				expect(BigInt(line.pointer(K.iova))).toBe(wide & (2n ** 53n - 1n));
			}),
		);
	});

	test("an error pointer and a negative count", () => {
		const line = fields("ret=0xfffffffffffffff4 old_hwpt=-5");
		expect(line.signed(K.ret)).toBe(-12);
		expect(line.signed(K.oldHwpt)).toBe(-5);
	});

	test("a pair of pointers keeps its distance", () => {
		const line = fields("dom=0xffff888104c7d0a0 dmar=0xffff888104c7d000");
		expect(line.pointer(K.dom) - line.pointer(K.dmar)).toBe(0xa0);
	});
});
