/**
 * How the selftest lets a fuzzer name addresses that it cannot guess (selftest.c:__iommufd_test_syz_conv_iova).
 */
import { areasOf } from "../../../machines/iopt.ts";
import type { Exec } from "../../../machines/ops/exec.ts";
import { lookUp } from "../../../machines/ops/exec.ts";

/** Flag: the IOVA is an area's number (low half) and an offset in it (high half). */
export const SYZ = 0x1_0000;

/** The address meant by such an IOVA in an IOAS; 0 when it has no such area. */
export function syzIova(
	x: Exec,
	ioasId: number | undefined,
	iova: bigint,
): bigint {
	const ioas = ioasId === undefined ? undefined : lookUp(x, ioasId, "ioas");
	if (ioas === undefined) return 0n;
	let nth = iova & 0xffff_ffffn;
	for (const area of areasOf(ioas.iopt))
		if (nth-- === 0n) return BigInt.asUintN(64, area.start + (iova >> 32n));
	return 0n;
}
