/**
 * Every TypeScript example of the documents is type-checked and run; `console.log(…); // text` must print that text. Examples import the
 * package by its name, as its users do.
 */
import { execFile } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { format, promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { natsInstalled, NatsServer, natsTitle } from "../log/nats-server.ts";

const root = resolve(import.meta.dirname, "../..");
const documents = [
	"README.md",
	...readdirSync(join(root, "docs"))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `docs/${name}`),
];
/** Inside the project, so that its dependencies are found. */
mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
const folder = mkdtempSync(join(root, "node_modules/.cache/examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ENTRIES: { readonly [name: string]: string } = {
	"iommu-ledger": "src/index.ts",
	"iommu-ledger/inspector": "src/inspector/index.ts",
	"iommu-ledger/jetstream": "src/jetstream.ts",
	"iommu-ledger/machines": "machines/index.ts",
	"iommu-ledger/replay": "src/replay/index.ts",
};

/** Examples that need a server get one; without it they are type-checked only. */
const server = new NatsServer();
const needsServer = (text: string): boolean => text.includes("createStream(");
beforeAll(async () => {
	if (!natsInstalled) return;
	await server.start();
	process.env["NATS_ADDRESS"] = server.address;
});
afterAll(() => server.remove());

/** Type-checked only: these open a server on a user's file. */
const NOT_RUN: readonly string[] = ["docs/inspector.md"];

interface Example {
	readonly document: string;
	readonly number: number;
	readonly file: string;
	readonly text: string;
}
const examples: Example[] = documents.flatMap((document) => {
	const text = readFileSync(join(root, document), "utf8");
	return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
		.map((match) => match[1] as string)
		.filter((code) => /from "iommu-ledger/.test(code))
		.map((code, i) => ({
			document,
			number: i + 1,
			file: join(folder, `${document.replaceAll(/\W/g, "-")}-${i + 1}.ts`),
			text: code.replaceAll(
				/from "(iommu-ledger[^"]*)"/g,
				(_, name: string) => `from "${join(root, ENTRIES[name] ?? name)}"`,
			),
		}));
});
beforeAll(() => {
	for (const { file, text } of examples) writeFileSync(file, text);
});

/** What the example says it prints, in order; undefined where it says nothing. */
const promised = (text: string): (string | undefined)[] =>
	text
		.split("\n")
		.filter((line) => line.includes("console.log("))
		.map((line) => /; \/\/ (.+)$/.exec(line)?.[1]);

test("there are examples in the documents that need them", () => {
	const counts = Object.fromEntries(
		documents.map((document) => [
			document,
			examples.filter((one) => one.document === document).length,
		]),
	);
	expect(counts).toMatchObject({
		"README.md": 1,
		"docs/embedding.md": 4,
		"docs/backends.md": 1,
	});
});

test("they type-check under strict", async () => {
	const config = join(folder, "tsconfig.json");
	writeFileSync(
		config,
		JSON.stringify({
			extends: join(root, "tsconfig.json"),
			compilerOptions: { typeRoots: [join(root, "node_modules/@types")] },
			include: ["*.ts"],
		}),
	);
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	const { stdout } = await promisify(execFile)(process.execPath, [
		tsc,
		"-p",
		config,
	]).catch((error: { stdout: string }) => error);
	expect(stdout).toBe("");
});

describe.each(examples.filter(({ document }) => !NOT_RUN.includes(document)))(
	"$document, example $number",
	({ file, text }) => {
		const missing = needsServer(text) && !natsInstalled;
		const title = needsServer(text)
			? natsTitle("prints what it says")
			: "prints what it says";
		test.skipIf(missing)(title, async () => {
			const printed: string[] = [];
			const spy = vi
				.spyOn(console, "log")
				.mockImplementation((...words: unknown[]) => {
					printed.push(format(...words));
				});
			const cwd = process.cwd();
			process.chdir(root);
			try {
				await import(file);
			} finally {
				spy.mockRestore();
				process.chdir(cwd);
			}
			const wanted = promised(text).filter((line) => line !== undefined);
			// Every promised line is printed, in that order; other lines may stand between.
			let from = 0;
			for (const line of wanted) {
				const at = printed.indexOf(line, from);
				expect(printed.slice(from), `no line "${line}"`).toContain(line);
				from = at + 1;
			}
		});
	},
);
