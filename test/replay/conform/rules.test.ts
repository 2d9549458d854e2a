/**
 * Rules that the open recordings do not touch, by calls of our own. Each was read in the kernel's source, which the test names; what
 * the recordings show is compared in recordings.test.ts.
 */
import { expect, test } from "vitest";
import { noteOf, setRange } from "../../../src/replay/conform/bitmap.ts";
import type { JsonObject } from "../../../src/replay/conform/call.ts";
import { hex, Program } from "./program.ts";

const M1 = 0x1_0000_0000;
const m1 = { region: "m1", addr: hex(M1), length: "0x10000", hugetlb: false };
const M5 = 0x1_4000_0000;
const m5 = { region: "m5", addr: hex(M5), length: "0x400000", hugetlb: true };
const M3 = 0x1_2000_0000;
const m3 = { ...m1, region: "m3", addr: hex(M3), prot: 1 };

/** A program whose compatibility IOAS behaves as type1 v1, with one area of eight pages at 0x10000. */
function compat(): { p: Program; ioas: number } {
	const p = new Program([m1]);
	const ioas = p.ioas();
	p.ioctl("IOMMU_VFIO_IOAS", { size: 12, ioas_id: ioas, op: 1, __reserved: 0 });
	p.ioctl("VFIO_SET_IOMMU", {}, { in: undefined, arg: 1 });
	p.map(ioas, 0x1_0000, M1, 0x8000);
	return { p, ioas };
}
const unmapDma = (p: Program, iova: number, size: number) =>
	p.ioctl("VFIO_IOMMU_UNMAP_DMA", {
		argsz: 24,
		flags: 0,
		iova: hex(iova),
		size: hex(size),
	});

test("compat v1: a cut right behind an area's first byte does nothing (io_pagetable.c:iopt_area_split)", () => {
	const { p } = compat();
	// Both ends of the request lie at the area's first byte: no cut, the area is only partly covered, the size is written back.
	expect(unmapDma(p, 0x1_0000, 1)).toMatchObject({
		errno: "ENOENT",
		out: { size: "0x0" },
	});
	expect(unmapDma(p, 0x1_0001, 0x2fff)).toMatchObject({ errno: "ENOENT" });
	// Anywhere else a byte inside a page cannot be cut at: the size stays.
	const refused = unmapDma(p, 0x1_0000, 0x1002);
	expect(refused.errno).toBe("EINVAL");
	expect(refused.out).toEqual({});
	// 0x10001 … 0x12fff was cut after 0x12fff before it failed.
	expect(unmapDma(p, 0x1_0000, 0x3000)).toMatchObject({
		errno: null,
		out: { size: "0x3000" },
	});
});

test("VFIO: a command that iommufd does not have is ENOTTY, readable or not; a huge argsz costs nothing", () => {
	const { p } = compat();
	const unknown = p.ioctl("VFIO_IOMMU_DIRTY_PAGES", {}, { in: undefined });
	expect(unknown).toMatchObject({ ret: -1, errno: "ENOTTY" });
	const unreadable = p.ioctl("VFIO_IOMMU_GET_INFO", {}, { in: undefined });
	expect(unreadable.errno).toBe("EFAULT");
	const info = { argsz: 0xffff_ffff, flags: 0, iova_pgsizes: "0x0" };
	const got = p.ioctl("VFIO_IOMMU_GET_INFO", { ...info, cap_offset: 7 });
	expect(got.out).toMatchObject({ argsz: 72, cap_offset: 24 });
	// 17 bytes cover one byte of the capability offset.
	const short = { ...info, argsz: 17, cap_offset: 0x0102 };
	expect(p.ioctl("VFIO_IOMMU_GET_INFO", short).out).toMatchObject({
		cap_offset: 0x0100,
	});
});

test("a size that ends inside a field covers its low bytes, both ways (main.c:iommufd_fops_ioctl)", () => {
	const p = new Program([m1]);
	const ioas = p.ioas();
	const { idev } = p.device(ioas);
	const alloc = (size: number) =>
		p.ioctl("IOMMU_HWPT_ALLOC", {
			size,
			flags: 0,
			dev_id: idev,
			pt_id: ioas,
			out_hwpt_id: 0,
			__reserved: 0,
			data_type: 0xdead_0000,
			data_len: 0,
			data_uptr: "0x0",
			fault_id: 0,
			__reserved2: 0,
		});
	expect(alloc(28).errno).toBe("EINVAL");
	expect(alloc(26).errno).toBe(null);
	const info = p.ioctl("IOMMU_GET_HW_INFO", {
		size: 33,
		flags: 0,
		dev_id: idev,
		data_len: 0,
		data_uptr: "0x0",
		out_data_type: 0,
		out_max_pasid_log2: 0,
		__reserved: "000000",
		out_capabilities: "0xaabbcc",
	});
	expect(info.out).toMatchObject({ out_capabilities: "0xaabb01" });
});

