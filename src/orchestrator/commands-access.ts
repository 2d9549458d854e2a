/** Commands of in-kernel accesses; they run on plain state (plain.ts). */
import {
	accessRw,
	attachAccess,
	changeIoas,
	createAccess,
	destroyAccess,
	pinPages,
	replaceAccess,
	unpinItem,
} from "../../machines/ops/access.ts";
import type { Exec } from "../../machines/ops/exec.ts";
import { lookUp, putObj, refused } from "../../machines/ops/exec.ts";
import type { Access, Answer } from "../../machines/ops/types.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { Of, Span } from "./commands-plain.ts";
import { fromHex, plainly } from "./commands-plain.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";

/** Arguments by operation. */
export interface AccessArgs {
	/**
	 * An in-kernel user; `pinning`: it may pin (its driver has an unmap hook), else it reads and writes. `deaf`: the hook does not let go, which is
	 * a defect of that driver. `mdev`: the user is an emulated VFIO device of this name, whose bind makes the access; it always pins
	 * (drivers/vfio/iommufd.c:vfio_iommufd_emulated_bind). Bound already: EINVAL.
	 */
	readonly accessCreate: Of<{
		readonly pinning?: boolean;
		readonly deaf?: boolean;
		readonly mdev?: string;
	}>;
	/** Attaches an access to an IOAS (iommufd_access_attach). */
	readonly accessAttach: Of<{ readonly access: number; readonly ioas: number }>;
	/** Moves an access to another IOAS (iommufd_access_replace). */
	readonly accessReplace: Of<{
		readonly access: number;
		readonly ioas: number;
	}>;
	/** Takes an access off its IOAS, its pins with it. */
	readonly accessDetach: Of<{ readonly access: number }>;
	/** Pins a range (iommufd_access_pin_pages). */
	readonly accessPin: Of<
		{ readonly access: number; readonly write?: boolean } & Span
	>;
	/** Gives a pinned range back by its number. */
	readonly accessUnpin: Of<{ readonly access: number; readonly item: number }>;
	/** Reads or writes through the IOAS without pinning (iommufd_access_rw). */
	readonly accessRw: Of<
		{ readonly access: number; readonly write?: boolean } & Span
	>;
	/** The driver gives its access up. */
	readonly accessDestroy: Of<{ readonly access: number }>;
}

const said = (errno: ErrnoName | undefined, step: string): Answer =>
	errno === undefined ? {} : refused(errno, step);
/** Runs something with an access by id; ENOENT when there is none. */
const withAccess =
	(id: number, run: (exec: Exec, access: Access) => Answer) =>
	(exec: Exec): Answer => {
		const access = lookUp(exec, id, "access");
		return access === undefined
			? refused("ENOENT", "access")
			: run(exec, access);
	};

/** A VFIO device file takes one bind (drivers/vfio/device_cdev.c:vfio_df_ioctl_bind_iommufd). */
const isBoundMdev = (x: Executor, mdev: string): boolean =>
	[...x.beside.values()].some(({ objs }) =>
		[...objs.values()].some((o) => o.type === "access" && o.mdev === mdev),
	);

/** Through an access whose user can always be reached: every byte is copied. */
const copyAll = (): undefined => undefined;

type Handlers = {
	readonly [O in keyof AccessArgs]: (
		x: Executor,
		args: AccessArgs[O],
	) => Outcome;
};

/** In-kernel users of an IOAS. */
export const ACCESS_HANDLERS: Handlers = {
	accessCreate: (x, args) =>
		plainly(
			x,
			args.ctx,
			(exec): Answer => {
				const { mdev, pinning = false } = args;
				if (mdev !== undefined && isBoundMdev(x, mdev))
					return refused("EINVAL", "mdev.bound");
				const made = createAccess(exec, pinning || mdev !== undefined);
				if (made === undefined) return refused("ENOMEM", "object.alloc");
				if (mdev !== undefined) putObj(exec, { ...made, mdev });
				if (args.deaf === true) x.deaf.add(made.name);
				return { out: { access: made.id } };
			},
			({ out }) => ({ access: Number(out?.["access"]) }),
		),
	accessAttach: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) =>
				said(attachAccess(exec, access, args.ioas), "ioas"),
			),
		),
	accessReplace: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) =>
				said(replaceAccess(exec, access, args.ioas), "ioas"),
			),
		),
	accessDetach: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) =>
				said(changeIoas(exec, access.id, undefined), "ioas"),
			),
		),
	accessPin: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) => {
				// Only a user with an unmap hook may pin (iommufd_access_pin_pages).
				if (!access.pinning) return refused("EINVAL", "access.ops");
				const done = pinPages(
					exec,
					access.id,
					fromHex(args.iova),
					fromHex(args.length),
					args.write === true,
				);
				return done.item === undefined ? done : { out: { item: done.item } };
			}),
			({ out }) => ({ item: Number(out?.["item"]) }),
		),
	accessUnpin: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) =>
				unpinItem(exec, access.id, args.item)
					? {}
					: refused("ENOENT", "access.item"),
			),
		),
	accessRw: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) =>
				accessRw(
					exec,
					access.id,
					fromHex(args.iova),
					fromHex(args.length),
					args.write === true,
					copyAll,
				),
			),
		),
	accessDestroy: (x, args) =>
		plainly(
			x,
			args.ctx,
			withAccess(args.access, (exec, access) => {
				destroyAccess(exec, access.id);
				return {};
			}),
		),
};
