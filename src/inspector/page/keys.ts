/** The keyboard. One table: what is listed in the help is what works. */
import {
	cursor,
	isHelpOpen,
	isPlaying,
	jump,
	marked,
	moveTo,
	count,
	view,
} from "./state.ts";
import { VIEWS } from "./views.ts";

/** A key and what it does. */
export interface KeyBinding {
	/** As in KeyboardEvent.key, with "Shift+" in front when needed. */
	readonly keys: readonly string[];
	readonly does: string;
	readonly run: () => void;
}

const step = (by: number) => () => moveTo(cursor.value + by);

/** All keys. */
export const KEYS: readonly KeyBinding[] = [
	{ keys: ["ArrowRight", "l"], does: "next record", run: step(1) },
	{ keys: ["ArrowLeft", "h"], does: "record before", run: step(-1) },
	{ keys: ["PageDown"], does: "100 records on", run: step(100) },
	{ keys: ["PageUp"], does: "100 records back", run: step(-100) },
	{ keys: ["Home"], does: "start of the log", run: () => moveTo(0) },
	{ keys: ["End"], does: "end of the log", run: () => moveTo(count.value - 1) },
	{
		keys: ["Shift+ArrowRight"],
		does: "next record of the same actor",
		run: () => void jump("actor", 1),
	},
	{
		keys: ["Shift+ArrowLeft"],
		does: "record before, same actor",
		run: () => void jump("actor", -1),
	},
	{
		keys: ["o"],
		does: "next operation",
		run: () => void jump("operation", 1),
	},
	{
		keys: ["Shift+O"],
		does: "operation before",
		run: () => void jump("operation", -1),
	},
	{
		keys: ["f"],
		does: "next failed operation",
		run: () => void jump("failure", 1),
	},
	{
		keys: ["Shift+F"],
		does: "failed operation before",
		run: () => void jump("failure", -1),
	},
	{
		keys: ["]"],
		does: "next violation",
		run: () => void jump("violation", 1),
	},
	{
		keys: ["["],
		does: "violation before",
		run: () => void jump("violation", -1),
	},
	{
		keys: [" "],
		does: "play / stop",
		run: () => {
			isPlaying.value = !isPlaying.value;
		},
	},
	{
		keys: ["m"],
		does: "mark this position for the diff",
		run: () => {
			marked.value = cursor.value;
		},
	},
	{
		keys: ["/"],
		does: "search the records",
		run: () => document.getElementById("query")?.focus(),
	},
	{
		keys: ["?"],
		does: "show the keys",
		run: () => {
			isHelpOpen.value = !isHelpOpen.value;
		},
	},
	{
		keys: ["Escape"],
		does: "close the help, leave a field",
		run: () => {
			isHelpOpen.value = false;
			(document.activeElement as HTMLElement | null)?.blur();
		},
	},
	...VIEWS.map(([id, name], i) => ({
		keys: [String(i + 1)],
		does: `view: ${name}`,
		run: () => {
			view.value = id;
		},
	})),
];

const nameOf = (event: KeyboardEvent): string =>
	event.shiftKey && /^(?:Arrow|[A-Z]$)/.test(event.key)
		? `Shift+${event.key}`
		: event.key;

/** Listens to the keyboard. Fields keep their keys, but Escape. */
export function startKeys(): void {
	window.addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const target = event.target as HTMLElement;
		const isField = target.matches("input, select, textarea");
		if (isField && event.key !== "Escape") return;
		if (event.key === " " && target.matches("button, summary")) return;
		const name = nameOf(event);
		const binding = KEYS.find(({ keys }) => keys.includes(name));
		if (binding === undefined) return;
		event.preventDefault();
		binding.run();
	});
}
