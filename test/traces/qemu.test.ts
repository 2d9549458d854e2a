/**
 * QEMU's log of its iommufd backend. No recording exists: the lines are written by hand after the formats in QEMU's
 * backends/trace-events and hw/vfio/trace-events (facts/iommufd-semantics.md §7.3).
 */
import { describe, expect, test } from "vitest";
import { importAll, only } from "./support.ts";

const LOG = `
4242@1700000000.000001:iommufd_backend_connect fd=10 owned=1 users=1
4242@1700000000.000100:iommufd_cdev_getfd  /dev/vfio/devices/vfio0 (fd=11)
4242@1700000000.000200:iommufd_cdev_connect_and_bind  [iommufd=10] Successfully bound device 0000:01:00.0 (fd=11): output devid=1
4242@1700000000.000300:iommufd_backend_alloc_ioas  iommufd=10 ioas=2
4242@1700000000.000350:iommufd_cdev_alloc_ioas  [iommufd=10] new IOMMUFD container with ioasid=2
4242@1700000000.000400:iommufd_backend_alloc_hwpt  iommufd=10 dev_id=1 pt_id=2 flags=0x0 hwpt_type=0 len=0 data_ptr=0x0 out_hwpt=3 (0)
4242@1700000000.000500:iommufd_cdev_attach_ioas_hwpt  [iommufd=10] Successfully attached device 0000:01:00.0 (11) to id=3
4242@1700000000.000600:iommufd_backend_map_dma  iommufd=10 ioas=2 iova=0x0 size=0x80000000 addr=0x7f0000000000 readonly=0 (0)
4242@1700000000.000700:iommufd_backend_map_dma  iommufd=10 ioas=2 iova=0xfffc0000 size=0x40000 addr=0x7f1000000000 readonly=1 (0)
4242@1700000000.000800:iommufd_backend_map_dma  iommufd=10 ioas=2 iova=0x1000 size=0x1000 addr=0x7f1000000000 readonly=0 (-17)
4242@1700000000.000900:iommufd_backend_unmap_dma  iommufd=10 ioas=2 iova=0xfffc0000 size=0x40000 (0)
4242@1700000000.001000:iommufd_backend_unmap_dma_non_exist  Unmap nonexistent mapping: iommufd=10 ioas=2 iova=0xfffc0000 size=0x40000 (0)
4242@1700000000.001050:iommufd_backend_alloc_viommu  iommufd=10 type=1 dev_id=1 hwpt_id=3 viommu_id=4 (0)
4242@1700000000.001100:iommufd_backend_free_id  iommufd=10 id=3 (-16)
4242@1700000000.001200:iommufd_backend_disconnect fd=10 users=0
`.trimStart();

describe("QEMU backend log", () => {
	test("is told by its first line; calls become operations and objects", async () => {
		const { header, records, report } = await importAll({ trace: LOG });
		expect(header.fidelity).toBe("L0");
		expect(report.unexplained).toEqual([]);
		expect(report.calls.read).toBe(13);
		expect(only(records, "op.begin").map(({ data }) => data.op)).toEqual([
			"bind",
			"ioas-alloc",
			"hwpt-alloc",
			"attach",
			"map",
			"map",
			"map",
			"unmap",
			"unmap",
			"iommufd-backend-alloc-viommu",
			"destroy",
			"close",
		]);
		expect(only(records, "dev.bound")[0]?.data).toMatchObject({
			dev: "device:0000:01:00.0",
			idev: "ctx:1/idev:1@1",
		});
		expect(
			only(records, "area.claimed").map(({ data }) => [
				data.iova,
				data.last,
				data.prot,
			]),
		).toEqual([
			[0, 0x7fffffff, 3],
			[0xfffc0000, 0xffffffff, 1],
		]);
		expect(only(records, "op.fail").map(({ data }) => data.errno)).toEqual([
			"EEXIST",
			"ENOENT",
			"EBUSY",
		]);
		expect(only(records, "obj.destroy.refused")[0]?.data).toMatchObject({
			id: 3,
			obj: "ctx:1/hwpt:3@1",
		});
	});

	test("what QEMU does not know is not made up: groups, hardware, attachment lists", async () => {
		const { records, report } = await importAll({ trace: LOG });
		for (const type of [
			"hw.attach",
			"ig.list.add",
			"grp.owner.claimed",
			"dom.map",
		] as const)
			expect(only(records, type)).toEqual([]);
		expect([...report.undecided.keys()]).toEqual([
			"attach in an unknown group",
		]);
	});

	test("without time stamps, and with lines of other events", async () => {
		const text = LOG.replaceAll(/^\d+@[\d.]+:/gm, "");
		const { records, report } = await importAll({
			trace: `${text}something else\nvfio_region_read  (0000:01:00.0:region1+0x0, 4) = 0x0\n`,
		});
		expect(report.unexplained).toEqual([
			{ line: 16, event: "calls", why: "not a call" },
		]);
		const times = records.map(({ t }) => t);
		expect(times).toEqual(times.toSorted((a, b) => a - b));
	});
});
