/** The list of keys. */
import type { VNode } from "preact";
import { html } from "./dom.ts";
import { KEYS } from "./keys.ts";
import { isHelpOpen } from "./state.ts";

const { button, div, h2, kbd, table, tbody, td, tr } = html;

const SPELLING: Readonly<Record<string, string>> = {
	" ": "Space",
	ArrowLeft: "←",
	ArrowRight: "→",
	"Shift+ArrowLeft": "Shift ←",
	"Shift+ArrowRight": "Shift →",
};

/** The help, when it is open. */
export function Help(): VNode | null {
	if (!isHelpOpen.value) return null;
	return div(
		{
			class: "help",
			role: "dialog",
			"aria-label": "Keys",
			"aria-modal": "true",
			ref: (dialog: HTMLElement | null) => dialog?.focus(),
			tabIndex: -1,
		},
		h2(null, "Keys"),
		table(
			null,
			tbody(
				null,
				...KEYS.map(({ keys, does }) =>
					tr(
						null,
						td(null, ...keys.map((key) => kbd(null, SPELLING[key] ?? key))),
						td(null, does),
					),
				),
			),
		),
		button(
			{
				class: "export",
				onClick: () => {
					isHelpOpen.value = false;
				},
			},
			"Close",
		),
	);
}
