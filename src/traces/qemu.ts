/**
 * QEMU's own trace log of its iommufd backend and its VFIO devices (`-trace 'iommufd_*' -trace 'iommu_backend_*'`; formats:
 * backends/trace-events, hw/vfio/trace-events; facts/iommufd-semantics.md §7.3). Each line is written when a call has returned, so
 * it becomes a call without duration. What QEMU does not know (automatic hwpt ids, kernel groups, pins, rollbacks) is not in it.
 *
 *     1234@1700000000.123456:iommufd_backend_map_dma  iommufd=10 ioas=2 iova=0x0 size=0x1000 addr=0x7f… readonly=0 (0)
 */
import type { Call } from "./call.ts";

/** Flags of IOMMU_IOAS_MAP. */
const MAP_FIXED_READ = 1 | 4;
const MAP_WRITE = 2;
const ENOENT = 2;

/** Lines that are context for people: understood, no call of the kernel. */
const CONTEXT_ONLY =
	/^(?:iommufd_cdev_(?:getfd|device_info|fail_attach_existing_container|alloc_ioas|pci_hot_reset_\w+|rebuild_hwpt)|iommufd_change_process|vfio_\w+)$/;
const LINE =
	/^(?:(\d{1,10})@(\d{1,12})\.(\d{1,9}):)?((?:iommufd|iommu_backend|vfio)_\w+)\s*(.*)$/;

type Fields = { readonly [name: string]: string | undefined };
type Translate = (
	fields: Fields,
	text: string,
) => Pick<Call, "name" | "args" | "out" | "ret"> | undefined;

const int = (text: string | undefined): number => Number(text ?? Number.NaN);
const call = (
	name: string,
	args: Call["args"],
	out: Call["out"] = {},
	ret = 0,
) => ({ name, args, out, ret });

const onFile = (name: string, done: (users: number) => boolean): Translate => {
	return ({ fd, users }) =>
		done(int(users)) ? call(name, { fd: int(fd) }, {}, int(fd)) : undefined;
};

const EVENTS: { readonly [event: string]: Translate | undefined } = {
	iommufd_backend_connect: onFile("OPEN_IOMMUFD", (users) => users === 1),
	iommu_backend_set_fd: (_fields, text) => {
		const fd = int(/fd=(\d+)/.exec(text)?.[1]);
		return call("OPEN_IOMMUFD", {}, {}, fd);
	},
	iommufd_backend_disconnect: onFile("CLOSE_IOMMUFD", (users) => users === 0),
	iommufd_backend_alloc_ioas: ({ iommufd, ioas }) =>
		call("IOMMU_IOAS_ALLOC", { iommufd: int(iommufd) }, { ioas_id: int(ioas) }),
	iommufd_backend_map_dma: (f) =>
		call("IOMMU_IOAS_MAP", {
			iommufd: int(f["iommufd"]),
			ioas_id: int(f["ioas"]),
			iova: f["iova"],
			length: f["size"],
			flags: MAP_FIXED_READ | (f["readonly"] === "1" ? 0 : MAP_WRITE),
		}),
	iommufd_backend_unmap_dma: (f) =>
		call(
			"IOMMU_IOAS_UNMAP",
			{
				iommufd: int(f["iommufd"]),
				ioas_id: int(f["ioas"]),
				iova: f["iova"],
				length: f["size"],
			},
			{},
		),
	iommufd_backend_alloc_hwpt: (f) =>
		call(
			"IOMMU_HWPT_ALLOC",
			{
				iommufd: int(f["iommufd"]),
				dev_id: int(f["dev_id"]),
				pt_id: int(f["pt_id"]),
				flags: int(f["flags"]),
			},
			{ hwpt_id: int(f["out_hwpt"]) },
		),
	iommufd_backend_free_id: (f) =>
		call("IOMMU_DESTROY", { iommufd: int(f["iommufd"]), id: int(f["id"]) }),
	iommufd_backend_set_dirty: (f) =>
		call("IOMMU_HWPT_SET_DIRTY", {
			iommufd: int(f["iommufd"]),
			hwpt_id: int(f["hwpt"]),
			enable: int(f["enable"]),
		}),
	iommufd_backend_get_dirty_bitmap: (f) =>
		call("IOMMU_HWPT_GET_DIRTY", {
			iommufd: int(f["iommufd"]),
			hwpt_id: int(f["hwpt"]),
			iova: f["iova"],
			length: f["size"],
		}),
	iommufd_backend_invalidate_cache: (f) =>
		call(
			"IOMMU_HWPT_INVALIDATE",
			{
				iommufd: int(f["iommufd"]),
				hwpt_id: int(f["id"]),
				entries: int(f["entry_num"]),
			},
			{ done: int(f["done_num"]) },
		),
	iommufd_cdev_connect_and_bind: (_fields, text) => {
		const m =
			/\[iommufd=(\d+)\] Successfully bound device (\S+) \(fd=(\d+)\): output devid=(\d+)/.exec(
				text,
			);
		if (m === null) return undefined;
		const args = { iommufd: int(m[1]), dev: m[2], fd: int(m[3]) };
		return call("VFIO_DEVICE_BIND_IOMMUFD", args, { dev_id: int(m[4]) });
	},
	iommufd_cdev_attach_ioas_hwpt: (_fields, text) => {
		const m =
			/\[iommufd=(\d+)\] Successfully attached device (\S+) \((\d+)\) to id=(\d+)/.exec(
				text,
			);
		if (m === null) return undefined;
		const args = { iommufd: int(m[1]), dev: m[2], pt_id: int(m[4]) };
		return call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", args);
	},
	iommufd_cdev_detach_ioas_hwpt: (_fields, text) => {
		const m = /\[iommufd=(\d+)\] Successfully detached (\S+)/.exec(text);
		if (m === null) return undefined;
		const args = { iommufd: int(m[1]), dev: m[2] };
		return call("VFIO_DEVICE_DETACH_IOMMUFD_PT", args);
	},
};

