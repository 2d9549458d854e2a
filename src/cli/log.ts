/** `log check|repair|stat|cat|convert LOG`: the log's own care. */
import {
	type CheckResult,
	catLog,
	checkLog,
	repairLog,
	statLog,
} from "../log/care.ts";
import { NDJSON } from "../log/codec.ts";
import { convertLog } from "../log/convert.ts";
import { type Arguments, type Command, UsageError } from "./command.ts";
import { type Io, printable } from "./io.ts";

type Action = (path: string, args: Arguments, io: Io) => Promise<number>;

const number = (value: number): string => value.toLocaleString("en-US");

function checkCode(result: CheckResult): number {
	if (result.state === "whole") return 0;
	return result.state === "torn" ? 3 : 2;
}

function checkText(
	path: string,
	{ state, problem, summary, canonical }: CheckResult,
): string {
	const lines = [`${state.toUpperCase().padEnd(6)}  ${printable(path)}`];
	if (problem !== undefined)
		lines.push(`  ${problem.code}: ${printable(problem.message)}`);
	if (problem?.hint !== undefined) lines.push(`  ${printable(problem.hint)}`);
	if (summary !== undefined) {
		lines.push(
			`  ${number(summary.records)} records, ${number(summary.seals)} seals, ${number(summary.bytes)} bytes`,
		);
		lines.push(`  head #${summary.head.seq} ${summary.head.hash}`);
		if (summary.tail !== undefined)
			lines.push(
				`  torn tail: ${number(summary.tail.bytes)} bytes from line ${summary.tail.line} on were never sealed`,
			);
	}
	if (!canonical && state !== "broken")
		lines.push(
			"  valid, but not written canonically (log convert writes it anew)",
		);
	return `${lines.join("\n")}\n`;
}

function checkJson({ problem, ...rest }: CheckResult): object {
	if (problem === undefined) return rest;
	const { code, message, line, column, seq, hint, damage } = problem;
	return {
		...rest,
		problem: { code, message, line, column, seq, hint, damage },
	};
}

const check: Action = async (path, args, io) => {
	const head = args.text("head");
	const result = await checkLog(path, head === undefined ? {} : { head });
	io.out.write(
		args.flag("json")
			? `${JSON.stringify(checkJson(result))}\n`
			: checkText(path, result),
	);
	return checkCode(result);
};

const repair: Action = async (path, args, io) => {
	const { steps, check: after } = await repairLog(path, {
		cut: args.flag("cut"),
	});
	if (args.flag("json"))
		io.out.write(`${JSON.stringify({ steps, check: checkJson(after) })}\n`);
	else {
		if (steps.length === 0) io.out.write("nothing to repair\n");
		for (const step of steps) {
			const saved =
				step.savedAs === undefined ? "" : `; a copy is in ${step.savedAs}`;
			io.out.write(
				printable(
					`${step.what}: ${number(step.bytes)} bytes of ${step.path}: ${step.why}${saved}`,
				) + "\n",
			);
		}
		io.out.write(checkText(path, after));
	}
	return checkCode(after);
};

const stat: Action = async (path, args, io) => {
	const result = await statLog(path);
	if (args.flag("json")) {
		io.out.write(`${JSON.stringify(result)}\n`);
		return 0;
	}
	const { header, summary } = result;
	io.out.write(
		`${printable(path)}: ${header.origin} log, ${header.fidelity}, kernel ${printable(header.kernel)}, model ${printable(header.model)}\n` +
			`  ${number(summary.records)} records of ${number(result.actors)} actors in ${number(summary.seals)} batches, ${number(summary.bytes)} bytes (${result.bytesPerRecord.toFixed(0)} a record)\n` +
			result.types
				.map(
					({ type, records }) => `  ${number(records).padStart(12)}  ${type}\n`,
				)
				.join(""),
	);
	return 0;
};

const cat: Action = async (path, args, io) => {
	const whole = (name: string): number | undefined => {
		const text = args.text(name);
		if (text === undefined) return undefined;
		if (!/^\d{1,15}$/.test(text))
			throw new UsageError(`--${name} is a record's number`);
		return Number(text);
	};
	const from = whole("from");
	const to = whole("to");
	const actor = args.text("actor");
	const types = args.texts("type");
	await catLog(
		path,
		{
			...(from === undefined ? {} : { from }),
			...(to === undefined ? {} : { to }),
			...(actor === undefined ? {} : { actor }),
			...(types.length === 0 ? {} : { types }),
		},
		(line) => io.out.write(`${line}\n`),
	);
	return 0;
};

const convert: Action = async (path, args, io) => {
	const out = args.text("out");
	if (out === undefined) throw new UsageError("log convert needs --out LOG");
	const { read, bytes } = await convertLog(path, out, NDJSON);
	io.out.write(
		`${printable(out)}: ${number(read.records)} records, ${number(bytes)} bytes\n`,
	);
	return 0;
};

const ACTIONS: { readonly [name: string]: Action } = {
	check,
	repair,
	stat,
	cat,
	convert,
};

/** The command. */
export const logCommand: Command = {
	name: "log",
	words: "check|repair|stat|cat|convert LOG",
	summary:
		"The log's own care: is it whole, mend it, what is in it, print it, convert it.",
	teach: `
check     reads every seal. Accidents are always evident; tampering is evident against a head hash kept elsewhere (--head)
repair    drops a torn tail and puts back a flipped byte where the seal proves it; --cut also cuts off what is damaged beyond that.
          What is removed is kept beside the file
stat      records by type, sizes
cat       prints records, one JSON object a line
convert   writes the log anew, in canonical form

  iommu-ledger log check run.ndjson --head 3f1c…
  iommu-ledger log cat run.ndjson --type hw. --from 100 | jq .data.dom`,
	options: {
		head: { value: "HASH", help: "check: the hash the log must end in" },
		cut: {
			help: "repair: cut off damaged batches; may remove acknowledged records",
		},
		from: { value: "SEQ", help: "cat: first record" },
		to: { value: "SEQ", help: "cat: last record" },
		type: {
			value: "TYPE",
			multiple: true,
			help: "cat: only this type, or a prefix such as dom.",
		},
		actor: { value: "ACTOR", help: "cat: only this actor" },
		out: { value: "LOG", short: "o", help: "convert: the file to write" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const [name = "", path] = args.words;
		const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
		if (action === undefined || path === undefined || args.words.length > 2)
			throw new UsageError(
				`log needs one of ${Object.keys(ACTIONS).join(", ")} and a LOG`,
			);
		return action(path, args, io);
	},
};
