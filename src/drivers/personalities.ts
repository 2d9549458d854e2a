/** The driver personalities by name, as topology files choose them: how each answers (DriverOps). */
import type { DriverOps } from "../../machines/ops/driver.ts";
import { amdVi } from "./amd-vi.ts";
import { mock } from "./mock.ts";
import { smmuV3 } from "./smmu-v3.ts";
import { vtd } from "./vtd.ts";

/** How each driver answers. */
export const PERSONALITIES: { readonly [name: string]: DriverOps } = {
	mock,
	vtd,
	"smmu-v3": smmuV3,
	"amd-vi": amdVi,
};

/** The personality of that name. Throws RangeError with the known names when there is none. */
export function driverNamed(name: string): DriverOps {
	const found = Object.hasOwn(PERSONALITIES, name)
		? PERSONALITIES[name]
		: undefined;
	if (found === undefined)
		throw new RangeError(
			`unknown driver personality ${JSON.stringify(name)}; known: ${Object.keys(PERSONALITIES).join(", ")}`,
		);
	return found;
}
