/** Wakes those who wait for more of a log. */

/** `wait` ends at the next `tell`, or when the signal aborts. */
export interface ChangeSignal {
	tell(): void;
	wait(signal: AbortSignal): Promise<void>;
}

/** Makes one. */
export function changeSignal(): ChangeSignal {
	let waiting: (() => void)[] = [];
	return {
		tell() {
			const now = waiting;
			waiting = [];
			for (const wake of now) wake();
		},
		wait(signal) {
			if (signal.aborted) return Promise.resolve();
			return new Promise((resolve) => {
				const wake = (): void => {
					signal.removeEventListener("abort", wake);
					resolve();
				};
				signal.addEventListener("abort", wake);
				waiting.push(wake);
			});
		},
	};
}
