/** The machine as a whole: root of the actor tree host → group → device and host → context → IOAS, hwpt. It counts what it is told. */
import type { Definition } from "./define.ts";

/** What the host knows: contexts that are open. */
export interface HostContext {
	readonly contexts: number;
}
type C = HostContext;

/** The host statechart. */
export const host: Definition<HostContext, undefined> = {
	id: "host",
	about: "The machine: it boots, then serves contexts",
	events: ["host.booted", "host.ctx.opened", "host.ctx.closed"],
	start: () => ({ contexts: 0 }),
	guards: { othersOpen: (c: C) => c.contexts > 1 },
	actions: {
		opened: (c: C) => ({ contexts: c.contexts + 1 }),
		closed: (c: C) => ({ contexts: c.contexts - 1 }),
	},
	config: {
		initial: "Booting",
		states: {
			Booting: {
				description: "Groups get their default domains",
				on: { "host.booted": { target: "Idle" } },
			},
			Idle: {
				on: { "host.ctx.opened": { target: "Serving", actions: ["opened"] } },
			},
			Serving: {
				on: {
					"host.ctx.opened": { actions: ["opened"] },
					"host.ctx.closed": [
						{ guard: "othersOpen", actions: ["closed"] },
						{ target: "Idle", actions: ["closed"] },
					],
				},
			},
		},
	},
};