/** Tells whether a line is one of QEMU's. */
export const isQemuLine = (text: string): boolean => LINE.test(text);

/** Reads a QEMU log: a parser for the call book. Times count from the first stamped line; lines without stamp count up. */
export function qemuParser(): (text: string) => Call | "note" | undefined {
	let first: bigint | undefined;
	let last = 0;
	return (text) => {
		const line = LINE.exec(text.trimEnd());
		if (line === null) return undefined;
		const [, pid = "0", seconds, fraction = "", event = "", rest = ""] = line;
		let t = last + 1;
		if (seconds !== undefined) {
			const now =
				BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
			first ??= now;
			t = Math.max(last, Number(now - first));
		}
		last = t;
		if (CONTEXT_ONLY.test(event)) return "note";
		const nonExistent = event === "iommufd_backend_unmap_dma_non_exist";
		const translate = EVENTS[nonExistent ? "iommufd_backend_unmap_dma" : event];
		const translated = translate?.(fieldsOf(rest), rest);
		if (translate === undefined)
			return event.startsWith("iommufd_")
				? plain(event, t, int(pid))
				: undefined;
		if (translated === undefined)
			return /users=\d/.test(rest) ? "note" : undefined;
		const returned = /\((-?\d{1,6})\)\s*$/.exec(rest)?.[1];
		const ret = returned === undefined ? 0 : int(returned);
		const errno = nonExistent ? ENOENT : Math.max(0, -ret);
		return {
			...translated,
			ret: errno === 0 ? translated.ret : -1,
			t,
			tEnd: t,
			tid: int(pid),
			errno,
			known: true,
		};
	};
}

/** An event of a newer QEMU: an operation without known effects. */
const plain = (event: string, t: number, tid: number): Call => ({
	name: event,
	args: {},
	out: {},
	ret: 0,
	errno: 0,
	t,
	tEnd: t,
	tid,
	known: true,
});

function fieldsOf(text: string): Fields {
	const fields: Record<string, string> = {};
	for (const match of text.matchAll(/(\w+)=(\S+)/g))
		if (match[1] !== undefined && match[2] !== undefined)
			fields[match[1]] ??= match[2];
	return fields;
}
