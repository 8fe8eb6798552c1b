import { Failure } from "@flotilla/base";
import { addClusterOptions, countOption } from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askRanges } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";

const idMax = Number.MAX_SAFE_INTEGER;
const pollMs = 50;

export const verb: Verb = {
  configure(command) {
    command.argument("<range>", "the range's id").requiredOption("--to <store>", "the store whose replica is to lead");
    addClusterOptions(command)
      .option("--wait", "until the range is led there")
      .option("--plan", "show what would be done, change nothing");
  },
  async run(invocation) {
    const { io, options, format } = invocation;
    const rangeId = countOption({ range: invocation.arguments[0] }, "range", "RANGE", 1, idMax)!;
    const to = countOption(options, "to", "--to", 1, idMax)!;
    const timeoutMs = parseDurationMs("--timeout", String(options["timeout"]));
    const content = await withClient(invocation, async (client) => {
      if (options["plan"] === true) return plan(client, rangeId, to);
      const result = (await client.admin("transfer-leader", { rangeId, to }, { readOnly: false })) as {
        changed?: unknown;
      };
      if (options["wait"] === true) await waitForLeader(client, rangeId, to, timeoutMs);
      return { rangeId, leaderStoreId: to, changed: result.changed !== false };
    });
    await writeObject(io, format, content, () =>
      "steps" in content
        ? content.steps.map(({ action, storeId }) => `${action} to store ${storeId}\n`).join("") || "nothing to do\n"
        : content.changed
          ? `range ${rangeId} is handed over to store ${to}\n`
          : `store ${to} already leads range ${rangeId}\n`,
    );
    return exitDone;
  },
};

async function plan(
  client: ClusterClient,
  rangeId: number,
  to: number,
): Promise<{ rangeId: number; steps: { action: string; storeId: number }[] }> {
  const range = (await askRanges(client)).find((row) => row.rangeId === rangeId);
  if (range === undefined)
    throw new Failure("NotFound", `there is no range ${rangeId}`, { hint: "flotilla range list" });
  if (!range.replicas.some(({ storeId }) => storeId === to)) {
    throw new Failure("Refused", `store ${to} has no replica of range ${rangeId}`, { hint: "flotilla range list" });
  }
  return { rangeId, steps: range.leaderStoreId === to ? [] : [{ action: "transfer leader", storeId: to }] };
}

async function waitForLeader(client: ClusterClient, rangeId: number, to: number, timeoutMs: number): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (performance.now() < untilMs) {
    const range = (await askRanges(client)).find((row) => row.rangeId === rangeId);
    if (range?.leaderStoreId === to) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new Failure("Timeout", `range ${rangeId} is not led by store ${to} after ${timeoutMs} ms`, {
    hint: "flotilla range list shows who leads it",
  });
}
