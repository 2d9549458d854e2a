/**
 * The runs that break invariants: a scenario, and a fault of the kernel (orchestrator/faults.ts) without which it does not. docs/invariants.md gives the
 * command of each; test/invariants/faults.test.ts runs them, and knows what breaks besides.
 */

/** One faulty run. */
export interface FaultedRun {
	readonly scenario: string;
	/** Personality for every group, in place of the scenario's own. */
	readonly driver?: string;
	/** `SWITCH=VALUE`; absent: the scenario breaks it as Linux is (an anomaly). */
	readonly set?: string;
	/** What else the run violates. */
	readonly also?: readonly string[];
	/** What is found before it, when the fault breaks that at an earlier record. */
	readonly first?: string;
}

/** By invariant. Records are counted in the order of the run: `omit=hw.attach#4` is its fourth hw.attach. */
export const FAULTED: { readonly [id: string]: FaultedRun } = {
	"OWN-1": {
		scenario: "tour",
		set: "wrong=grp.owner.claimed#1:ocnt=0",
		also: ["OWN-2"],
	},
	"OWN-2": { scenario: "replace-1", set: "omit=grp.owner.claimed#2" },
	"OWN-3": {
		scenario: "bind-refusals",
		set: "blind=iommu-group.ownedByAnother",
		also: ["OWN-2"],
	},
	"OWN-4": { scenario: "bind-refusals", set: "blind=iommu-group.usedByKernel" },
	"OWN-5": { scenario: "tour", set: "blind=bind.firstClaim" },
	"OWN-6": {
		scenario: "tour",
		set: "omit=hw.attach#7,hw.attach#8,grp.domain.set#5",
		also: ["LOG-5"],
	},
	"OWN-7": {
		scenario: "only-one-attached",
		set: "omit=grp.handle.cleared#2",
		also: ["GRP-10"],
		first: "GRP-10",
	},
	"OWN-8": {
		scenario: "tour",
		set: "wrong=grp.blocking.set#3:group=group:1",
		also: ["OWN-6", "LOG-5", "HWP-10"],
	},
	"GRP-1": { scenario: "replace-1", set: "omit=hw.attach#4", also: ["LOG-5"] },
	"GRP-2": {
		scenario: "torn-group",
		set: "omit=grp.blocking.set",
		also: ["GRP-1", "LOG-5"],
	},
	"GRP-3": { scenario: "only-one-attached", set: "omit=ig.hwpt.cleared#1" },
	"GRP-5": { scenario: "replace-1", set: "repeat=ig.list.add#1" },
	"GRP-7": { scenario: "replace-1", set: "repeat=hw.attach#10" },
	"GRP-8": {
		scenario: "only-one-attached",
		set: "blind=detach.wasLast",
		also: ["GRP-3", "GRP-10", "OWN-6", "LOG-5", "HWP-2", "OWN-2"],
	},
	"GRP-10": { scenario: "only-one-attached", set: "omit=grp.handle.set#2" },
	"GRP-11": { scenario: "page-requests-of-two", also: ["FLT-2"] },
	"GRP-12": {
		scenario: "tour",
		set: "wrong=grp.member.added#1:dev=device:0000:03:00.0",
		also: ["GRP-1", "LOG-5", "OWN-2", "REF-5", "GRP-5", "GRP-4", "OWN-6"],
	},
	"REF-1": { scenario: "replace-1", set: "omit=obj.ref#3" },
	"REF-2": { scenario: "replace-1", set: "omit=obj.ref#1" },
	"REF-3": { scenario: "replace-1", set: "omit=obj.ref#4" },
	"REF-4": { scenario: "tour", set: "wrong=obj.ref#20:u=4" },
	"REF-5": { scenario: "replace-1", set: "omit=ig.ref#1" },
	"REF-6": {
		scenario: "tour",
		set: "wrong=obj.ref#1:obj=ctx:1/ioas:6@1",
		also: ["REF-2"],
	},
	"REF-7": { scenario: "tour", set: "late=ig.list.remove#4" },
	"REF-8": { scenario: "only-one-attached", set: "omit=obj.gone#2" },
	"HWP-1": {
		scenario: "replace-1-auto",
		set: "omit=obj.gone",
		also: ["HWP-3", "REF-2"],
	},
	"HWP-2": {
		scenario: "replace-1-auto",
		set: "omit=hw.attach#10",
		also: ["GRP-7", "GRP-1", "LOG-5"],
	},
	"HWP-3": {
		scenario: "only-one-attached",
		set: "late=dom.created#3",
		also: ["HWP-5"],
	},
	"HWP-4": { scenario: "replace-1", set: "repeat=iopt.dom.added#1" },
	"HWP-5": { scenario: "replace-1", set: "omit=hwpt.live#1", also: ["REF-2"] },
	"HWP-6": {
		scenario: "tour",
		set: "wrong=hwpt.live#1:auto=true",
		also: ["HWP-1"],
	},
	"HWP-7": { scenario: "replace-1-auto", set: "wrong=hwpt.live#1:auto=false" },
	"HWP-8": { scenario: "replace-1", set: "late=dom.cc.set#1" },
	"HWP-9": { scenario: "tour", set: "wrong=hwpt.live#3:cc=true" },
	"RSV-1": { scenario: "only-one-attached", set: "omit=resv.dropped#3" },
	"RSV-2": { scenario: "replace-1", set: "omit=resv.added#3" },
	"RSV-3": {
		scenario: "replace-2",
		set: "omit=resv.dropped",
		also: ["RSV-1", "RSV-4"],
	},
	"RSV-4": { scenario: "replace-1", set: "omit=resv.dropped", also: ["RSV-1"] },
	"MSI-1": {
		scenario: "doorbell-lost",
		set: "omit=dom.msi.cookie#1",
		also: ["MSI-2"],
	},
	"IOP-1": {
		scenario: "replace-1",
		set: "repeat=area.claimed#1",
		also: ["IOP-11"],
	},
	"IOP-2": {
		scenario: "tour",
		set: "wrong=resv.added#2:ranges=[[1048576,1052671]]",
		also: ["IOP-3", "RSV-2"],
	},
	"IOP-3": {
		scenario: "tour",
		set: "wrong=ioas.allowed.set#1:ranges=[[0,4294967295]]",
	},
	"IOP-4": {
		scenario: "tour",
		set: "wrong=ioas.allowed.set#1:ranges=[[0,268435455],[134217728,805306367]]",
	},
	"IOP-5": {
		scenario: "tour",
		set: "wrong=area.claimed#2:last=1064960",
		also: ["PIN-1"],
	},
	"IOP-6": { scenario: "replace-1-auto", set: "omit=ioas.align.set" },
	"IOP-7": { scenario: "sibling-region", set: "omit=dom.map" },
	"IOP-8": { scenario: "sibling-region", set: "omit=area.claimed#3" },
	"IOP-9": {
		scenario: "sibling-region",
		set: "wrong=area.live#3:sdom=domain:9",
	},
	"IOP-10": {
		scenario: "sibling-region",
		set: "wrong=dom.created#3:apertureLast=2097152",
	},
	"IOP-11": { scenario: "replace-1", set: "omit=area.live" },
	"IOP-12": {
		scenario: "tour",
		set: "omit=ioas.hugepages.set#1,ioas.align.set#1",
		also: ["IOP-6"],
	},
	"IOP-13": {
		scenario: "tour",
		set: "wrong=dom.map#6:len=8192",
		also: ["LOG-6"],
	},
	"IOP-14": {
		scenario: "tour",
		set: "wrong=dom.unmap#1:unmapped=4096",
		also: ["PIN-3", "HWP-2"],
	},
	"IOP-16": { scenario: "only-one-attached", set: "repeat=dom.unmap#1" },
	"PIN-1": { scenario: "replace-1", set: "omit=pages.pinned" },
	"PIN-2": {
		scenario: "only-one-attached",
		set: "repeat=pages.unpinned#2",
		also: ["PIN-6"],
	},
	"PIN-3": { scenario: "only-one-attached", set: "late=dom.unmap#1+2" },
	"PIN-4": { scenario: "only-one-attached", set: "late=dom.unmap#1+1" },
	"PIN-5": { scenario: "tour", set: "wrong=pages.pinned#1:acct=USER" },
	"PIN-6": { scenario: "only-one-attached", set: "omit=pages.unpinned#2" },
	"PIN-7": {
		scenario: "replace-1",
		set: "omit=area.sdom.set",
		also: ["PIN-1"],
	},
	"ACC-1": { scenario: "tour", set: "repeat=obj.ref#13" },
	"ACC-2": {
		scenario: "tour",
		set: "omit=access.pinned#1",
		also: ["ACC-4", "ACC-5"],
	},
	"ACC-3": { scenario: "tour", set: "late=access.unpinned#3+1" },
	"ACC-4": {
		scenario: "tour",
		set: "wrong=access.unpinned#1:iova=1048576",
		also: ["ACC-5", "PIN-3", "PIN-1"],
	},
	"ACC-5": {
		scenario: "tour",
		set: "omit=access.unpinned#2",
		also: ["PIN-3", "PIN-1"],
	},
	"ACC-6": { scenario: "tour", set: "late=access.switching#1" },
	"DRT-1": { scenario: "tour", set: "wrong=dom.created#8:dirty=false" },
	"DRT-2": { scenario: "tour", set: "blind=driver.attach" },
	"DRT-3": {
		scenario: "tour",
		set: "wrong=dirty.read#1:ranges=[[1052672,1060863]]",
	},
	"DRT-4": { scenario: "tour", set: "omit=dirty.cleared#1" },
	"DRT-5": { scenario: "tour", set: "repeat=dirty.set#1" },
	"DRT-6": { scenario: "tour", set: "omit=dirty.set#1" },
	"NST-1": { scenario: "tour", set: "wrong=hwpt.live#4:nestParent=false" },
	"NST-2": {
		scenario: "tour",
		set: "blind=hwpt.inUse",
		also: ["REF-7", "NST-1"],
	},
	"NST-3": {
		scenario: "tour",
		set: "wrong=hwpt.live#6:parent=ctx:1/hwpt:15@1",
		also: ["NST-1", "REF-1", "REF-7"],
	},
	"NST-4": {
		scenario: "tour",
		set: "wrong=resv.added#11:ioas=ctx:1/ioas:8@1",
		also: ["RSV-2", "RSV-1", "RSV-3"],
	},
	"NST-5": { scenario: "tour", set: "wrong=hwpt.invalidated#1:done=1" },
	"FLT-1": {
		scenario: "tour",
		set: "wrong=hwpt.live#4:fault=ctx:1/fault-queue:14@1",
	},
	"FLT-2": { scenario: "tour", set: "repeat=fault.iopf.on#1" },
	"FLT-3": { scenario: "tour", set: "omit=fault.queued#1" },
	"FLT-4": { scenario: "tour", set: "omit=fault.answered#1", also: ["FLT-5"] },
	"FLT-5": { scenario: "tour", set: "wrong=fault.answered#2:code=SUCCESS" },
	"LOG-1": { scenario: "replace-2", set: "omit=dev.detached" },
	"LOG-2": {
		scenario: "tour",
		set: "omit=dev.bound#2",
		also: ["OWN-2", "REF-5", "GRP-5"],
		first: "OWN-2",
	},
	"LOG-3": { scenario: "bind-refusals", set: "omit=grp.blocking.set" },
	"LOG-4": {
		scenario: "torn-group",
		set: "omit=hw.attach#10",
		also: ["GRP-1", "LOG-5"],
	},
	"LOG-6": { scenario: "replace-1", set: "repeat=dom.map#1" },
	"VFT-1": { scenario: "legacy-v2", set: "repeat=type1.entry.added#1" },
	"VFT-2": { scenario: "legacy-v1", set: "wrong=type1.created#1:version=v2" },
	"VFT-3": { scenario: "legacy-v1", set: "omit=type1.entry.removed#1" },
	"VFT-4": { scenario: "legacy-v2", set: "wrong=type1.created#1:limit=1" },
	"VFT-5": { scenario: "legacy-v1", set: "omit=dom.map#2" },
	"VFT-6": {
		scenario: "legacy-v2",
		driver: "amd-vi",
		set: "omit=dom.unmap#10",
		also: ["HWP-2"],
	},
};

const quoted = (text: string): string =>
	/^[\w.#=,:+/-]+$/.test(text) && !text.includes("#") ? text : `'${text}'`;

/** The command that makes the run. */
export const commandOf = ({ scenario, driver, set }: FaultedRun): string =>
	[
		"iommu-ledger run",
		scenario,
		...(driver === undefined ? [] : ["--driver", driver]),
		...(set === undefined ? [] : ["--set", quoted(set)]),
	].join(" ");
