import { Failure } from "@flotilla/base";
import { addClusterOptions, connectOptionsOf, countOption, textOption } from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import { rangesMax, splitKeys } from "../arguments/split-keys.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { writeObject } from "../output/documents.ts";

const replicasMax = 100;
const rangesDefault = 8;
const pollMs = 100;

interface InitAnswer {
  readonly clusterId: string | null;
  readonly nodes: readonly { readonly nodeId: number; readonly storeId: number; readonly address: string }[];
  readonly ranges: number;
  readonly replicas: number;
  readonly continued: boolean;
}

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command, "30s")
      .option("--replicas <n>", "replicas of each range (default 3, and 1 with fewer than three nodes)")
      .option("--ranges <n>", `ranges to begin with, in even steps over printable ASCII (default ${rangesDefault})`)
      .option("--split-at <key,...>", "bounds of the ranges, by hand")
      .option("--plan", "show what would be made, make nothing")
      .option("--wait", "until every range has a leader")
      .addHelpText(
        "after",
        "\nEvery node must have been started with --peers first. The first of --endpoints makes the cluster of these nodes.\n" +
          "Interrupted, it is finished by running it again on the same node. Exit code 1: there is a cluster already, or a node is missing.",
      );
  },
  async run(invocation) {
    const { io, options, format } = invocation;
    const replicas = countOption(options, "replicas", "--replicas", 1, replicasMax);
    const ranges = countOption(options, "ranges", "--ranges", 1, rangesMax);
    const splitAt = splitKeys(textOption(options, "splitAt"));
    if (splitAt.length > 0 && ranges !== undefined)
      throw new Failure("InvalidArgument", "--ranges and --split-at exclude each other");
    const planOnly = options["plan"] === true;
    const connection = await connectOptionsOf(invocation);
    const { endpoints } = connection;
    const maker =
      typeof endpoints === "string" ? endpoints.replace(/^flotilla:\/\//, "").split(",")[0]! : endpoints[0]!;
    const client = await io.connect(connection);
    try {
      const body = {
        ...(replicas === undefined ? {} : { replicas }),
        ranges: ranges ?? rangesDefault,
        splitAt,
        planOnly,
      };
      const made = (await client.adminAt(maker, "cluster-init", body)) as InitAnswer;
      if (options["wait"] === true && !planOnly) {
        await untilLed(client, made.ranges, parseDurationMs("--timeout", String(options["timeout"])));
      }
      await writeObject(io, format, made, () => describe(made, maker));
    } finally {
      await client.close();
    }
    return exitDone;
  },
};

function describe({ clusterId, nodes, ranges, replicas, continued }: InitAnswer, maker: string): string {
  const size = `${nodes.length} nodes, ${ranges} ranges, ${replicas === 1 ? "1 replica" : `${replicas} replicas`} each`;
  if (clusterId === null) {
    return (
      `would make a cluster: ${size}\n` + nodes.map(({ nodeId, address }) => `node ${nodeId}  ${address}\n`).join("")
    );
  }
  const how = continued ? "finished, as it was begun before" : "made";
  return `cluster ${clusterId} is ${how}: ${size}\nlook  flotilla cluster status --endpoints ${maker}\n`;
}

async function untilLed(client: ClusterClient, ranges: number, timeoutMs: number): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  let last = "no node answers";
  while (performance.now() < untilMs) {
    try {
      const status = (await client.admin("cluster-status", {}, { readOnly: true })) as { ranges: { led: number } };
      if (status.ranges.led >= ranges) return;
      last = `${status.ranges.led} of ${ranges} ranges are led`;
    } catch (error) {
      // The nodes change from waiting to taking part at this moment.
      last = error instanceof Error ? error.message : String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new Failure("Timeout", `the cluster was made, but is not ready after ${timeoutMs} ms: ${last}`, {
    hint: "`flotilla cluster status` shows what is missing",
  });
}
