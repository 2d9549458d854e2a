/** Commands of legacy VFIO containers: type1 v1 and v2 without iommufd (legacy.ts). `ctx` is the container. */
import {
	closeContainer,
	openContainer,
	setContainer,
	setType,
	unsetContainer,
} from "../../machines/ops/type1.ts";
import {
	TYPE1_FLAG,
	type1Map,
	type1Unmap,
} from "../../machines/ops/type1-dma.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import { refused } from "../../machines/ops/exec.ts";
import type { Answer } from "../../machines/ops/types.ts";
import type { Json } from "../vocabulary/fields.ts";
import { hexOf, u64 } from "../vocabulary/fields.ts";
import type { CtxId, GroupId } from "../vocabulary/ids.ts";
import { ctxId } from "../vocabulary/ids.ts";
import { fromHex, type Of } from "./commands-plain.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { onLegacy } from "./legacy.ts";

/** Arguments by operation. */
export interface LegacyArgs {
	/** Opens /dev/vfio/vfio. */
	readonly containerOpen: object;
	/** The last close of a container: its groups leave, its mappings go. */
	readonly containerClose: Of<object>;
	/** VFIO_GROUP_SET_CONTAINER: claims the whole group. */
	readonly groupSetContainer: Of<{ readonly group: GroupId }>;
	/** VFIO_GROUP_UNSET_CONTAINER: the group leaves its container. */
	readonly groupUnsetContainer: Of<{ readonly group: GroupId }>;
	/** VFIO_SET_IOMMU, once: type1 "v1" or "v2". */
	readonly containerSetIommu: Of<{ readonly version: "v1" | "v2" }>;
	/** VFIO_IOMMU_MAP_DMA of memory of process `mm` (1 unless said). */
	readonly containerMap: Of<{
		readonly iova: string;
		readonly length: string;
		readonly va: string;
		readonly prot: number;
		readonly mm?: number;
	}>;
	/** VFIO_IOMMU_UNMAP_DMA; without a range everything. */
	readonly containerUnmap: Of<{
		readonly iova?: string;
		readonly length?: string;
	}>;
}
/** The name that the next context or container gets. */
export const nextCtx = (x: Executor): CtxId =>
	ctxId(1 + x.legacy.opened + x.contexts);

function outcomeOf(
	answer: Answer,
	result: (answer: Answer) => Json | undefined = () => undefined,
): Outcome {
	const { errno, step = "" } = answer;
	if (errno !== undefined) return { ok: false, errno, step } as Outcome;
	const value = result(answer);
	return (value === undefined ? { ok: true } : { ok: true, value }) as Outcome;
}
const plain = (
	x: Executor,
	ctx: CtxId,
	body: (exec: Exec) => Answer,
): Outcome => outcomeOf(onLegacy(x, ctx, body));

/** A call on a group: ENODEV when the machine has no such group. */
const onGroup =
	(group: GroupId, call: (exec: Exec, group: GroupId) => Answer) =>
	(exec: Exec): Answer =>
		exec.host.groups.has(group)
			? call(exec, group)
			: refused("ENODEV", "group.look");

type Handlers = {
	readonly [O in keyof LegacyArgs]: (
		x: Executor,
		args: LegacyArgs[O],
	) => Outcome;
};

/** The commands. */
export const LEGACY_HANDLERS: Handlers = {
	containerOpen: (x) => {
		const ctx = nextCtx(x);
		x.legacy = { ...x.legacy, opened: x.legacy.opened + 1 };
		onLegacy(x, ctx, (exec): Answer => {
			openContainer(exec);
			return {};
		});
		x.actors.get("host")!.send({ type: "host.ctx.opened" });
		return outcomeOf({}, () => ({ ctx }));
	},
	containerClose: (x, args) => {
		const outcome = plain(x, args.ctx, (exec) => {
			closeContainer(exec);
			return {};
		});
		x.actors.get("host")!.send({ type: "host.ctx.closed" });
		return outcome;
	},
	groupSetContainer: (x, args) =>
		plain(x, args.ctx, onGroup(args.group, setContainer)),
	groupUnsetContainer: (x, args) =>
		plain(x, args.ctx, onGroup(args.group, unsetContainer)),
	containerSetIommu: (x, args) =>
		plain(x, args.ctx, (exec) => setType(exec, args.version === "v1" ? 1 : 3)),
	containerMap: (x, args) =>
		outcomeOf(
			onLegacy(
				x,
				args.ctx,
				(exec) =>
					type1Map(exec, {
						flags: args.prot,
						vaddr: fromHex(args.va),
						iova: fromHex(args.iova),
						size: fromHex(args.length),
					}),
				args.mm ?? 1,
			),
		),
	containerUnmap: (x, args) => {
		const all = args.iova === undefined && args.length === undefined;
		const answer = onLegacy(x, args.ctx, (exec) =>
			type1Unmap(exec, {
				flags: all ? TYPE1_FLAG.UNMAP_ALL : 0,
				iova: fromHex(args.iova ?? "0x0"),
				size: fromHex(args.length ?? "0x0"),
			}),
		);
		return outcomeOf(answer, ({ out }) => ({
			bytes: hexOf(u64(out?.["size"] as bigint)),
		}));
	},
};
/** Operations of containers; a container has no others, and no context has these. */
export const isLegacyOp = (op: string): boolean =>
	Object.hasOwn(LEGACY_HANDLERS, op);
