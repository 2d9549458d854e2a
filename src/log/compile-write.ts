/**
 * Compiles a record type's table into JavaScript that checks and writes exactly such records: keys become constants that are stored four
 * bytes at a time, fields are read by name, and the room is made once. What compile-plan.ts is for reading; its head says why the
 * generated text is safe.
 */
import {
	type FieldKind,
	isOfKind,
	isU64,
	type U64Range,
} from "../vocabulary/fields.ts";
import { kindBit } from "./byte-text.ts";
import { putJson } from "./json-encode.ts";
import { NAME_BYTES_MAX, nameOf } from "./known-names.ts";
import {
	type LineBytes,
	NUMBER_BYTES_MAX,
	putHex,
	putInt,
	putLiteral,
} from "./line-bytes.ts";
import { type FieldPlan, fieldPlans } from "./record-line.ts";

/** Writes a line; false, with some of it written, when something is not in order. Positions and time are checked before. */
export type WriteLine = (
	out: LineBytes,
	seq: number,
	t: number,
	actor: unknown,
	op: number,
	data: object,
) => boolean;

const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

function putText(out: LineBytes, value: unknown): boolean {
	if (typeof value !== "string") return false;
	out.quoted(value);
	return true;
}

function putList<T>(
	out: LineBytes,
	items: readonly T[],
	put: (item: T) => void,
): true {
	out.byte(OPEN_ARRAY);
	for (let i = 0; i < items.length; i++) {
		if (i > 0) out.byte(COMMA);
		put(items[i] as T);
	}
	out.byte(CLOSE_ARRAY);
	return true;
}

const putActors = (out: LineBytes, value: unknown): boolean =>
	isOfKind("actors", value) &&
	putList(out, value as readonly string[], (actor) => out.quoted(actor));

const putRanges = (out: LineBytes, value: unknown): boolean =>
	isOfKind("ranges", value) &&
	putList(out, value as readonly U64Range[], ([start, last]) => {
		out.byte(OPEN_ARRAY);
		out.hex(start);
		out.byte(COMMA);
		out.hex(last);
		out.byte(CLOSE_ARRAY);
	});

/** What the generated code calls. */
const CALLED = {
	isU64,
	nameOf,
	putActors,
	putHex,
	putInt,
	putJson,
	putLiteral,
	putRanges,
	putText,
};

/** Stores ASCII text: four bytes at a time, the last four overlapping; shorter text byte by byte. */
function store(text: string): string {
	const bytes = new TextEncoder().encode(text);
	const view = new DataView(bytes.buffer);
	const stores: string[] = [];
	if (bytes.length < 4)
		bytes.forEach((byte, i) => stores.push(`b[p+${i}]=${byte};`));
	else
		for (let i = 0; i < bytes.length; i += 4) {
			const at = Math.min(i, bytes.length - 4);
			stores.push(`v.setInt32(p+${at},${view.getInt32(at, true)},true);`);
		}
	return `${stores.join("")}p+=${bytes.length};`;
}

/** Writes `x`, a name: most often the record's actor or what stood here last. */
function storeName(kind: FieldKind, i: number): string {
	const bit = kindBit(kind);
	return `let k;if(x===actor&&(a.kinds&${bit})!==0)k=a;else if(x===text${i})k=name${i};else{k=nameOf("${kind}",${bit},x);if(k===undefined)return false;text${i}=x;name${i}=k;}p=putLiteral(v,p,k.quoted);`;
}

/** Writes `x` with a function that makes its own room. */
const storeFree = (call: string, roomAfter: number): string =>
	`out.length=p;if(!${call})return false;out.room(${roomAfter});b=out.bytes;v=out.view;p=out.length;`;

function storeValue(kind: FieldKind, i: number, roomAfter: number): string {
	switch (kind) {
		case "count":
			return "if(!Number.isSafeInteger(x)||x<0)return false;p=putInt(b,p,x);";
		case "int":
			return "if(!Number.isSafeInteger(x))return false;p=putInt(b,p,x);";
		case "hex":
			return "if(!isU64(x))return false;p=putHex(b,p,x);";
		case "flag":
			return `if(x===true){${store("true")}}else if(x===false){${store("false")}}else return false;`;
		case "text":
			return storeFree("putText(out,x)", roomAfter);
		case "json":
			return storeFree("putJson(out,x,0)", roomAfter);
		case "ranges":
			return storeFree("putRanges(out,x)", roomAfter);
		case "actors":
			return storeFree("putActors(out,x)", roomAfter);
		default:
			return storeName(kind, i);
	}
}

const CLOSE = "}}\n";
/** Room for a field that makes no room itself. */
const fieldBytes = ({ key }: FieldPlan): number =>
	key.length + 1 + Math.max(NAME_BYTES_MAX, NUMBER_BYTES_MAX);

function source(type: string, fields: readonly FieldPlan[]): string {
	const roomFrom = (i: number): number =>
		fields.slice(i).reduce((sum, field) => sum + fieldBytes(field), 0) +
		CLOSE.length;
	const head = [
		store('{"seq":'),
		"p=putInt(b,p,seq);",
		store(',"t":'),
		"p=putInt(b,p,t);",
		store(`,"type":"${type}","actor":`),
		"p=putLiteral(v,p,a.quoted);",
		store(',"op":'),
		"p=putInt(b,p,op);",
		store(',"data":{'),
	];
	const steps = fields.map(({ name, kind, optional, key }, i) => {
		// Behind a field that must be there, a comma must be, too; before it, it depends on what was there.
		const comma = fields.slice(0, i).some((field) => !field.optional)
			? store(`,${key}`)
			: i === 0
				? store(key)
				: `if(n===0){${store(key)}}else{${store(`,${key}`)}}`;
		const put = `${comma}n++;{${storeValue(kind, i, roomFrom(i + 1))}}`;
		return `x=d.${name};if(x!==undefined){${put}}${optional ? "" : "else return false;"}`;
	});
	const lasts = fields.map((_, i) => `let text${i},name${i};`).join("");
	const fixed = 64 + type.length + 3 * NUMBER_BYTES_MAX + NAME_BYTES_MAX;
	// Fields that are no part of the type, or there but undefined, are counted at the end: the general path decides.
	return `"use strict";let lastActor,lastName;${lasts}
return function(out,seq,t,actor,op,d){
let a=lastName;
if(actor!==lastActor){a=nameOf("actor",${kindBit("actor")},actor);if(a===undefined)return false;lastActor=actor;lastName=a;}
out.room(${fixed + roomFrom(0)});
let b=out.bytes,v=out.view,p=out.length,n=0,x;
${head.join("")}
${steps.join("\n")}
${store(CLOSE)}
out.length=p;
for(const k in d)n--;
return n===0;
}`;
}

/** The compiled writer of a type; undefined where code may not be generated. */
export function compileWrite(type: string): WriteLine | undefined {
	try {
		// The whole point of this file.
		// oxlint-disable-next-line no-new-func
		return new Function(...Object.keys(CALLED), source(type, fieldPlans(type)))(
			...Object.values(CALLED),
		) as WriteLine;
	} catch (error) {
		if (error instanceof EvalError) return undefined;
		throw error;
	}
}
