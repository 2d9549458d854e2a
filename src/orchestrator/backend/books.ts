/** What calls are made from: the live system as it is when this is asked for, whatever is decided later. */
import { kernelNumber } from "../../vocabulary/ids.ts";
import type { Executor } from "../executor.ts";
import type { Books } from "./calls.ts";

/** The books of a system between two commands. */
export function booksOf(x: Executor): Books {
	const beside = new Map(x.beside);
	return {
		idev: (dev) => {
			const { idev } = x.device(dev);
			return idev === null ? 0 : kernelNumber(idev);
		},
		mdev: (ctx, id) => {
			const access = beside.get(ctx)?.objs.get(id);
			return access?.type !== "access" || access.mdev === undefined
				? undefined
				: { name: access.mdev, attached: access.ioas !== undefined };
		},
	};
}
