/** A test program of our own, call by call: what the model answers to a structure, as the players see it. */
import type { JsonObject, Reply } from "../../../src/replay/conform/call.ts";
import { Player } from "../../../src/replay/conform/player.ts";

export class Program {
	readonly player = new Player();
	readonly fd: number;
	constructor(regions: readonly JsonObject[] = []) {
		this.player.perform({ ev: "begin" });
		for (const region of regions)
			this.player.perform({ ev: "mmap", ret: 0, prot: 3, ...region });
		this.fd = this.open();
	}
	open(): number {
		return this.player.perform({ ev: "open", path: "/dev/iommu", ret: 3 })!.ret;
	}
	/** One ioctl; `size` defaults to a structure of any length that is large enough for the test commands. */
	ioctl(cmd: string, fields: JsonObject, more: JsonObject = {}): Reply {
		const record = { ev: "ioctl", fd: this.fd, cmd, in: fields, ...more };
		return this.player.perform(record)!;
	}
	test(op: string, fields: JsonObject, more: JsonObject = {}): Reply {
		const whole = { size: 72, op: 0, id: 0, __reserved: 0, ...fields };
		return this.ioctl("IOMMU_TEST_CMD", whole, { op, ...more });
	}
	ioas(): number {
		const { out } = this.ioctl("IOMMU_IOAS_ALLOC", { size: 12, flags: 0 });
		return out!["out_ioas_id"] as number;
	}
	/** A fixed map of user memory, readable and writable. */
	map(ioas: number, iova: number, va: number, length: number): Reply {
		return this.ioctl("IOMMU_IOAS_MAP", {
			size: 40,
			flags: 7,
			ioas_id: ioas,
			__reserved: 0,
			user_va: hex(va),
			length: hex(length),
			iova: hex(iova),
		});
	}
	device(
		ioas: number,
		flags = 0,
	): { stdev: number; idev: number; hwpt: number } {
		const { out } = this.test("MOCK_DOMAIN_FLAGS", {
			id: ioas,
			dev_flags: hex(flags),
		});
		return {
			stdev: out!["out_stdev_id"] as number,
			idev: out!["out_idev_id"] as number,
			hwpt: out!["out_hwpt_id"] as number,
		};
	}
}
export const hex = (n: number | bigint): string => `0x${n.toString(16)}`;
