import { addClusterOptions } from "../arguments/common-options.ts";
import { requiredId } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { requireObject } from "../output/answer-shape.ts";
import type { StoreRow } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";
import { formatBytes, formatCount, formatFields } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<store>", "the store's id");
    addClusterOptions(command);
  },
  async run(invocation) {
    const storeId = requiredId(invocation, 0, "STORE");
    const answer = await withClient(invocation, (client) =>
      client.admin("store-show", { storeId }, { readOnly: true }),
    );
    const store = requireObject(answer, "store-show", ["storeId", "nodeId", "state"]) as unknown as StoreRow;
    await writeObject(invocation.io, invocation.format, store, () =>
      formatFields([
        ["store", store.storeId],
        ["node", store.nodeId],
        ["address", store.address],
        ["state", store.state],
        ["replicas", store.replicas],
        ["leaders", store.leaders],
        ["size", formatBytes(store.sizeBytes)],
        ["free", formatBytes(store.freeBytes)],
        ["log", formatBytes(store.logBytes)],
        ["fsyncs", formatCount(store.fsyncs)],
        ["directory", store.dataDir],
      ]),
    );
    return exitDone;
  },
};
