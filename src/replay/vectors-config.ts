/** `cfg` lines of golden vectors: what was asked for, and how the settled configuration reads there. */
import {
	FORMATS,
	type FormatConfig,
	type FormatId,
	type TableRequest,
} from "../pagetable/config.ts";
import type { VtdConfig } from "../pagetable/drivers/vtd-config.ts";
import type { VectorJson } from "./vectors-print.ts";
import {
	VectorLineError,
	bitmapField,
	countField,
	flagField,
	objectField,
	type VectorLine,
} from "./vectors-fields.ts";

function formatOf(line: VectorLine): FormatId {
	const format = FORMATS.find((known) => known === line.fmt);
	if (format === undefined)
		throw new VectorLineError(
			`fmt ${JSON.stringify(line.fmt)} is not one of ${FORMATS.join(", ")}`,
		);
	return format;
}

/** The request of a `cfg` line. What VT-d and AMD take from hardware capabilities stands in `geo` there. */
export function requestOf(line: VectorLine): TableRequest {
	const format = formatOf(line);
	const asked = objectField(line, "req");
	const quirks = line.quirks;
	if (
		!Array.isArray(quirks) ||
		!quirks.every((quirk) => typeof quirk === "string")
	)
		throw new VectorLineError("quirks is not a list of names");
	const request: TableRequest = {
		format,
		pageSizes: bitmapField(asked, "pgsizes"),
		ias: countField(asked, "ias"),
		oas: countField(asked, "oas"),
		coherent: flagField(line, "coherent"),
		quirks,
	};
	if (format === "amd_v2")
		return {
			...request,
			levels: countField(objectField(line, "geo"), "levels"),
		};
	if (format !== "vtd") return request;
	const geo = objectField(line, "geo");
	return {
		...request,
		levels: countField(geo, "levels"),
		firstStage: flagField(geo, "firstStage"),
		superpage: countField(geo, "superpage"),
		forceSnoop: flagField(geo, "snp"),
		gaw: countField(geo, "gaw"),
	};
}

/** The answer fields of a `cfg` line, without `ev`. */
export function configAnswer(config: FormatConfig): Record<string, VectorJson> {
	const bitmap = config.pageSizes.reduce(
		(sum, size) => sum + BigInt(size) * 4096n,
		0n,
	);
	return {
		ok: true,
		got: {
			pgsizes: `0x${bitmap.toString(16)}`,
			ias: config.ias,
			oas: config.oas,
		},
		...geometryAnswer(config),
	};
}

function geometryAnswer(config: FormatConfig): Record<string, VectorJson> {
	if (config.format === "vtd") {
		const { levels, firstStage, superpage, forceSnoop, gaw } =
			config as VtdConfig;
		const geo = { levels, firstStage, superpage, snp: forceSnoop };
		return { geo: { ...geo, agaw: levels - 2, gaw } };
	}
	return config.registers ?? {};
}
