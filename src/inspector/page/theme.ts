/** Light and dark: what the system says, until the reader chooses. */
import { signal } from "@preact/signals";

/** The theme in use. */
export const theme = signal<"light" | "dark">("light");

/** Sets the theme on the page. */
export function setTheme(value: "light" | "dark"): void {
	theme.value = value;
	document.documentElement.dataset["theme"] = value;
}

/** Follows the system's theme. */
export function startTheme(): void {
	const dark = window.matchMedia("(prefers-color-scheme: dark)");
	setTheme(dark.matches ? "dark" : "light");
	dark.addEventListener("change", () =>
		setTheme(dark.matches ? "dark" : "light"),
	);
}

/** A colour of the style sheet, for canvases. */
export const colour = (name: string): string =>
	getComputedStyle(document.documentElement).getPropertyValue(name).trim();
