/** Folds records into the tables of facts iommufd-semantics.md §3.5: one row a call. Only records are read, never a machine. */
import type { LogRecord } from "../../src/vocabulary/records.ts";
import type { ScenarioRun } from "../../src/scenarios/run.ts";

/** What the records said so far. */
export interface Books {
	readonly hw: Map<string, string>;
	readonly core: Map<string, string>;
	/** Attached devices in list order, with their hwpt. */
	readonly list: Map<string, string>;
	igHwpt: string | undefined;
	readonly u: Map<string, number>;
	readonly doms: Map<string, string[]>;
	/** IOAS → owner → ranges, as text. */
	readonly resv: Map<string, Map<string, string>>;
	readonly gone: Set<string>;
}

export const emptyBooks = (): Books => ({
	hw: new Map(),
	core: new Map(),
	list: new Map(),
	igHwpt: undefined,
	u: new Map(),
	doms: new Map(),
	resv: new Map(),
	gone: new Set(),
});

const text = (value: unknown): string =>
	JSON.stringify(value, (_k, v) => (typeof v === "bigint" ? v.toString() : v));

function reserved(books: Books, ioas: string): Map<string, string> {
	let owners = books.resv.get(ioas);
	if (owners === undefined) books.resv.set(ioas, (owners = new Map()));
	return owners;
}

/** Takes one record in. */
export function apply(books: Books, { type, data }: LogRecord): void {
	// The switch below reads each record's own fields; a union of all of them is what the test needs.
	// oxlint-disable-next-line typescript/no-explicit-any
	const d = data as any;
	switch (type) {
		case "hw.attach":
			return void books.hw.set(d.dev, d.dom);
		case "hw.attach.failed":
			return d.blocked ? void books.hw.set(d.dev, "nothing") : undefined;
		case "grp.domain.set":
			return void books.core.set(d.group, d.dom);
		case "ig.list.add":
			return void books.list.set(d.dev, d.hwpt);
		case "ig.list.remove":
			return void books.list.delete(d.dev);
		case "ig.hwpt.set":
			books.igHwpt = d.hwpt;
			for (const dev of books.list.keys()) books.list.set(dev, d.hwpt);
			return;
		case "ig.hwpt.cleared":
			books.igHwpt = undefined;
			return;
		case "hwpt.reserved":
			return void books.u.set(d.hwpt, 1);
		case "ioas.created":
			return void books.u.set(d.ioas, 1);
		case "dev.bound":
			return void books.u.set(d.idev, 2);
		case "obj.ref":
			if (books.u.get(d.obj)! + d.delta !== d.u)
				throw new Error(`count of ${d.obj} is off`);
			return void books.u.set(d.obj, d.u);
		case "obj.gone":
			books.gone.add(d.obj);
			return void books.u.delete(d.obj);
		case "iopt.dom.added":
			return void books.doms.set(d.ioas, [
				...(books.doms.get(d.ioas) ?? []),
				d.dom,
			]);
		case "iopt.dom.removed":
			return void books.doms.set(d.ioas, d.order);
		case "resv.added":
			return void reserved(books, d.ioas).set(d.owner, text(d.ranges));
		case "resv.dropped":
			return void reserved(books, d.ioas).delete(d.owner);
		default:
	}
}

/** The books as one comparable text: what a failed operation must leave as it was. */
export function booksText(books: Books): string {
	const sorted = (map: Map<string, unknown>) =>
		[...map].sort(([a], [b]) => (a < b ? -1 : 1));
	const resv = sorted(books.resv)
		.map(([ioas, owners]) => [ioas, sorted(owners as Map<string, unknown>)])
		.filter(([, owners]) => (owners as unknown[]).length > 0);
	const doms = sorted(books.doms).filter(
		([, list]) => (list as unknown[]).length > 0,
	);
	return text([
		sorted(books.core),
		[...books.list].sort(),
		books.igHwpt ?? "",
		sorted(books.u),
		doms,
		resv,
	]);
}

