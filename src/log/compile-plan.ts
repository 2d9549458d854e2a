/**
 * Compiles a record type's table into JavaScript that reads exactly such lines: key comparisons become comparisons with constants, and
 * each field is stored by name. Worth it because every verdict reads every line: see bench/log.ts. The source text is made from the
 * vocabulary's tables alone; nothing of a log ever gets into it.
 */
import { kindBit, type Name, nameIs } from "./byte-text.ts";
import type { Field, Mutable, ReadLine } from "./type-plan.ts";
import { variant } from "./type-plan.ts";

/** Tests whether `text` (ASCII, 4 characters or more) stands at `p`: four bytes at a time, the last four overlapping. */
function isAt(text: string): string {
	const bytes = new TextEncoder().encode(text);
	const view = new DataView(bytes.buffer);
	const tests: string[] = [];
	for (let i = 0; i + 4 <= bytes.length; i += 4)
		tests.push(`v.getInt32(p+${i},true)===${view.getInt32(i, true)}`);
	const last = bytes.length - 4;
	if (bytes.length % 4 !== 0)
		tests.push(`v.getInt32(p+${last},true)===${view.getInt32(last, true)}`);
	return `(p+${bytes.length}<=end&&${tests.join("&&")})`;
}

/** Statements that read field `i` into `v<i>`, or return. */
function readField(field: Field, i: number): string {
	const orFail = (value: string): string =>
		`const x=${value};if(x===undefined)return;v${i}=x;`;
	switch (field.kind) {
		case "hex":
			return orFail("r.hex()");
		case "count":
			return `v${i}=r.count();if(v${i}<0)return;`;
		case "int":
			return orFail("r.int()");
		case "flag":
			return orFail("r.flag()");
		case "json":
			return `if(!r.json(slot${i}))return;`;
		case "ranges":
			return orFail("r.ranges()");
		case "actors":
			return orFail("r.actors()");
		default:
			return orFail(`r.named(field${i},actor)`);
	}
}

function fieldSource(fields: readonly Field[], i: number): string {
	const field = fields[i] as Field;
	const key = `"${field.name}":`;
	const read = `${readField(field, i)}mask|=${1 << i};`;
	const step = (text: string): string =>
		`if(${isAt(text)}){r.position=p+${text.length};${read}}`;
	const otherwise = field.optional ? "" : "else return;";
	// Behind a field that must be there, a comma must be, too; before it, it depends on what was there.
	const commaIsSure = fields.slice(0, i).some(({ optional }) => !optional);
	const take =
		i === 0
			? `${step(key)}${otherwise}`
			: commaIsSure
				? `${step(`,${key}`)}${otherwise}`
				: `if(mask===0){${step(key)}${otherwise}}else{${step(`,${key}`)}${otherwise}}`;
	return `p=r.position;${take}`;
}

function source(fields: readonly Field[]): string {
	const store = fields
		.map(({ name, slot }, i) =>
			slot === undefined ? `if(mask&${1 << i})d.${name}=v${i};` : "",
		)
		.join("");
	const storeAll = fields
		.map(({ name, slot }, i) => (slot === undefined ? `d.${name}=v${i};` : ""))
		.join("");
	const all = 2 ** fields.length - 1;
	return `"use strict";
${fields.map((_, i) => `const field${i}=fields[${i}],slot${i}=fields[${i}].slot;`).join("")}
const all=variantOf(${all}),variants=new Map([[${all},all]]);
let lastActor;
return function(r,seq,t){
const v=r.view,end=r.end;
const actor=r.name(lastActor);
if(actor===undefined||!isActor(actor))return;
lastActor=actor;
let p=r.position;
if(!${isAt(',"op":')})return;
r.position=p+6;
const op=r.count();
p=r.position;
if(op<0||!${isAt(',"data":{')})return;
r.position=p+9;
let mask=0${fields.map((_, i) => `,v${i}`).join("")};
${fields.map((_, i) => `{${fieldSource(fields, i)}}`).join("\n")}
p=r.position;
const b=r.bytes;
if(b[p]!==125||b[p+1]!==125||b[p+2]!==10)return;
r.position=p+3;
let record=all,d;
if(mask===${all}){d=all.data;${storeAll}}
else{record=variants.get(mask);if(record===undefined){record=variantOf(mask);variants.set(mask,record);}
d=record.data;${store}}
record.seq=seq;record.t=t;record.actor=actor.text;record.op=op;
return record;
}`;
}

// One function for all: a reader of its own for every decoder would be optimized anew for each.
const isActor = (name: Name): boolean =>
	nameIs(name, "actor", kindBit("actor"));

type Factory = (
	fields: readonly Field[],
	variantOf: (mask: number) => Mutable,
	isActor: (name: Name) => boolean,
) => ReadLine;
/** Source text is compiled once a type, not once a reader: it depends on the tables alone. */
const factories = new Map<string, Factory>();

/** The compiled reader of a type; undefined where code may not be generated. */
export function compileRead(
	type: string,
	fields: readonly Field[],
): ReadLine | undefined {
	const variantOf = (mask: number): Mutable => variant(type, fields, mask);
	try {
		let factory = factories.get(type);
		if (factory === undefined) {
			// The whole point of this file; see its head for why it is safe.
			// oxlint-disable-next-line no-new-func
			factory = new Function(
				"fields",
				"variantOf",
				"isActor",
				source(fields),
			) as Factory;
			factories.set(type, factory);
		}
		return factory(fields, variantOf, isActor);
	} catch (error) {
		if (error instanceof EvalError) return undefined;
		throw error;
	}
}
