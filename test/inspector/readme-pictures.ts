/** Makes the pictures of docs/img. Run after a change of the page: npx tsx test/inspector/readme-pictures.ts */
import { join, resolve } from "node:path";
import { chartSvg } from "../../src/inspector/export/chart-svg.ts";
import { chartOfDefinition } from "../../src/inspector/model/chart.ts";
import { layoutChart } from "../../src/inspector/model/chart-layout.ts";
import { machineOf } from "../../src/inspector/model/machines.ts";
import { startInspector } from "../../src/inspector/server.ts";
import { bytesSource, type LogSource } from "../../src/inspector/source.ts";
import { openPage, settled, startBrowser } from "./browser.ts";
import { buildPage } from "./build-page.ts";
import { scenarioOne } from "./scenario-log.ts";

const OUT = resolve(import.meta.dirname, "../../docs/img");
const RECORDING = join(import.meta.dirname, "fixtures/f2_attach.ndjson.gz");

await buildPage();
const browser = await startBrowser();

async function shoot(
	name: string,
	logs: (string | LogSource)[],
	hash: string,
	height: number,
): Promise<void> {
	const inspector = await startInspector({ logs });
	const { page } = await openPage(browser, inspector.url + hash);
	await page.waitForTimeout(500);
	await settled(page);
	await page.screenshot({
		path: join(OUT, `${name}.png`),
		clip: { x: 0, y: 0, width: 1280, height },
	});
	await page.close();
	await inspector.close();
}

const run = (flow: "posted-v2" | "group-owned"): LogSource =>
	bytesSource(`${flow}: call 1.d`, Buffer.from(scenarioOne(flow)));

await shoot(
	"topology-1d",
	[run("posted-v2"), run("group-owned")],
	"#view=topology",
	800,
);
await shoot("iotlb-window", [RECORDING], "#view=iotlb&seq=52", 800);

const layout = layoutChart(chartOfDefinition(machineOf("replace") as never));
const page = await browser.newPage({
	viewport: { width: layout.width, height: layout.height },
});
await page.setContent(`<body style="margin:0">${chartSvg(layout)}</body>`);
await page.screenshot({ path: join(OUT, "replace-statechart.png") });
await browser.close();