/** Short names: D1, H1, A, 1 and so on, for what a scenario of facts §3.5 names. */
function namer(run: ScenarioRun): (actor: string) => string {
	const names = new Map<string, string>();
	for (const [name, id] of Object.entries(run.names)) {
		if (typeof id === "string") names.set(id, name.replace("dev", ""));
		else names.set(`${name.startsWith("H") ? "hwpt" : "ioas"}:${id}@1`, name);
	}
	const name = (actor: string): string =>
		names.get(actor) ?? names.get(actor.slice(actor.indexOf("/") + 1)) ?? actor;
	for (const { type, data } of run.records) {
		if (type === "hwpt.live") {
			const { hwpt, dom } = data as { hwpt: string; dom: string };
			names.set(dom, name(hwpt).replace("H", "D"));
		} else if (type === "grp.blocking.set")
			names.set((data as { dom: string }).dom, "blk");
	}
	return name;
}

const dash = (list: readonly string[]): string =>
	list.length === 0 ? "-" : list.join(",");

function devices(books: Books, name: (actor: string) => string): string {
	const by = new Map<string, string[]>();
	for (const [dev, hwpt] of [...books.list].sort())
		by.set(name(hwpt), [...(by.get(name(hwpt)) ?? []), name(dev)]);
	return by.size === 0
		? "-"
		: [...by].map(([hwpt, devs]) => `${devs.join(",")}:${hwpt}`).join(" ");
}

/** When the old hwpt's domain left its IOAS in this call: before or after the first member was switched. */
function cleaned(call: readonly LogRecord[], dom: string | undefined): string {
	const at = call.findIndex(
		({ type, data }) =>
			type === "iopt.dom.removed" && (data as { dom: string }).dom === dom,
	);
	if (at < 0) return "no";
	const switched = call.findIndex(({ type }) => type === "hw.attach");
	if (switched < 0) return "yes";
	return at < switched ? "before" : "after";
}

/**
 * One row a call of `labels`: `label | domains switched to | devices by hwpt | u1/u2 | doms of A | doms of B | owners in A | owners in B |
 * D1 cleaned`. A hwpt that is gone counts "gone", one that is not there yet "-".
 */
export function table(run: ScenarioRun, labels: readonly string[]): string[] {
	const name = namer(run);
	const books = emptyBooks();
	const rows: string[] = [];
	const d1 = run.records.find(
		({ type, data }) =>
			type === "hwpt.live" && name((data as { hwpt: string }).hwpt) === "H1",
	);
	const dom1 = (d1?.data as { dom: string } | undefined)?.dom;
	const actorOf = (kind: string, short: string) =>
		run.records
			.map(({ actor }) => actor)
			.find((a) => a.includes(`/${kind}:`) && name(a) === short);
	const count = (short: string): string => {
		const actor = actorOf("hwpt", short);
		if (actor === undefined) return "-";
		return books.gone.has(actor) ? "gone" : String(books.u.get(actor) ?? "-");
	};
	const owners = (short: string): string =>
		dash(
			[...(books.resv.get(actorOf("ioas", short) ?? "")?.keys() ?? [])]
				.map(name)
				.filter((o) => /^\d$/.test(o))
				.sort(),
		);
	const doms = (short: string): string =>
		dash((books.doms.get(actorOf("ioas", short) ?? "") ?? []).map(name));
	for (const record of run.records) {
		apply(books, record);
		if (record.type !== "op.commit" && record.type !== "op.fail") continue;
		const label = labels.find((l) => run.calls[l]?.seq === record.op);
		if (label === undefined) continue;
		const call = run.records.filter(({ op }) => op === record.op);
		const to = call
			.filter(({ type }) => type === "hw.attach")
			.map(({ data }) => name((data as { dom: string }).dom));
		rows.push(
			[
				label,
				dash([...new Set(to)]),
				devices(books, name),
				`${count("H1")}/${count("H2")}`,
				doms("A"),
				doms("B"),
				owners("A"),
				owners("B"),
				cleaned(call, dom1),
			].join(" | "),
		);
	}
	return rows;
}
