/** The driver personalities by name, as topology files choose them. */
import type { DriverOps } from "../../machines/ops/driver.ts";
import { mock } from "./mock.ts";

export const PERSONALITIES: { readonly [name: string]: DriverOps } = { mock };