test("MD_CHECK_MAP and MD_CHECK_REFS: a wrap is EINVAL, huge pages are not counted (selftest.c)", () => {
	const p = new Program([m1, m5]);
	const ioas = p.ioas();
	const { hwpt } = p.device(ioas);
	const wrap = { uptr: "0xfffffffffffff000", length: "0x1000" };
	expect(
		p.test("MD_CHECK_MAP", { id: hwpt, iova: "0x1000000", ...wrap }).errno,
	).toBe("EINVAL");
	expect(p.test("MD_CHECK_REFS", { refs: 0, ...wrap }).errno).toBe("EINVAL");
	p.map(ioas, 0x100_0000, M5, 0x40_0000);
	p.map(ioas, 0x200_0000, M1, 0x1000);
	const refs = (uptr: number, n: number) =>
		p.test("MD_CHECK_REFS", { uptr: hex(uptr), length: "0x1000", refs: n });
	expect(refs(M5, 7).errno).toBe(null);
	expect(refs(M1, 1).errno).toBe(null);
	expect(refs(M1, 0).errno).toBe("EIO");
});

test("accesses: named through any iommufd; the fuzzer's flag; no responses written is nothing done", () => {
	const p = new Program([m1]);
	const ioas = p.ioas();
	p.map(ioas, 0x5000, M1, 0x2000);
	const access = p.test("CREATE_ACCESS", { id: ioas, flags: 1 });
	const fd = access.out!["out_access_fd"] as number;
	const other = p.open();
	const pages = (more: JsonObject) =>
		p.test(
			"ACCESS_PAGES",
			{ id: fd, iova: "0x5000", length: "0x1000", uptr: "0x0", flags: 0 },
			more,
		);
	expect(pages({ fd: other }).out).toEqual({ out_access_pages_id: 0 });
	const syz = (iova: string) =>
		p.test("ACCESS_PAGES", {
			id: fd,
			iova,
			length: "0x1000",
			uptr: "0x0",
			flags: 0x1_0000,
		});
	// Area 0, 0x1000 into it; there is no area 1.
	expect(syz("0x100000000000").errno).toBe(null);
	expect(syz("0x1").errno).toBe("ENOENT");
	const queue = p.ioctl("IOMMU_FAULT_QUEUE_ALLOC", { size: 16, flags: 0 });
	const write = { ev: "write", fd: queue.out!["out_fault_fd"], length: 0 };
	expect(p.player.perform(write)).toMatchObject({ ret: 0, errno: null });
});

test("COPY with the fuzzer's flag answers the address it meant (ioas.c:iommufd_ioas_copy)", () => {
	const p = new Program([m1]);
	const a = p.ioas();
	const b = p.ioas();
	p.map(a, 0x5000, M1, 0x2000);
	const copy = p.ioctl("IOMMU_IOAS_COPY", {
		size: 40,
		flags: 0x1_0007,
		dst_ioas_id: b,
		src_ioas_id: a,
		length: "0x1000",
		dst_iova: "0x9000",
		src_iova: "0x100000000000",
	});
	expect(copy.out).toEqual({
		dst_iova: "0x9000",
		flags: 7,
		src_iova: "0x6000",
	});
});

test("ALLOW_IOVAS reads entry by entry: a bad entry is told before the unreadable rest (ioas.c:iommufd_ioas_load_iovas)", () => {
	const p = new Program([m1]);
	const ioas = p.ioas();
	const allow = (ranges?: readonly string[][]) =>
		p.ioctl(
			"IOMMU_IOAS_ALLOW_IOVAS",
			{
				size: 24,
				ioas_id: ioas,
				num_iovas: 3,
				__reserved: 0,
				allowed_iovas: hex(M1),
			},
			ranges === undefined ? {} : { in_ranges: ranges },
		).errno;
	expect(allow()).toBe("EFAULT");
	expect(allow([["0x0", "0x1000"]])).toBe("EFAULT");
	expect(allow([["0x5", "0x5"]])).toBe("EINVAL");
});

