/**
 * Accesses as calls of user space. iommufd_access_create, _attach, _replace, _detach, _pin_pages and _rw are exported to kernel drivers
 * (drivers/iommu/iommufd/device.c); no ioctl of /dev/iommu does the like. For an emulated VFIO device (mdev) they stand behind the calls that VFIO
 * has for every device (drivers/vfio/iommufd.c: vfio_iommufd_emulated_bind, _attach_ioas, _detach_ioas, _unbind), so those are sent. Pins and
 * accesses to memory are the mdev driver's own (vfio_pin_pages, vfio_dma_rw).
 */
import type { CtxId } from "../../vocabulary/ids.ts";
import { kernelNumber } from "../../vocabulary/ids.ts";
import type { AccessArgs } from "../commands-access.ts";
import type { CallFields } from "./backend.ts";
import type { Books, Spelling } from "./calls.ts";

type AccessSpellings = {
	readonly [O in keyof AccessArgs]: Spelling<O> | null;
};
interface Named {
	readonly ctx: CtxId;
	readonly access: number;
}

const on = ({ ctx, access }: Named, books: Books): CallFields => ({
	iommufd: kernelNumber(ctx),
	dev: books.mdev(ctx, access)!.name,
});
/** VFIO decides by the device's state what ATTACH_PT and DETACH_PT are; where the command does not fit it, the model refuses it by itself. */
const when =
	(attached: boolean) =>
	({ ctx, access }: Named, books: Books): boolean =>
		books.mdev(ctx, access)?.attached === attached;

/** The commands of accesses. */
export const MDEV_SPELLINGS: AccessSpellings = {
	accessCreate: {
		call: "VFIO_DEVICE_BIND_IOMMUFD",
		sent: ({ mdev }) => mdev !== undefined,
		args: ({ ctx, mdev }) => ({ iommufd: kernelNumber(ctx), dev: mdev! }),
		out: ({ access }) => ({ dev_id: access! }),
	},
	accessAttach: {
		call: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
		sent: when(false),
		args: (a, books) => ({ ...on(a, books), pt_id: a.ioas }),
	},
	accessReplace: {
		call: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
		sent: when(true),
		args: (a, books) => ({ ...on(a, books), pt_id: a.ioas }),
	},
	accessDetach: {
		call: "VFIO_DEVICE_DETACH_IOMMUFD_PT",
		sent: when(true),
		args: on,
	},
	accessPin: null,
	accessUnpin: null,
	accessRw: null,
	accessDestroy: {
		call: "CLOSE_CDEV",
		sent: ({ ctx, access }, books) => books.mdev(ctx, access) !== undefined,
		args: on,
	},
};
