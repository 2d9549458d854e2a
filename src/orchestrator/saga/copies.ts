/**
 * What moveAll must copy before devices move: every mapping of the address space they leave that the other one lacks. The kernel moves hardware from
 * one IOAS to another and copies nothing; user space does, with IOMMU_IOAS_COPY, area by area (facts iommufd §2.5).
 */
import { idGet } from "../../../machines/id-table.ts";
import type { IoasContext } from "../../../machines/ioas.ts";
import type { CtxContext } from "../../../machines/iommufd-ctx.ts";
import { type Mem, pagesOf } from "../../../machines/iopt-pages.ts";
import {
	type Area,
	areaAt,
	areasOf,
	firstAreaIn,
	type Iopt,
} from "../../../machines/iopt.ts";
import { hexOf, u64 } from "../../vocabulary/fields.ts";
import type { CtxId, HwptId, IoasId } from "../../vocabulary/ids.ts";
import { kernelNumber } from "../../vocabulary/ids.ts";
import type { Command } from "../commands.ts";
import type { Executor } from "../executor.ts";

/** What copies a way back must undo: ranges of an IOAS that were free. */
export interface FormerFree {
	readonly ioas: number;
	readonly ranges: readonly {
		readonly iova: string;
		readonly length: string;
	}[];
}
/** The copies of a plan. */
export interface Copies {
	readonly commands: readonly Command[];
	readonly free: FormerFree | undefined;
}
const NOTHING: Copies = { commands: [], free: undefined };

const hex = (value: bigint): string => hexOf(u64(value));

/** The IOAS that an id stands for: itself, or the one that the hwpt is on. */
function ioasOf(x: Executor, ctx: CtxId, id: number): IoasId | undefined {
	const name = idGet(x.context<CtxContext>(ctx).ids, id);
	if (name?.includes("/ioas:")) return name as IoasId;
	return name?.includes("/hwpt:")
		? x.hwptView(name as HwptId)?.ioas
		: undefined;
}
const contents = (x: Executor, ioas: IoasId): Iopt =>
	x.context<IoasContext>(ioas).iopt;

/** Whose memory an area shows, from which address on. */
function shows(mem: Mem, area: Area): string | undefined {
	if (area.pages === undefined) return undefined;
	const { mm, uva } = pagesOf(mem, area.pages);
	return `${mm} ${uva + area.off}`;
}

/** The other IOAS maps the same memory there already, with the same permissions. */
function isThere(mem: Mem, area: Area, other: Area | undefined): boolean {
	return (
		other?.start === area.start &&
		other.last === area.last &&
		other.prot === area.prot &&
		shows(mem, other) === shows(mem, area)
	);
}

/** Copies from IOAS `from` to the one that `to` is, or is on. Areas without any permission are left out: IOMMU_IOAS_COPY refuses them, and no DMA gets through. */
export function copiesFor(
	x: Executor,
	ctx: CtxId,
	from: number,
	to: number,
): Copies {
	const src = ioasOf(x, ctx, from);
	const dst = ioasOf(x, ctx, to);
	if (src === undefined || dst === undefined || src === dst) return NOTHING;
	const mem = x.parts.outside.mem(ctx);
	const there = contents(x, dst);
	const missing = [...areasOf(contents(x, src))].filter(
		(area) =>
			area.pages !== undefined &&
			area.prot !== 0 &&
			!isThere(mem, area, areaAt(there, area.start)),
	);
	const ioas = kernelNumber(dst);
	const rangeOf = ({ start, last }: Area) => ({
		iova: hex(start),
		length: hex(last - start + 1n),
	});
	return {
		commands: missing.map((area): Command => {
			const { iova, length } = rangeOf(area);
			return {
				op: "copy",
				args: {
					ctx,
					src: kernelNumber(src),
					dst: ioas,
					srcIova: iova,
					length,
					dstIova: iova,
					prot: area.prot,
				},
			};
		}),
		free: {
			ioas,
			ranges: missing
				.filter(
					({ start, last }) =>
						firstAreaIn(there.areas, start, last) === undefined,
				)
				.map(rangeOf),
		},
	};
}

/** The unmap of the first copy that stands in a range that was free. */
export function nextUnmap(
	x: Executor,
	ctx: CtxId,
	free: FormerFree | undefined,
): Command | undefined {
	const name = free && ioasOf(x, ctx, free.ioas);
	if (free === undefined || name === undefined) return undefined;
	const now = contents(x, name);
	const copied = free.ranges.find(
		({ iova }) => areaAt(now, BigInt(iova)) !== undefined,
	);
	return copied && { op: "unmap", args: { ctx, ioas: free.ioas, ...copied } };
}
