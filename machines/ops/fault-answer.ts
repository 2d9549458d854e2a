/**
 * Answers to page fault groups: by the user, or INVALID by detach, replace and destroy
 * (drivers/iommu/iommufd/fault.c:iommufd_auto_response_faults). Facts: iommufd-semantics.md §2.15.
 */
import { fact } from "../../src/vocabulary/records.ts";
import type { Exec } from "./exec.ts";
import { emit, objOf, putObj } from "./exec.ts";
import type { FaultGroup, FaultQueue } from "./types.ts";

/** Records one answer. */
export function answered(
	x: Exec,
	fq: FaultQueue,
	group: FaultGroup,
	code: string,
	by: string,
): void {
	const cookie = group.cookie === undefined ? {} : { cookie: group.cookie };
	const { dev, grpid } = group;
	const record = { fq: fq.name, code, by, ...cookie, grpid, dev };
	emit(x, fact("fault.answered", fq.name, record));
}

/** Answers INVALID to every open fault that `which` selects (iommufd_auto_response_faults; fault destroy takes all). */
export function answerFaults(
	x: Exec,
	id: number,
	which: (group: FaultGroup) => boolean,
	by: string,
): void {
	const fq = objOf(x, id, "fault");
	for (const group of [...fq.deliver, ...fq.response])
		if (which(group)) answered(x, fq, group, "INVALID", by);
	putObj(x, {
		...fq,
		deliver: fq.deliver.filter((g) => !which(g)),
		response: fq.response.filter((g) => !which(g)),
	});
}
