import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/** Relative luminance and contrast as WCAG 2 defines them. */
function luminance(colour: string): number {
	const [r, g, b] = [1, 3, 5].map((at) => {
		const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
		return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
	}) as [number, number, number];
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a: string, b: string): number {
	const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [
		number,
		number,
	];
	return (high + 0.05) / (low + 0.05);
}

const css = readFileSync(
	join(import.meta.dirname, "../../src/inspector/page/style/base.css"),
	"utf8",
);
const themes = [...css.matchAll(/\{([^}]*--bg:[^}]*)\}/g)].map(
	([, block]) =>
		new Map(
			[...(block as string).matchAll(/(--[\w-]+):\s*(#[\da-f]{6})/g)].map(
				([, name, value]) => [name as string, value as string],
			),
		),
);

/** Text on the grounds that it is put on. */
const PAIRS = [
	["--text", "--bg"],
	["--text", "--accent-soft"],
	["--dim", "--bg"],
	["--dim", "--panel"],
	["--dim", "--raised"],
	["--dim", "--accent-soft"],
	["--accent", "--panel"],
	["--accent", "--accent-soft"],
	["--bad", "--bad-soft"],
	["--bad", "--panel"],
	["--warn", "--warn-soft"],
	["--warn", "--panel"],
	["--span-text", "--span"],
	["--span-text", "--span-open"],
	["--span-fail-text", "--bad"],
] as const;

describe("colours", () => {
	it("are there for light and dark", () => {
		expect(themes).toHaveLength(2);
	});

	it.each(PAIRS)("%s can be read on %s in both (4.5 : 1)", (text, ground) => {
		for (const theme of themes)
			expect(
				contrast(theme.get(text) as string, theme.get(ground) as string),
			).toBeGreaterThanOrEqual(4.5);
	});
});
