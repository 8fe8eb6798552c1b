#!/usr/bin/env node
/** The `flotilla` command, with every verb. */
import { allVerbs } from "./all-verbs.ts";
import { createProcessIo, exitProcess } from "./process-io.ts";
import { runCommandLine } from "./run-command-line.ts";

await exitProcess(await runCommandLine(process.argv.slice(2), createProcessIo(), allVerbs));
