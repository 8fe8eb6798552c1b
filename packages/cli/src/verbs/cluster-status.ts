import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askClusterStatus } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";
import { formatBytes, formatFields } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command);
  },
  async run(invocation) {
    const status = await withClient(invocation, askClusterStatus);
    const { nodes, stores, ranges, placementDriver } = status;
    await writeObject(invocation.io, invocation.format, status, () =>
      formatFields([
        ["cluster", status.clusterId],
        ["health", status.health],
        ...status.reasons.map((reason): [string, string] => ["", reason]),
        ...(status.warnings ?? []).map((warning): [string, string] => ["warning", warning]),
        ["nodes", `${nodes.live} of ${nodes.total} live`],
        ["stores", `${stores.live} of ${stores.total} live`],
        [
          "ranges",
          `${ranges.total}, ${ranges.led} led, ${ranges.underReplicated} under-replicated, ${ranges.unavailable} unavailable`,
        ],
        [
          "placement driver",
          placementDriver.storeId === null
            ? null
            : `node ${placementDriver.nodeId}, store ${placementDriver.storeId}, term ${placementDriver.term}`,
        ],
        ["size", formatBytes(status.sizeBytes)],
        ["format", status.formatNumber],
      ]),
    );
    return exitDone;
  },
};
