/** Makes a part of a drawing a control: by pointer, by keyboard, and with a name for those who cannot see it. */

/** Properties of a part that does something when it is pressed. */
export function pressable(name: string, run: () => void): object {
	return {
		role: "button",
		// In lower case: SVG's attributes know the case of letters.
		tabindex: 0,
		"aria-label": name,
		onClick: (event: Event) => {
			event.stopPropagation();
			run();
		},
		onKeyDown: (event: KeyboardEvent) => {
			if (event.key !== "Enter" && event.key !== " ") return;
			event.preventDefault();
			event.stopPropagation();
			run();
		},
	};
}
