/** `npm run check-history -- --model register|kv FILE`: a linearizability verdict over a recorded history. */
import { checkHistoryCommand } from "./command/check-history-command.ts";

const { exitCode, stdout, stderr } = checkHistoryCommand(process.argv.slice(2));
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = exitCode;
