/** Text for XML. */

const ENTITIES: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&apos;",
};

/** Escapes a text for XML content and attributes. Characters that XML forbids become U+FFFD. */
export const xmlText = (text: string): string =>
	text
		// oxlint-disable-next-line no-control-regex
		.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
		.replace(/[&<>"']/g, (sign) => ENTITIES[sign] as string);
