import { addClusterOptions, addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { printableBytes } from "../output/bytes-text.ts";
import { askRanges } from "../output/cluster-report.ts";
import { writeList } from "../output/documents.ts";
import { formatBytes } from "../output/table.ts";

const shownKeyCharacters = 32;

export const verb: Verb = {
  configure(command) {
    addClusterOptions(addKeyEncodingOptions(command));
  },
  async run(invocation) {
    const rows = await withClient(invocation, (client) => askRanges(client, encodingOf(invocation)));
    const shown = (key: string): string | null =>
      key === "" ? null : printableBytes(Buffer.from(key, "utf8"), shownKeyCharacters);
    await writeList(invocation.io, invocation.format, rows, [
      { title: "RANGE", right: true, cell: ({ rangeId }) => rangeId },
      { title: "START", cell: ({ rangeId, start }) => (rangeId === 1 ? "(system)" : shown(start)) },
      { title: "END", cell: ({ end }) => shown(end) },
      { title: "LEADER", right: true, cell: ({ leaderStoreId }) => leaderStoreId },
      { title: "TERM", right: true, cell: ({ term }) => term },
      {
        title: "REPLICAS",
        cell: ({ replicas }) =>
          replicas
            .map(
              ({ storeId, role, state }) =>
                `${storeId}${role === "voter" ? "" : ` ${role}`}${state === "down" ? " down" : ""}`,
            )
            .join(", "),
      },
      { title: "SIZE", right: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: "WRITES/S", right: true, cell: ({ writesPerSecond }) => rate(writesPerSecond) },
      { title: "READS/S", right: true, cell: ({ readsPerSecond }) => rate(readsPerSecond) },
    ]);
    return exitDone;
  },
};

const rate = (perSecond: number | null): number | null => (perSecond === null ? null : Math.round(perSecond));
