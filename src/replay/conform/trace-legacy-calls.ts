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
import { big, groupOf, num, shown } from "./trace-call.ts";
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
	return replyOf(s.run(ctx, 0, (x) => unsetContainer(x, group)));
}

/** Handlers by call name. */
export const LEGACY: {
	readonly [call: string]: (s: TraceSession, c: TraceCall) => Reply;
} = {
	OPEN_CONTAINER: (s, c) =>
		s.openRecorded(c.ret, () => {
			const ctx = s.nameContext();
			s.containers.set(c.ret, ctx);
			s.run(ctx, 0, (x): Answer => {
				openContainer(x);
				return {};
			});
		}),
	CLOSE_CONTAINER: (s, c) =>
		onContainer(s, num(c, "fd"), (x) => {
			closeContainer(x);
			return {};
		}),
	OPEN_GROUP: (s, c) =>
		s.openRecorded(c.ret, () => {
			const group = Number(String(c.args["path"]).split("/").pop());
			s.groupFiles.set(c.ret, groupId(group));
		}),
	CLOSE_GROUP: (s, c) => {
		const group = s.groupFiles.get(num(c, "fd"));
		if (group === undefined) return refusal("EBADF");
		s.groupFiles.delete(num(c, "fd"));
		const ctx = s.joined.get(group);
		if (ctx !== undefined) leave(s, group, ctx);
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
		return ctx === undefined ? refusal("EINVAL") : leave(s, groupOf(c), ctx);
	},
	VFIO_SET_IOMMU: (s, c) =>
		onContainer(s, num(c, "container"), (x) => setType(x, num(c, "type"))),
	VFIO_GROUP_GET_DEVICE_FD: (s, c) =>
		s.joined.has(groupOf(c)) ? { ret: c.ret, errno: null } : refusal("EINVAL"),
	CLOSE_DEVICE: () => replyOf({}),
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
