import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askStores } from "../output/cluster-report.ts";
import { writeList } from "../output/documents.ts";
import { formatBytes } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command);
  },
  async run(invocation) {
    const rows = await withClient(invocation, askStores);
    await writeList(invocation.io, invocation.format, rows, [
      { title: "STORE", right: true, cell: ({ storeId }) => storeId },
      { title: "NODE", right: true, cell: ({ nodeId }) => nodeId },
      { title: "STATE", cell: ({ state }) => state },
      { title: "ADDRESS", cell: ({ address }) => address },
      { title: "REPLICAS", right: true, cell: ({ replicas }) => replicas },
      { title: "LEADERS", right: true, cell: ({ leaders }) => leaders },
      { title: "SIZE", right: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: "FREE", right: true, cell: ({ freeBytes }) => formatBytes(freeBytes) },
      { title: "LOG", right: true, cell: ({ logBytes }) => formatBytes(logBytes) },
      { title: "FSYNCS", right: true, cell: ({ fsyncs }) => fsyncs },
      { title: "DIRECTORY", cell: ({ dataDir }) => dataDir },
    ]);
    return exitDone;
  },
};
