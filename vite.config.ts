/**
 * Builds the inspector's page: one HTML file with its script and style inside, and a content security policy that names their
 * hashes. `vite build` writes dist/src/inspector/page.html.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const hashOf = (text: string): string =>
	`'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const policy = (script: string, style: string): string =>
	[
		"default-src 'none'",
		`script-src ${hashOf(script)}`,
		`style-src ${hashOf(style)}`,
		"worker-src blob:",
		"connect-src 'self'",
		"img-src data: blob:",
		"base-uri 'none'",
		"form-action 'none'",
	].join("; ");

/** Puts the one script and the one style sheet into the HTML file and drops their own files. */
function singleFile(): Plugin {
	return {
		name: "single-file",
		enforce: "post",
		generateBundle(_, bundle) {
			let script = "";
			let style = "";
			for (const [name, file] of Object.entries(bundle)) {
				if (file.type === "chunk") script += file.code;
				else if (name.endsWith(".css")) style += file.source;
				else continue;
				delete bundle[name];
			}
			const page = bundle["page.html"];
			if (page?.type !== "asset") throw new Error("page.html was not built");
			script = script.replaceAll("</script", "<\\/script");
			const html = String(page.source)
				.replace(/<script[^>]*><\/script>\s*/g, "")
				.replace(/<link rel="(?:stylesheet|modulepreload)"[^>]*>\s*/g, "");
			page.source = html
				.replace(
					"<!--head-->",
					() =>
						`<meta http-equiv="Content-Security-Policy" content="${policy(script, style)}">\n<style>${style}</style>`,
				)
				.replace(
					"<!--script-->",
					() => `<script type="module">${script}</script>`,
				);
		},
	};
}

const here = (path: string): string =>
	fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
	root: here("src/inspector/page"),
	base: "./",
	logLevel: "warn",
	worker: { format: "iife" },
	plugins: [singleFile()],
	build: {
		outDir: here("dist/src/inspector"),
		emptyOutDir: false,
		target: "es2022",
		modulePreload: false,
		assetsInlineLimit: 0,
		cssCodeSplit: false,
		rollupOptions: { input: here("src/inspector/page/page.html") },
	},
});
