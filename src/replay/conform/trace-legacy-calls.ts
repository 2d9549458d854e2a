/** Calls on legacy VFIO containers and groups in kernel recordings (facts/trace-formats.md §2, iommufd-semantics.md §5). */
import type { CtxId, GroupId } from "../../vocabulary/ids.ts";
import { groupId } from "../../vocabulary/ids.ts";
import type { Exec } from "../../../machines/ops/exec.ts";
import {
	closeContainer,
	openContainer,
	setContainer,
	setType,
	unsetContainer,
} from "../../../machines/ops/type1.ts";
import { type1Map, type1Unmap } from "../../../machines/ops/type1-dma.ts";
import type { Answer } from "../../../machines/ops/types.ts";
import type { Reply } from "./call.ts";
import { refusal, replyOf } from "./call.ts";
import type { TraceCall } from "./trace-call.ts";
import { big, devOf, groupOf, num, shown } from "./trace-call.ts";
import type { TraceSession } from "./trace-session.ts";

function onContainer(
	s: TraceSession,
	fd: number,
	body: (x: Exec) => Answer,
): Reply {
	const ctx = s.containers.get(fd);
	return ctx === undefined ? refusal("EBADF") : replyOf(s.run(ctx, 0, body));
}

function leave(s: TraceSession, group: GroupId, ctx: CtxId): Reply {
	s.joined.delete(group);
	const reply = replyOf(s.run(ctx, 0, (x) => unsetContainer(x, group)));
	endContainer(s, ctx);
	return reply;
}

/** A container ends with the last of its file and its groups (container.c:vfio_container_put). */
function endContainer(s: TraceSession, ctx: CtxId): void {
	if ([...s.containers.values()].includes(ctx)) return;
	if ([...s.joined.values()].includes(ctx)) return;
	s.run(ctx, 0, (x): Answer => {
		closeContainer(x);
		return {};
	});
}

/** The last of a group's file and its devices' files is closed: the group leaves its container. */
function endGroup(s: TraceSession, group: GroupId): void {
	const ctx = s.joined.get(group);
	if (ctx !== undefined && !s.groupOpen(group)) leave(s, group, ctx);
}

function getDevice(s: TraceSession, c: TraceCall): Reply {
	const ctx = s.joined.get(groupOf(c));
	if (s.host.devs.get(devOf(c))?.group !== groupOf(c)) return refusal("ENODEV");
	// Not before SET_IOMMU (container.c:vfio_group_use_container).
	if (ctx === undefined || s.host.containers.get(ctx)?.v2 === undefined)
		return refusal("EINVAL");
	s.groupDevices.set(c.ret, devOf(c));
	return { ret: c.ret, errno: null };
}

/** Handlers by call name. */
export const LEGACY: {
	readonly [call: string]: (s: TraceSession, c: TraceCall) => Reply;
} = {
	OPEN_CONTAINER: (s, c) =>
		s.openRecorded(c, () => {
			const ctx = s.nameContext();
			s.containers.set(c.ret, ctx);
			s.run(ctx, 0, (x): Answer => {
				openContainer(x);
				return {};
			});
		}),
	CLOSE_CONTAINER: (s, c) => {
		const ctx = s.containers.get(num(c, "fd"));
		if (ctx === undefined) return refusal("EBADF");
		s.containers.delete(num(c, "fd"));
		endContainer(s, ctx);
		return replyOf({});
	},
	OPEN_GROUP: (s, c) => {
		const group = groupId(Number(String(c.args["path"]).split("/").pop()));
		if (s.groupOpen(group) || s.memberBound(group))
			return { ...refusal("EBUSY"), out: { fd: -1 } };
		return s.openRecorded(c, () => s.groupFiles.set(c.ret, group));
	},
	CLOSE_GROUP: (s, c) => {
		const group = s.groupFiles.get(num(c, "fd"));
		if (group === undefined) return refusal("EBADF");
		s.groupFiles.delete(num(c, "fd"));
		endGroup(s, group);
		return replyOf({});
	},
	VFIO_GROUP_GET_STATUS: () => replyOf({}),
	VFIO_GROUP_SET_CONTAINER: (s, c) => {
		const group = groupOf(c);
		const reply = onContainer(s, num(c, "container"), (x) =>
			setContainer(x, group),
		);
		const ctx = s.containers.get(num(c, "container"));
		if (reply.errno === null && ctx !== undefined) s.joined.set(group, ctx);
		return reply;
	},
	VFIO_GROUP_UNSET_CONTAINER: (s, c) => {
		const ctx = s.joined.get(groupOf(c));
		if (ctx === undefined) return refusal("EINVAL");
		if (s.groupInUse(groupOf(c))) return refusal("EBUSY");
		return leave(s, groupOf(c), ctx);
	},
	VFIO_SET_IOMMU: (s, c) =>
		onContainer(s, num(c, "container"), (x) => setType(x, num(c, "type"))),
	VFIO_GROUP_GET_DEVICE_FD: getDevice,
	CLOSE_DEVICE: (s, c) => {
		const dev = s.groupDevices.get(num(c, "fd"));
		const group = dev && s.host.devs.get(dev)?.group;
		if (group === undefined) return refusal("EBADF");
		s.groupDevices.delete(num(c, "fd"));
		endGroup(s, group);
		return replyOf({});
	},
	VFIO_IOMMU_MAP_DMA: (s, c) =>
		onContainer(s, num(c, "container"), (x) =>
			type1Map(x, {
				flags: num(c, "flags"),
				vaddr: big(c, "vaddr"),
				iova: big(c, "iova"),
				size: big(c, "size"),
			}),
		),
	VFIO_IOMMU_UNMAP_DMA: (s, c) =>
		shown(
			onContainer(s, num(c, "container"), (x) =>
				type1Unmap(x, {
					flags: num(c, "flags"),
					iova: big(c, "iova"),
					size: big(c, "size"),
				}),
			),
			"size",
			"unmapped",
			c.args["size"],
		),
};
