import { mkdtempSync, writeFileSync, appendFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reportText } from "../../src/inspector/report.ts";
import { type Inspector, startInspector } from "../../src/inspector/server.ts";
import {
	bytesSource,
	fileSource,
	LiveLog,
} from "../../src/inspector/source.ts";
import { buildPage } from "./build-page.ts";
import { generatedLog } from "./generate.ts";
import { scenarioOne } from "./scenario-log.ts";

const LOG = generatedLog({ records: 500 });
let folder: string;
let inspector: Inspector;
let live: LiveLog;

beforeAll(async () => {
	await buildPage();
	folder = mkdtempSync(join(tmpdir(), "inspector-"));
	writeFileSync(join(folder, "a.ndjson"), LOG);
	live = new LiveLog("live", 10_000);
	inspector = await startInspector({ logs: [join(folder, "a.ndjson"), live] });
});
afterAll(async () => {
	await inspector.close();
	rmSync(folder, { recursive: true });
});

/** A request with any headers (fetch refuses to set Host). */
function ask(
	path: string,
	headers: Record<string, string> = {},
	method = "GET",
): Promise<{
	status: number;
	body: string;
	headers: NodeJS.Dict<string | string[]>;
}> {
	return new Promise((done, failed) => {
		const asked = request(
			{ host: "127.0.0.1", port: inspector.port, path, method, headers },
			(answer) => {
				let body = "";
				answer
					.setEncoding("utf8")
					.on("data", (piece) => (body += piece))
					.on("end", () =>
						done({
							status: answer.statusCode ?? 0,
							body,
							headers: answer.headers,
						}),
					);
			},
		);
		asked.on("error", failed).end();
	});
}
const own = () => new URL(inspector.url).pathname;

describe("the server", () => {
	it("listens on 127.0.0.1 with a long token in the address", () => {
		expect(inspector.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{24}\/$/);
	});

	it("gives the page with a strict policy", async () => {
		const { status, headers, body } = await ask(own());
		expect(status).toBe(200);
		const policy = String(headers["content-security-policy"]);
		expect(policy).toMatch(
			/default-src 'none'; script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+'/,
		);
		expect(policy).toContain("frame-ancestors 'none'");
		expect(policy).not.toMatch(/unsafe|\*/);
		expect(headers["cross-origin-resource-policy"]).toBe("same-origin");
		expect(body).toContain("<title>iommu-ledger inspector</title>");
		expect(body).not.toMatch(/(?:src|href)=["']?(?:https?:)?\/\//);
	});

	it("gives the log's bytes, from any position", async () => {
		expect((await ask(`${own()}log/0`)).body).toBe(LOG);
		expect((await ask(`${own()}log/0?from=1000`)).body).toBe(LOG.slice(1000));
		expect(JSON.parse((await ask(`${own()}logs`)).body)[0]).toEqual({
			name: "a.ndjson",
			live: false,
			sizeBytes: LOG.length,
		});
	});

	it.each([
		["another host name", () => own(), { host: "evil.example:80" }, 403],
		["another origin", () => own(), { origin: "https://evil.example" }, 403],
		[
			"a request that another site caused",
			() => `${own()}log/0`,
			{ "sec-fetch-site": "cross-site" },
			403,
		],
		["no token", () => "/log/0", {}, 404],
		["a wrong token", () => "/aaaaaaaaaaaaaaaaaaaaaaaa/log/0", {}, 404],
		["a log that is not there", () => `${own()}log/7`, {}, 404],
		[
			"a way out of the folder",
			() => `${own()}log/../../../etc/passwd`,
			{},
			404,
		],
		["a bad position", () => `${own()}log/0?from=-1`, {}, 400],
	])("refuses %s", async (_, path, headers, status) => {
		const answer = await ask(path(), headers as Record<string, string>);
		expect(answer.status).toBe(status);
		expect(answer.body).not.toContain('"seq"');
	});

	it("refuses to be written to", async () => {
		expect((await ask(own(), {}, "POST")).status).toBe(405);
	});

	it("does not give a live log as a file that never ends", async () => {
		const answer = await ask(`${own()}log/1`);
		expect(answer.status).toBe(426);
		expect(answer.body).toContain("live/N");
	});

	it("drops and counts what finds no room in a live log, and never grows beyond", () => {
		const small = new LiveLog("small", 20);
		for (let i = 0; i < 10; i++) small.append("123456789");
		expect(small.text()).toBe("123456789\n123456789\n");
		expect(small.droppedLines).toBe(8);
	});

	it("follows a file as it grows", async () => {
		const path = join(folder, "growing.ndjson");
		writeFileSync(path, "a\n");
		const stop = new AbortController();
		const pieces: string[] = [];
		const reading = (async () => {
			for await (const piece of fileSource(path, { live: true }).read(
				0,
				stop.signal,
			)) {
				pieces.push(new TextDecoder().decode(piece));
				if (pieces.join("") === "a\n") appendFileSync(path, "b\n");
				if (pieces.join("") === "a\nb\n") stop.abort();
			}
		})();
		await reading;
		expect(pieces.join("")).toBe("a\nb\n");
	});
});

describe("the report", () => {
	it("holds the log, in less than 3 MB for 10,000 records, and asks for nothing", async () => {
		const log = generatedLog({ records: 10_000 });
		const text = await reportText([bytesSource("x", Buffer.from(log))]);
		expect(text.length).toBeLessThan(3e6);
		expect(text).toContain("connect-src 'none'");
		const packed = /data-log="x" data-size="(\d+)">([^<]+)</.exec(text);
		expect(
			gunzipSync(Buffer.from(packed?.[2] ?? "", "base64")).toString(),
		).toBe(log);
	});

	it("keeps a hostile file name inside its attribute", async () => {
		const text = await reportText([
			bytesSource('"><script>alert(1)</script>', Buffer.from("x")),
		]);
		expect(text).toContain("&quot;&gt;&lt;script&gt;");
		expect(text).not.toContain("<script>alert");
	});

	it("leaves out the seals of a redacted log, which would be false", async () => {
		const text = await reportText(
			[bytesSource("x", Buffer.from(scenarioOne("group-owned")))],
			{ redact: true },
		);
		const packed = />([\w+/=]{200,})</.exec(text)?.[1] ?? "";
		const inside = gunzipSync(Buffer.from(packed, "base64")).toString();
		expect(inside).not.toContain('"seal"');
		expect(
			inside.split("\n").filter((l) => l.startsWith('{"seq"')),
		).toHaveLength(126);
	});

	it("redacts when asked", async () => {
		const text = await reportText(
			[bytesSource("host-17.log", Buffer.from(LOG))],
			{ redact: true },
		);
		const packed = />([\w+/=]{200,})</.exec(text)?.[1] ?? "";
		const inside = gunzipSync(Buffer.from(packed, "base64")).toString();
		expect(inside.split("\n")).toHaveLength(LOG.split("\n").length);
		expect(inside).not.toContain("0000:01:00.0");
		expect(text).not.toContain("host-17");
	});
});
