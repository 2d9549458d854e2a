/** Numbers and names for people. */

const GROUPS = new Intl.NumberFormat("en-US");

/** 1234567 → 1,234,567. */
export const grouped = (value: number): string => GROUPS.format(value);

/** Nanoseconds with a unit that fits: 1.234567 s. */
export function nanoseconds(t: number): string {
	if (t < 1e3) return `${t} ns`;
	if (t < 1e6) return `${(t / 1e3).toFixed(3)} µs`;
	if (t < 1e9) return `${(t / 1e6).toFixed(3)} ms`;
	return `${(t / 1e9).toFixed(6)} s`;
}

/** Bytes with a binary unit. */
export function byteSize(bytes: number): string {
	const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
	let value = bytes;
	let unit = 0;
	while (value >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	const digits = Number.isInteger(value) || unit === 0 ? 0 : 1;
	return `${value.toFixed(digits)} ${units[unit]}`;
}

/** The data of a record line in short: `dev=device:0000:01:00.0 first`. What only repeats the actor is left out. */
export function dataInShort(line: string): string {
	try {
		const { data, actor } = JSON.parse(line) as {
			data: Record<string, unknown>;
			actor: string;
		};
		return Object.entries(data)
			.filter(([, value]) => value !== actor)
			.map(([key, value]) => {
				if (value === true) return key;
				return `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`;
			})
			.join(" ");
	} catch {
		return line;
	}
}

/** A byte address. */
export const hex = (address: number): string =>
	`0x${Math.floor(address).toString(16)}`;

/** 1 range, 2 ranges. */
export const counted = (n: number, thing: string): string =>
	`${grouped(n)} ${thing}${n === 1 ? "" : "s"}`;
