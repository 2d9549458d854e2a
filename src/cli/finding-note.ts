/** The line that must stand wherever an unreported finding about a real kernel is shown (docs/kernel-findings.md). */
import type { FileReport } from "../replay/verify-path.ts";

/** Invariants whose breach in a recording of a real kernel is a finding of docs/kernel-findings.md. */
const FINDINGS: ReadonlySet<string> = new Set([
	"PT-32",
	"PT-36",
	"RSV-2",
	"RSV-5",
	"VFT-7",
]);

/** The note, or undefined when the file shows no such finding. */
export function findingNote(file: FileReport): string | undefined {
	if (file.header?.origin !== "import") return undefined;
	if (!(file.report?.violations ?? []).some((v) => FINDINGS.has(v.id)))
		return undefined;
	return "Unreported as far as we know: to the kernel's security contact first, before this repository is made public (docs/kernel-findings.md).";
}
