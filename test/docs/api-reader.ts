/**
 * Reads the public API off the sources: exports of the package's entries, their docstrings and members. TypeScript 7 has no JavaScript API yet,
 * and biome keeps the sources in one form, so simple means are enough: comments before declarations, and brackets counted.
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** A member of an interface or class. */
export interface ApiMember {
	readonly signature: string;
	readonly doc: string;
}
/** One exported name. */
export interface ApiExport {
	readonly name: string;
	readonly kind: string;
	readonly file: string;
	readonly doc: string;
	readonly signature: string;
	readonly members: readonly ApiMember[];
}

const root = resolve(import.meta.dirname, "../..");
const OPEN = "([{";
const CLOSE = ")]}";

/** The text of a docstring, on one line, without its example. */
function docText(comment: string): string {
	return comment
		.replace(/^\s*\/\*\*/, "")
		.replace(/\*\/\s*$/, "")
		.split("\n")
		.map((line) => line.replace(/^\s*\* ?/, "").trim())
		.join("\n")
		.replace(/@example[\s\S]*$/, "")
		.replaceAll(/\s+/g, " ")
		.trim();
}

/** Skips a comment, a string or a regular-looking template from `at`; `at` itself when there is none. */
function skipQuoted(text: string, at: number): number {
	if (text.startsWith("/*", at)) return text.indexOf("*/", at) + 2;
	if (text.startsWith("//", at)) return text.indexOf("\n", at);
	const quote = text[at] as string;
	if (quote !== '"' && quote !== "`" && quote !== "'") return at;
	let end = at + 1;
	while (text[end] !== quote) end += text[end] === "\\" ? 2 : 1;
	return end + 1;
}
/** The place behind the bracket that closes the one at `at`. */
function closing(text: string, at: number): number {
	let depth = 0;
	for (let i = at; i < text.length; ) {
		const after = skipQuoted(text, i);
		if (after > i) {
			i = after;
			continue;
		}
		if (OPEN.includes(text[i] as string)) depth++;
		if (CLOSE.includes(text[i] as string) && --depth === 0) return i + 1;
		i++;
	}
	throw new Error("a bracket is not closed");
}
const oneLine = (text: string): string =>
	text
		.replaceAll(/\/\*[\s\S]*?\*\//g, "")
		.replaceAll(/\/\/.*$/gm, "")
		.replaceAll(/\s+/g, " ")
		.replaceAll(/([([{<]) /g, "$1")
		.replaceAll(/,? ([)\]])/g, "$1")
		.trim();

/** Members of a body (without its braces): each with the docstring before it. */
function membersOf(body: string, isClass: boolean): ApiMember[] {
	const members: ApiMember[] = [];
	let doc = "";
	for (let i = 0; i < body.length; ) {
		if (/\s/.test(body[i] as string)) {
			i++;
			continue;
		}
		if (body.startsWith("/**", i)) {
			const end = body.indexOf("*/", i) + 2;
			doc = docText(body.slice(i, end));
			i = end;
			continue;
		}
		if (body.startsWith("//", i)) {
			i = body.indexOf("\n", i);
			continue;
		}
		const from = i;
		let block = false;
		while (i < body.length && body[i] !== ";") {
			const after = skipQuoted(body, i);
			if (after > i) i = after;
			else if (
				isClass &&
				body[i] === "{" &&
				/[)>\w\]}]\s*$/.test(body.slice(from, i)) &&
				!/[:=|&]\s*$/.test(body.slice(from, i))
			) {
				block = true;
				break;
			} else i = OPEN.includes(body[i] as string) ? closing(body, i) : i + 1;
		}
		const signature = oneLine(body.slice(from, i));
		i = block ? closing(body, i) : i + 1;
		const hidden =
			signature.startsWith("#") ||
			signature.includes(" #") ||
			/^(?:override|private|static #)/.test(signature) ||
			signature.startsWith("constructor");
		if (signature !== "" && !hidden)
			members.push({ signature: signature.replace(/ = .*$/, ""), doc });
		doc = "";
	}
	return members;
}

