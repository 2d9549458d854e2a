/** What 6.12 does by itself in the situations of facts iommufd §9 that no other invariant speaks about: risks and defects of that kernel. */
import type { DeviceId, DomainId } from "../vocabulary/ids.ts";
import { laterValue } from "../vocabulary/later.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { igKey } from "../world/create.ts";
import type { Context, Invariant, Outcome } from "./invariant.ts";
import { broken, SKIP } from "./invariant.ts";

/** LOG-3 lets these failures leave something behind (facts §6.6); LOG-7 says when they do. */
const RESPONSE = /^resp$|copy/i;

function leftBehind(
	{ bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (op === undefined || op.truncated) return SKIP;
	const atResponse = RESPONSE.test(record.data.step);
	if (!atResponse && !/unmap/i.test(op.name)) return SKIP;
	const { areasNet } = bracket;
	if (areasNet === 0) return undefined;
	const what = areasNet > 0 ? `left ${areasNet} area(s)` : `took ${-areasNet}`;
	return broken(
		`${bracket.seq}`,
		`${op.name} failed with ${record.data.errno} at ${record.data.step}, and ${what} ${areasNet > 0 ? "that the caller was not told of (A10)" : "area(s) away without saying how many bytes (A11)"}`,
		[op.actor],
		[bracket.seq, bracket.areaSeq, record.seq],
		{ since: bracket.seq },
	);
}

/** A device with live interrupts on a user's domain that does not map their doorbell. A nested domain's is its parent's: not looked at. */
function doorbellMissing(
	{ world, memory }: Context,
	dev: DeviceId,
	dom: DomainId,
	seq: number,
): Outcome {
	const requested = memory.get(`MSI-2 ${dev}`);
	if (requested === undefined) return SKIP;
	if (world.domains.map.get(dom)?.kind !== "unmanaged") return SKIP;
	if (memory.has(`MSI-2 ${dom}`)) return undefined;
	return broken(
		`${dev} ${dom}`,
		`${dev} has live interrupts and is on ${dom}, which does not map their doorbell`,
		[dev, dom],
		[requested, seq],
	);
}

export const ANOMALIES: readonly Invariant[] = [
	{
		id: "GRP-13",
		when: "S",
		severity: "error",
		sentence:
			"A device translates only through domains that its own IOMMU's driver made.",
		harm: "the driver reads another driver's structure as its own (A5)",
		source: ["drivers/iommu/iommu.c:iommu_replace_group_handle"],
		brokenBy: "scenario foreign-domain",
		on: {
			"hw.attach": ({ world }, { data, seq }) => {
				const domain = world.domains.map.get(data.dom);
				const group = world.devices.map.get(data.dev)?.group;
				const own =
					group === undefined ? undefined : world.groups.map.get(group)?.driver;
				if (
					domain?.driver === undefined ||
					domain.kind !== "unmanaged" ||
					own === undefined ||
					own === "unknown"
				)
					return SKIP;
				return domain.driver === own
					? undefined
					: broken(
							`${data.dev} ${seq}`,
							`${data.dev}, behind ${own}, was attached to ${data.dom}, which ${domain.driver} made`,
							[data.dev, data.dom],
							[domain.createdSeq],
						);
			},
		},
	},
	{
		id: "GRP-14",
		when: "S",
		severity: "warning",
		sentence: "A device that refuses a domain goes on with the one it had.",
		harm: "its DMA is blocked until the group has gone back, although in the end nothing changed (A13)",
		source: ["drivers/iommu/intel/iommu.c:intel_iommu_attach_device"],
		brokenBy: "scenario refused-member",
		on: {
			"hw.attach.failed": ({ memory }, { data, seq }) => {
				// A newcomer had no translation that could be torn down.
				if (memory.has(`GRP-16 ${data.dev}`)) return SKIP;
				return data.blocked === true
					? broken(
							`${data.dev} ${seq}`,
							`${data.dev} refused ${data.dom} with ${data.errno} after its driver had torn the old translation down`,
							[data.dev, data.dom],
							[],
						)
					: undefined;
			},
		},
	},
	{
		id: "GRP-15",
		when: "S",
		severity: "error",
		sentence: "Only a device that is attached moves its group to another hwpt.",
		harm: "a device that holds no count moves the DMA of its siblings (A14)",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_do_replace"],
		brokenBy: "scenario replace-by-detached with replaceByUnattached",
		on: {
			"ig.hwpt.set": ({ world, bracket }, { data, seq }) => {
				if (data.from === undefined || bracket.op === undefined) return SKIP;
				const { dev } = laterValue(bracket.op.args) as {
					readonly dev?: DeviceId;
				};
				const ig = world.igs.map.get(igKey(data.ctx, data.group));
				if (dev === undefined || ig === undefined) return SKIP;
				return ig.list.includes(dev)
					? undefined
					: broken(
							`${data.group} ${seq}`,
							`${dev}, which is not attached, moved ${data.group} from ${data.from} to ${data.hwpt}`,
							[data.group, dev],
							[bracket.seq],
						);
			},
		},
	},
	{
		id: "GRP-16",
		when: "S",
		severity: "warning",
		sentence: "No device joins a group while it is on a domain of user space.",
		harm: "the newcomer's DMA goes where a user who never bound it said, and none of its regions is reserved there (R9)",
		source: ["drivers/iommu/iommu.c:__iommu_probe_device"],
		brokenBy: "scenario hot-add",
		on: {
			"grp.member.added": ({ memory }, { data, seq }) => {
				memory.set(`GRP-16 ${data.dev}`, seq);
				return SKIP;
			},
			"grp.member.removed": ({ memory }, { data }) => {
				memory.delete(`GRP-16 ${data.dev}`);
				return SKIP;
			},
			"hw.attach": ({ memory, world }, { data, seq }) => {
				const joined = memory.get(`GRP-16 ${data.dev}`);
				if (joined === undefined) return SKIP;
				memory.delete(`GRP-16 ${data.dev}`);
				const kind = world.domains.map.get(data.dom)?.kind;
				if (kind === undefined || kind === "unknown") return SKIP;
				if (kind !== "unmanaged" && kind !== "nested") return undefined;
				const group = world.devices.map.get(data.dev)?.group;
				return broken(
					`${data.dev} ${seq}`,
					`${data.dev} joined ${group} and translates through ${data.dom}, a domain of user space, which has not bound it`,
					[data.dev, data.dom, ...(group === undefined ? [] : [group])],
					[joined],
				);
			},
		},
	},
	{
		id: "MSI-2",
		when: "S",
		severity: "error",
		sentence:
			"The doorbell of live interrupts is mapped in the domain that the device's group is on.",
		harm: "interrupts are lost until they are requested again (A7)",
		source: [
			"drivers/iommu/iommufd/device.c:iommufd_group_setup_msi (comment)",
			"drivers/iommu/dma-iommu.c:iommu_dma_prepare_msi",
		],
		brokenBy: "scenario doorbell-lost",
		on: {
			"dom.msi.mapped": ({ memory }, { data, seq }) => {
				memory.set(`MSI-2 ${data.dom}`, seq);
				return SKIP;
			},
			"irq.requested": (context, { data, seq }) => {
				context.memory.set(`MSI-2 ${data.dev}`, seq);
				const dom = context.world.devices.map.get(data.dev)?.hw;
				return dom ? doorbellMissing(context, data.dev, dom, seq) : SKIP;
			},
			"dev.unbound": ({ memory }, { data }) => {
				memory.delete(`MSI-2 ${data.dev}`);
				return SKIP;
			},
			"hw.attach": (context, { data, seq }) =>
				doorbellMissing(context, data.dev, data.dom, seq),
		},
	},
	{
		id: "ACC-7",
		when: "S",
		severity: "warning",
		sentence: "Only accesses that can pin are asked to let go of a range.",
		harm: "an access made without pinning need not have an unmap hook: the call goes through a null pointer (A9)",
		source: ["drivers/iommu/iommufd/device.c:iommufd_access_notify_unmap"],
		brokenBy: "scenario reader-is-asked",
		on: {
			"access.notified": ({ world }, { data, seq }) => {
				const access = world.accesses.map.get(data.access);
				if (access === undefined) return SKIP;
				return access.pinning
					? undefined
					: broken(
							`${data.access} ${seq}`,
							`${data.access} was asked to unpin, but only reads and writes`,
							[data.access],
							[],
						);
			},
		},
	},
	{
		id: "ACC-8",
		when: "O",
		severity: "warning",
		sentence:
			"No access is refused because of an unmap that gave up before it began.",
		harm: "one EDEADLOCK poisons the area: mapped for devices, closed to every access for good (A6)",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range"],
		brokenBy: "scenario deaf-access",
		on: {
			"op.fail": ({ bracket, brackets }, { data, seq }) => {
				const { op } = bracket;
				if (op === undefined || data.step !== "area.prevented") return SKIP;
				// An unmap that is under way on another thread may mean it.
				for (const other of brackets.values())
					if (other !== bracket && /unmap/i.test(other.op?.name ?? ""))
						return SKIP;
				return broken(
					`${bracket.seq}`,
					`${op.name} was refused with ${data.errno} because of an unmap that is over`,
					[op.actor],
					[bracket.seq, seq],
				);
			},
		},
	},
	{
		id: "LOG-7",
		when: "O",
		severity: "warning",
		sentence:
			"A failed map, copy or unmap leaves the areas as they were, the documented exceptions included.",
		harm: "user space does not know what is mapped",
		source: [
			"drivers/iommu/iommufd/ioas.c:iommufd_ioas_map",
			"drivers/iommu/iommufd/ioas.c:iommufd_ioas_unmap",
		],
		brokenBy: "scenario partial-unmap",
		on: { "op.fail": leftBehind },
	},
];
