/**
 * Who may talk to the inspector's server: this machine, this origin, and whoever holds the token. A log can name a company's
 * hosts and devices, and any page in the same browser can send requests to 127.0.0.1.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

const TOKEN_BYTES = 18;

/** A new token: 144 random bits, for use in an address. */
export const newToken = (): string =>
	randomBytes(TOKEN_BYTES).toString("base64url");

/** What a request is told: nothing, or a status and a sentence. */
export interface Refusal {
	readonly status: number;
	readonly why: string;
}

/**
 * Judges a request. Refused are: other hosts in `Host` (a name that an attacker made to point at 127.0.0.1), other origins,
 * requests that a foreign page caused, other methods than GET, and a wrong token (told apart from nothing: 404).
 */
export function refusalOf(
	request: IncomingMessage,
	port: number,
	token: string,
): Refusal | undefined {
	const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
	const { host, origin } = request.headers;
	if (host === undefined || !hosts.includes(host))
		return { status: 403, why: "this server answers to 127.0.0.1 only" };
	if (origin !== undefined && origin !== `http://${host}`)
		return { status: 403, why: "requests from other origins are refused" };
	const site = request.headers["sec-fetch-site"];
	if (site !== undefined && site !== "same-origin" && site !== "none")
		return { status: 403, why: "requests from other sites are refused" };
	if (request.method !== "GET") return { status: 405, why: "only GET" };
	const given = new URL(request.url ?? "/", "http://x").pathname.split("/")[1];
	if (!isSame(given ?? "", token))
		return { status: 404, why: "not found: use the address that was printed" };
	return undefined;
}

/** Judges a request for a WebSocket like every request; besides, it must say its origin, since the rules for other sites do not hold for these. */
export function socketRefusalOf(
	request: IncomingMessage,
	port: number,
	token: string,
): Refusal | undefined {
	if (request.headers.origin === undefined)
		return { status: 403, why: "a WebSocket must say its origin" };
	return refusalOf(request, port, token);
}

function isSame(given: string, token: string): boolean {
	const left = Buffer.from(given);
	const right = Buffer.from(token);
	return left.length === right.length && timingSafeEqual(left, right);
}

const META_POLICY =
	/<meta http-equiv="Content-Security-Policy" content="([^"]*)">/;

/** The headers of every answer. `page`: its own policy (with the hash of its one script) is sent as a header too. */
export function securityHeaders(page: string): Record<string, string> {
	const policy = META_POLICY.exec(page)?.[1] ?? "default-src 'none'";
	return {
		"Content-Security-Policy": `${policy}; frame-ancestors 'none'`,
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control": "no-store",
	};
}

/** The page for a file on disk: as built, but it may connect to nothing. */
export function withoutNetwork(page: string): string {
	return page.replace(META_POLICY, (meta) =>
		meta.replace("connect-src 'self'", "connect-src 'none'"),
	);
}
