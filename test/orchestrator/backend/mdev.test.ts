/** Which accesses are calls of user space: those of emulated devices, also behind a restart; other in-kernel users are the model's alone. */
import { expect, test } from "vitest";
import { memoryStore } from "../../../src/log/memory-store.ts";
import { succeeded } from "../../../src/orchestrator/backend/backend.ts";
import { runHeader } from "../../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../../src/orchestrator/create.ts";
import { threeInOneGroup } from "../../../src/scenarios/setting.ts";

const mdev = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const ctx = "ctx:1";
const span = { iova: "0x100000", length: "0x1000" };

/** A backend that agrees to everything, and what it was asked. */
function listening() {
	const asked: string[] = [];
	const out: { readonly [call: string]: object } = {
		IOMMU_IOAS_MAP: { iova: "0x100000" },
	};
	let objects = 0;
	const backend = {
		name: "agrees",
		execute: async ({ call, args }: { call: string; args: object }) => {
			const { dev, pt_id: pt } = args as { dev?: string; pt_id?: number };
			asked.push(
				[call, dev, pt].filter((part) => part !== undefined).join(" "),
			);
			if (call === "IOMMU_IOAS_ALLOC") return succeeded({ ioas_id: ++objects });
			if (call === "VFIO_DEVICE_BIND_IOMMUFD")
				return succeeded({ dev_id: ++objects });
			return succeeded((out[call] ?? {}) as never);
		},
		close: async () => {},
	};
	return { asked, backend };
}

test("an emulated device's access is bound, attached, moved and closed by calls; pins are its driver's", async () => {
	const store = memoryStore(runHeader(threeInOneGroup()));
	const first = listening();
	const before = await createIommuSystem({ store, backend: first.backend });
	await before.open();
	const a = await before.ioasAlloc({ ctx });
	const access = await before.accessCreate({ ctx, mdev });
	const area = { ...span, va: "0x700000", prot: 3 };
	await before.map({ ctx, ioas: a, ...area });
	await before.accessAttach({ ctx, access, ioas: a });
	const item = await before.accessPin({ ctx, access, ...span });
	// A second bind is refused by VFIO and by the model; an attach of what is attached would be a replace there, and is not sent.
	const twice = before.accessAttach({ ctx, access, ioas: a });
	await expect(twice).rejects.toMatchObject({ errno: "EINVAL" });
	await before.dispose();
	expect(first.asked).toEqual([
		"OPEN_IOMMUFD",
		"IOMMU_IOAS_ALLOC",
		`VFIO_DEVICE_BIND_IOMMUFD ${mdev}`,
		"IOMMU_IOAS_MAP",
		`VFIO_DEVICE_ATTACH_IOMMUFD_PT ${mdev} ${a}`,
	]);

	const second = listening();
	const after = await createIommuSystem({ store, backend: second.backend });
	await after.accessUnpin({ ctx, access, item });
	await after.accessReplace({ ctx, access, ioas: a });
	await after.accessDetach({ ctx, access });
	const gone = after.accessReplace({ ctx, access, ioas: a });
	await expect(gone).rejects.toMatchObject({ errno: "ENOENT" });
	await after.accessDestroy({ ctx, access });
	await after.dispose();
	expect(second.asked).toEqual([
		`VFIO_DEVICE_ATTACH_IOMMUFD_PT ${mdev} ${a}`,
		`VFIO_DEVICE_DETACH_IOMMUFD_PT ${mdev}`,
		`CLOSE_CDEV ${mdev}`,
	]);
});

test("a second bind is EINVAL, and an access of another driver asks nobody", async () => {
	const store = memoryStore(runHeader(threeInOneGroup()));
	const { asked, backend } = listening();
	const system = await createIommuSystem({ store, backend });
	await system.open();
	const ioas = await system.ioasAlloc({ ctx });
	const other = await system.accessCreate({ ctx, pinning: true });
	await system.accessAttach({ ctx, access: other, ioas });
	await system.accessDetach({ ctx, access: other });
	await system.accessDestroy({ ctx, access: other });
	expect(asked).toEqual(["OPEN_IOMMUFD", "IOMMU_IOAS_ALLOC"]);
	const model = await createIommuSystem({
		store: memoryStore(runHeader(threeInOneGroup())),
	});
	await model.open();
	await model.accessCreate({ ctx, mdev });
	await expect(model.accessCreate({ ctx, mdev })).rejects.toMatchObject({
		errno: "EINVAL",
	});
});
