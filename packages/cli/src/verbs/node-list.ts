import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askNodes } from "../output/cluster-report.ts";
import { writeList } from "../output/documents.ts";
import { formatDuration } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command);
  },
  async run(invocation) {
    const rows = await withClient(invocation, askNodes);
    await writeList(invocation.io, invocation.format, rows, [
      { title: "NODE", right: true, cell: ({ nodeId }) => nodeId },
      { title: "STATE", cell: ({ state }) => state },
      { title: "ADDRESS", cell: ({ address }) => address },
      { title: "HTTP", cell: ({ httpAddress }) => httpAddress },
      { title: "PID", right: true, cell: ({ pid }) => pid },
      { title: "STORES", cell: ({ stores }) => stores.join(",") },
      { title: "UP", right: true, cell: ({ uptimeMs }) => formatDuration(uptimeMs) },
      { title: "VERSION", cell: ({ serverVersion }) => serverVersion },
      {
        title: "LABELS",
        cell: ({ labels }) =>
          Object.entries(labels)
            .map(([name, value]) => `${name}=${value}`)
            .join(",") || null,
      },
    ]);
    return exitDone;
  },
};
