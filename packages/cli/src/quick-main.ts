/**
 * The `flotilla` command with the verbs that need a client only. The build makes one file of it and of all that it leads to,
 * `dist/quick-main.cjs`: most of the time of a `get` would else go into finding and reading two hundred modules. That file
 * shares no module with the others, so nothing that it imports may be met by those.
 */
import { createProcessIo, exitProcess } from "./process-io.ts";
import { runCommandLine } from "./run-command-line.ts";
import { clientVerbs } from "./verb-table.ts";

void runCommandLine(process.argv.slice(2), createProcessIo(), clientVerbs).then(exitProcess);
