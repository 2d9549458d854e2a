#!/usr/bin/env node
/** The entry of the program on the command line; see program.ts. */
import { createIo } from "./io.ts";
import { program } from "./program.ts";

/** A closed pipe (`| head`) ends the program quietly. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
	process.exit(error.code === "EPIPE" ? 0 : 1);
});

process.exitCode = await program(
	process.argv.slice(2),
	createIo(process.stdout, process.stderr, process.env),
);
