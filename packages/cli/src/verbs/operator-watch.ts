import { Failure } from "@flotilla/base";
import { addClusterOptions } from "../arguments/common-options.ts";
import { idArgument } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { askOperator, askOperators, hasEnded } from "../operators/operator-report.ts";
import type { OperatorRow } from "../operators/operator-report.ts";
import { operatorLine } from "../operators/operator-text.ts";
import { patient } from "../operators/patience.ts";

const pollMs = 500;

export const verb: Verb = {
  configure(command) {
    command.argument("[operator]", "only this one, until it has ended");
    addClusterOptions(command).addHelpText(
      "after",
      "\nA line for each change of an operator, with -o jsonl the operator as it is then; ends with Ctrl-C. With an operator's\n" +
        "id it ends with that one: exit code 0 when it is done, 1 when it failed, was cancelled or took too long.",
    );
  },
  async run(invocation) {
    if (invocation.format === "json")
      throw new Failure("InvalidArgument", "operator watch has no end, so it is no document", { hint: "-o jsonl" });
    const operatorId = idArgument(invocation, 0, "OPERATOR");
    return withClient(invocation, (client) =>
      operatorId === undefined ? watchAll(invocation, client) : watchOne(invocation, client, operatorId),
    );
  },
};

async function watchAll({ io, format }: Invocation, client: ClusterClient): Promise<number> {
  const interrupted = io.interrupted();
  const print = printer(io, format);
  const look = patient(io, () => askOperators(client, true));
  let newest = 0;
  let open = new Set<number>();
  for (let first = true; !interrupted.aborted;) {
    const rows = (await look())?.toSorted((a, b) => a.operatorId - b.operatorId);
    if (rows !== undefined) {
      for (const row of rows) {
        // What ended before is history: `operator list --all`.
        const isNews = first ? !hasEnded(row) : row.operatorId > newest || open.has(row.operatorId);
        if (isNews) await print(row);
      }
      newest = Math.max(newest, ...rows.map(({ operatorId }) => operatorId));
      open = new Set(rows.filter((row) => !hasEnded(row)).map(({ operatorId }) => operatorId));
      first = false;
    }
    await io.pause(pollMs, interrupted);
  }
  return exitDone;
}

async function watchOne({ io, format }: Invocation, client: ClusterClient, operatorId: number): Promise<number> {
  const interrupted = io.interrupted();
  const print = printer(io, format);
  const look = patient(io, () => askOperator(client, operatorId));
  while (!interrupted.aborted) {
    const row = await look();
    if (row !== undefined) {
      await print(row);
      if (hasEnded(row)) return row.state === "done" ? exitDone : exitNotDone;
    }
    await io.pause(pollMs, interrupted);
  }
  return exitNotDone;
}

/** Writes an operator whenever it looks different from the last time. */
function printer(io: Invocation["io"], format: Invocation["format"]): (row: OperatorRow) => Promise<void> {
  const last = new Map<number, string>();
  return async (row) => {
    const text = format === "table" ? operatorLine(row) : JSON.stringify(row) + "\n";
    if (last.get(row.operatorId) === text) return;
    if (hasEnded(row)) last.delete(row.operatorId);
    else last.set(row.operatorId, text);
    await io.out(text);
  };
}