/** Leaves of 1 MiB over m5 at 16 MiB, tracking on, every leaf dirty; the bitmap counts in 2 KiB. */
function dirtyLeaves() {
	const p = new Program([m1, m3, m5]);
	const ioas = p.ioas();
	const { idev } = p.device(ioas, 2);
	const made = p.ioctl("IOMMU_HWPT_ALLOC", {
		size: 48,
		flags: 2,
		dev_id: idev,
		pt_id: ioas,
		out_hwpt_id: 0,
		__reserved: 0,
		data_type: 0,
		data_len: 0,
		data_uptr: "0x0",
		fault_id: 0,
		__reserved2: 0,
	});
	const hwpt = made.out!["out_hwpt_id"] as number;
	p.map(ioas, 0x100_0000, M5, 0x40_0000);
	const track = { size: 16, flags: 1, hwpt_id: hwpt, __reserved: 0 };
	p.ioctl("IOMMU_HWPT_SET_DIRTY_TRACKING", track);
	const bits = new Uint8Array(256);
	for (const mib of [0, 1, 2, 3]) setRange(bits, mib * 512, mib * 512);
	const marked = p.test(
		"DIRTY",
		{
			id: hwpt,
			flags: 0,
			iova: "0x1000000",
			length: "0x400000",
			page_size: "0x800",
			uptr: hex(M1),
		},
		{ in_bitmap: noteOf(bits, 2048) },
	);
	expect(marked.out).toEqual({ out_nr_dirty: "0x4" });
	const get = (iova: number, length: number, data: number) => {
		const nbits = length / 0x800;
		const empty = noteOf(new Uint8Array(Math.ceil(nbits / 8)), nbits);
		return p.ioctl(
			"IOMMU_HWPT_GET_DIRTY_BITMAP",
			{
				size: 48,
				hwpt_id: hwpt,
				flags: 1,
				__reserved: 0,
				iova: hex(iova),
				length: hex(length),
				page_size: "0x800",
				data: hex(data),
			},
			{ in_bitmap: empty },
		).bitmap!;
	};
	return { p, hwpt, get };
}

test("GET_DIRTY_BITMAP from the middle of a leaf goes on by whole leaves from there (selftest.c:mock_domain_read_and_clear_dirty)", () => {
	const { get } = dirtyLeaves();
	expect(get(0x100_0000, 0x40_0000, M1).set).toBe(2048);
	// 0.5 … 1.5 and 1.5 … 2.5 MiB are reported; then the walk stands at the end of the range.
	expect(get(0x108_0000, 0x20_0000, M1).set).toBe(1024);
	// One 2 KiB page inside the last leaf: the leaf's bits go on behind the bitmap's only one.
	expect(get(0x13f_f800, 0x800, M1)).toMatchObject({ nbits: 1, head: "ff" });
});

test("a bitmap in memory that cannot be written stays as it is, and the call succeeds (iova_bitmap.c:iova_bitmap_set)", () => {
	const { get } = dirtyLeaves();
	expect(get(0x100_0000, 0x40_0000, M3).set).toBe(0);
});

test("DIRTY: an entry is looked up by number, whatever the page size; too long a bitmap is EOVERFLOW (selftest.c:iommufd_test_dirty)", () => {
	const { p, hwpt } = dirtyLeaves();
	const mark = (iova: number, pageSize: number, length: bigint) =>
		p.test(
			"DIRTY",
			{
				id: hwpt,
				flags: 0,
				iova: hex(iova),
				length: hex(length),
				page_size: hex(pageSize),
				uptr: hex(M1),
			},
			{ in_bitmap: noteOf(new Uint8Array([1]), 1) },
		);
	// 0x2000000 / 0x1000 is entry 0x2000, which is 0x1000000 in units of 2 KiB: mapped.
	expect(mark(0x200_0000, 0x1000, 0x1000n).out).toEqual({
		out_nr_dirty: "0x1",
	});
	expect(mark(0x100_0000, 0x1000, 0x1000n).out).toEqual({
		out_nr_dirty: "0x0",
	});
	expect(mark(0, 1, 1n << 40n).errno).toBe("EOVERFLOW");
});