function declaration(file: string, name: string): ApiExport {
	const text = readFileSync(file, "utf8");
	const found = new RegExp(
		`^(?:export )?(?:abstract )?(const|(?:async )?function\\*?|class|interface|type) ${name}\\b`,
		"m",
	).exec(text);
	if (found === null) {
		// Re-exported once more.
		const again = new RegExp(
			`export (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from "(\\./[^"]+)"`,
		).exec(text);
		if (again === null) throw new Error(`${file} does not declare ${name}`);
		return declaration(resolve(dirname(file), again[1] as string), name);
	}
	const kind = (found[1] as string).replace(/^async |\*$/g, "");
	const before = text.slice(0, found.index);
	const doc =
		/(\/\*\*(?:[^*]|\*(?!\/))*\*\/\s*)(?:\/\/.*\s*)*$/.exec(before)?.[1] ?? "";
	const rest = text.slice(found.index);
	const base = {
		name,
		kind,
		file: relative(root, file),
		doc: docText(doc),
	};
	if (kind === "interface" || kind === "class") {
		const brace = rest.indexOf("{");
		const body = rest.slice(brace + 1, closing(rest, brace) - 1);
		const signature = oneLine(rest.slice(0, brace)).replace("export ", "");
		return {
			...base,
			signature,
			members: [
				...inherited(file, text, kind, signature),
				...membersOf(body, kind === "class"),
			],
		};
	}
	const alias = new RegExp(`type ${name} = (\\w+) & \\w+;`).exec(rest);
	const target = alias?.[1];
	const members =
		target !== undefined && new RegExp(`^class ${target}\\b`, "m").test(text)
			? declaration(file, target).members
			: [];
	return { ...base, signature: signatureOf(rest, kind), members };
}

/** Members of the project's interfaces that an interface extends. */
function inherited(
	file: string,
	text: string,
	kind: string,
	signature: string,
): ApiMember[] {
	const names =
		/^interface \w+(?:<.*>)? extends (.+)$/.exec(signature)?.[1]?.split(", ") ??
		[];
	if (kind !== "interface") return [];
	return names.flatMap((name) => {
		if (!/^\w+$/.test(name)) return [];
		const from = new RegExp(
			`import (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from "(\\.[^"]+)"`,
		).exec(text)?.[1];
		const source = from === undefined ? file : resolve(dirname(file), from);
		return declaration(source, name).members;
	});
}

/** A function's head, or a type's or constant's first words. */
function signatureOf(rest: string, kind: string): string {
	let i = 0;
	while (i < rest.length && rest[i] !== ";") {
		const after = skipQuoted(rest, i);
		if (after > i) i = after;
		else if (
			kind === "function" &&
			rest[i] === "{" &&
			/[)>\w\]}|]\s*$/.test(rest.slice(0, i)) &&
			!/[:|&<]\s*$/.test(rest.slice(0, i))
		)
			break;
		else if (
			kind === "const" &&
			rest.startsWith(" =", i) &&
			!rest.startsWith(" =>", i)
		)
			break;
		else i = OPEN.includes(rest[i] as string) ? closing(rest, i) : i + 1;
	}
	return oneLine(rest.slice(0, i)).replace("export ", "");
}

/** The exports of an entry, in the order of their names. */
export function exportsOf(entry: string): ApiExport[] {
	const file = join(root, entry);
	const text = readFileSync(file, "utf8");
	const found: ApiExport[] = [];
	for (const match of text.matchAll(
		/export (?:type )?\{([^}]*)\}\s*from "(\.[^"]+)"/g,
	)) {
		const from = resolve(dirname(file), match[2] as string);
		for (const item of (match[1] as string).split(",")) {
			const name = item
				.trim()
				.replace(/^type /, "")
				.replace(/^.* as /, "");
			if (name !== "") found.push(declaration(from, name));
		}
	}
	for (const match of text.matchAll(
		/^export (?:const|async function|function|class|interface|type) (\w+)/gm,
	))
		found.push(declaration(file, match[1] as string));
	return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}
