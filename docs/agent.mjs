#!/usr/bin/env node
/**
 * A small agent for iommu-ledger's JSON-lines protocol (docs/backends.md), in plain JavaScript and without any library: a model of what an
 * agent in C or Rust looks like. It executes nothing on a real kernel: contexts, address spaces and their areas, and emulated devices of any name are
 * kept in memory and answered for as Linux 6.12 does. Everything else is ENOTTY.
 *
 *     node docs/agent.mjs                 # talks on standard input and output
 */
import { createInterface } from "node:readline";

const PROTOCOL = 1;
const FIXED = 1;
const WRITE = 2;
const READ = 4;
const U64_MAX = 0xffff_ffff_ffff_ffffn;
const ERRNO = {
	ENOENT: 2,
	EBADF: 9,
	EBUSY: 16,
	EEXIST: 17,
	EINVAL: 22,
	ENOTTY: 25,
	EOVERFLOW: 75,
	EOPNOTSUPP: 95,
};

/** Contexts by the number that the library gives them; each has its objects by id: a list of areas is an address space. */
const contexts = new Map();
/** Every answer by request id: a repeated request is answered and not carried out again, and a recall is possible. */
const answers = new Map();

const fail = (errname) => ({
	ret: -1,
	errno: ERRNO[errname],
	errname,
	out: {},
});
const succeed = (out = {}) => ({ ret: 0, errno: 0, errname: "", out });
const hex = (value) => `0x${value.toString(16)}`;

function lowestFree(objects) {
	let id = 1;
	while (objects.has(id)) id++;
	return id;
}
const spaceAt = (objects, id) =>
	Array.isArray(objects.get(id)) ? objects.get(id) : undefined;
/** The object of an emulated device, by the device's name. */
const boundAs = (objects, dev) =>
	[...objects].find(([, object]) => object.dev === dev) ?? [];
/** A device object is its driver's; an address space is in use while a device is on it. */
const inUse = (objects, id) =>
	objects.has(id) &&
	(spaceAt(objects, id) === undefined ||
		[...objects.values()].some(({ on }) => on === id));
/** The first area that meets [start, last]. */
const meeting = (areas, start, last) =>
	areas.find((area) => area.start <= last && area.last >= start);

const calls = {
	OPEN_IOMMUFD({ iommufd }) {
		contexts.set(iommufd, new Map());
		return succeed();
	},
	CLOSE_IOMMUFD({ iommufd }) {
		return contexts.delete(iommufd) ? succeed() : fail("EBADF");
	},
	IOMMU_IOAS_ALLOC(_, objects) {
		const id = lowestFree(objects);
		objects.set(id, []);
		return succeed({ ioas_id: id });
	},
	IOMMU_DESTROY({ id }, objects) {
		if (inUse(objects, id)) return fail("EBUSY");
		return objects.delete(id) ? succeed() : fail("ENOENT");
	},
	IOMMU_IOAS_MAP(args, objects) {
		const iova = BigInt(args.iova);
		const length = BigInt(args.length);
		if ((args.flags & ~(FIXED | WRITE | READ)) !== 0) return fail("EOPNOTSUPP");
		if (iova === U64_MAX || length === U64_MAX) return fail("EOVERFLOW");
		if ((args.flags & (WRITE | READ)) === 0) return fail("EINVAL");
		const areas = spaceAt(objects, args.ioas_id);
		if (areas === undefined) return fail("ENOENT");
		if (length === 0n) return fail("EINVAL");
		// Choosing an address is more than this example does.
		if ((args.flags & FIXED) === 0) return fail("EOPNOTSUPP");
		const last = iova + length - 1n;
		if (last > U64_MAX) return fail("EOVERFLOW");
		if (meeting(areas, iova, last) !== undefined) return fail("EEXIST");
		areas.push({ start: iova, last });
		areas.sort((a, b) => (a.start < b.start ? -1 : 1));
		return succeed({ iova: args.iova });
	},
	IOMMU_IOAS_UNMAP(args, objects) {
		const areas = spaceAt(objects, args.ioas_id);
		if (areas === undefined) return fail("ENOENT");
		const start = BigInt(args.iova);
		const length = BigInt(args.length);
		if (length === 0n) return fail("EINVAL");
		const last = start + length - 1n;
		if (last > U64_MAX) return fail("EOVERFLOW");
		let unmapped = 0n;
		for (;;) {
			const area = meeting(areas, start, last);
			if (area === undefined) break;
			// Whole areas only, the lowest first; those before a partial one are gone.
			if (area.start < start || area.last > last) return fail("ENOENT");
			areas.splice(areas.indexOf(area), 1);
			unmapped += area.last - area.start + 1n;
		}
		return unmapped === 0n
			? fail("ENOENT")
			: succeed({ unmapped: hex(unmapped) });
	},
};

/** An emulated device: its bind makes an access object, ATTACH_PT attaches that to an address space, or moves it. */
const emulated = {
	VFIO_DEVICE_BIND_IOMMUFD({ dev }, objects) {
		if ([...contexts.values()].some((all) => boundAs(all, dev).length > 0))
			return fail("EINVAL");
		const id = lowestFree(objects);
		objects.set(id, { dev, on: undefined });
		return succeed({ dev_id: id });
	},
	VFIO_DEVICE_ATTACH_IOMMUFD_PT({ dev, pt_id }, objects) {
		const [, device] = boundAs(objects, dev);
		if (device === undefined) return fail("EINVAL");
		if (spaceAt(objects, pt_id) === undefined) return fail("ENOENT");
		device.on = pt_id;
		return succeed({ pt_id });
	},
	VFIO_DEVICE_DETACH_IOMMUFD_PT({ dev }, objects) {
		const [, device] = boundAs(objects, dev);
		if (device === undefined) return fail("EINVAL");
		device.on = undefined;
		return succeed();
	},
	CLOSE_CDEV({ dev }, objects) {
		const [id] = boundAs(objects, dev);
		if (id !== undefined) objects.delete(id);
		return succeed();
	},
};
Object.assign(calls, emulated);

function execute(call, args) {
	if (!Object.hasOwn(calls, call)) return fail("ENOTTY");
	if (call === "OPEN_IOMMUFD") return calls[call](args);
	const objects = contexts.get(args.iommufd);
	return objects === undefined ? fail("EBADF") : calls[call](args, objects);
}

function answerTo({ id, call, args }) {
	if (call === "RECALL")
		return succeed(
			answers.has(id)
				? { known: true, answer: answers.get(id) }
				: { known: false },
		);
	if (!answers.has(id)) answers.set(id, execute(call, args));
	return answers.get(id);
}

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
	const message = JSON.parse(line);
	if (message.hello !== undefined)
		say({ hello: "example", protocol: PROTOCOL, recall: true });
	else say({ id: message.id, ...answerTo(message) });
}
