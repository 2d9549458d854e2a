/** NST rows (facts iommufd §6.5): nested hwpts and their parents. */
import type { HwptId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";
import { liveHwpt } from "./subjects.ts";

/** NST-4. */
function throughParent(
	{ world, bracket }: Context,
	{ data, seq }: LogRecord<"dev.attached" | "dev.replaced">,
): Outcome {
	const hwpt = world.hwpts.map.get(data.hwpt);
	if (hwpt?.parent === undefined || bracket.op === undefined) return SKIP;
	const ioas = world.hwpts.map.get(hwpt.parent)?.ioas;
	const wrong = bracket.op.steps.find(
		(step) =>
			step.type === "resv.added" &&
			step.data.owner.startsWith("device:") &&
			step.data.ioas !== ioas,
	);
	const cookie =
		hwpt.dom !== undefined && world.domains.map.get(hwpt.dom)?.cookie === true;
	if (wrong === undefined && !cookie) return undefined;
	const what =
		wrong?.type === "resv.added"
			? `the regions of ${wrong.data.owner} were reserved in ${wrong.data.ioas}`
			: `${hwpt.dom} got the MSI cookie`;
	return broken(
		`${data.dev} ${seq}`,
		`${data.dev} is on the nested ${data.hwpt}, but ${what}, not its parent's ${wrong === undefined ? "domain" : (ioas ?? "IOAS")}`,
		[data.dev, data.hwpt, hwpt.parent],
		[bracket.seq, wrong?.seq ?? 0],
	);
}

export const NESTING: readonly Invariant[] = [
	{
		id: "NST-2",
		when: "S",
		severity: "error",
		sentence: "A nesting parent is destroyed only when it has no children.",
		harm: "the second stage is freed under the first",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_nested_alloc"],
		on: {
			"obj.gone": ({ world }, { data, seq }) => {
				const hwpt = world.hwpts.map.get(data.obj as HwptId);
				if (hwpt?.nestParent !== true) return SKIP;
				return hwpt.children === 0
					? undefined
					: broken(
							`${data.obj} ${seq}`,
							`${data.obj} is gone with ${hwpt.children} nested hwpt(s) on it`,
							[hwpt.id],
							[hwpt.liveSeq],
						);
			},
		},
	},
	{
		id: "NST-3",
		when: "S",
		severity: "error",
		aspect: "hwpt",
		sentence: "No hwpt is nested on a nested one.",
		harm: "hardware walks two stages, not three",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_alloc"],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.parent === undefined) return SKIP;
			const parent = world.hwpts.map.get(hwpt.parent);
			if (parent === undefined) return SKIP;
			return parent.kind !== "NESTED"
				? undefined
				: broken(
						id,
						`${id} is nested on ${parent.id}, which is nested itself`,
						[hwpt.id, parent.id],
						[parent.liveSeq, hwpt.liveSeq],
					);
		},
	},
	{
		id: "NST-4",
		when: "O",
		severity: "error",
		sentence:
			"For a device on a nested hwpt, reservations and the MSI cookie are its parent's.",
		harm: "its MSI window is free in the address space that it really uses",
		source: ["drivers/iommu/iommufd/iommufd_private.h:find_hwpt_paging"],
		on: { "dev.attached": throughParent, "dev.replaced": throughParent },
	},
	{
		id: "NST-1",
		when: "S",
		severity: "error",
		aspect: "hwpt",
		sentence:
			"The parent of a nested hwpt is a paging one, made as a nesting parent, not automatic.",
		harm: "a guest's first stage on a table that is not its own",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_nested_alloc"],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.parent === undefined) return SKIP;
			const parent = world.hwpts.map.get(hwpt.parent);
			if (parent === undefined) return SKIP;
			if (parent.state === "gone")
				return broken(
					id,
					`${id} lives on although its parent ${hwpt.parent} is gone`,
					[hwpt.id, hwpt.parent],
					[hwpt.liveSeq],
				);
			const right =
				parent.kind !== "NESTED" && parent.nestParent && !parent.auto;
			return right
				? undefined
				: broken(
						id,
						`${id} is nested on ${hwpt.parent}, which is not a nesting parent`,
						[hwpt.id, hwpt.parent],
						[parent.liveSeq, hwpt.liveSeq],
					);
		},
	},
	{
		id: "NST-5",
		when: "S",
		severity: "error",
		sentence:
			"An invalidation handles at most what was asked, and all of it when it succeeds.",
		harm: "the guest believes its caches are clean",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_invalidate"],
		on: {
			"hwpt.invalidated": (_, { data, seq }) => {
				const right =
					data.done <= data.asked &&
					(data.errno !== undefined || data.done === data.asked);
				return right
					? undefined
					: broken(
							`${data.hwpt} ${seq}`,
							`${data.hwpt}: ${data.done} of ${data.asked} invalidations were handled${data.errno === undefined ? " and success was reported" : ""}`,
							[data.hwpt],
							[],
						);
			},
		},
	},
];
