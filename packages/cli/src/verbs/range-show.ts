import { addClusterOptions, addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { requiredId } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import type { OperatorRow } from "../operators/operator-report.ts";
import { operatorColumns } from "../operators/operator-text.ts";
import { requireObject } from "../output/answer-shape.ts";
import { encodedRange } from "../output/cluster-report.ts";
import type { RangeRow } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";
import { explainTable } from "../output/explain-table.ts";
import type { ExplainLine } from "../output/explain-table.ts";
import { formatByteRate, formatInterval, formatRate } from "../output/range-columns.ts";
import type { Encoding } from "../output/bytes-text.ts";
import { formatBytes, formatCount, formatFields, formatTable } from "../output/table.ts";
import type { Column } from "../output/table.ts";

interface RangeDetails extends RangeRow {
  readonly operators: readonly OperatorRow[];
  readonly explain: readonly ExplainLine[];
}

type ReplicaRow = RangeRow["replicas"][number];

export const verb: Verb = {
  configure(command) {
    command.argument("<range>", "the range's id");
    addClusterOptions(addKeyEncodingOptions(command));
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "RANGE");
    const encoding = encodingOf(invocation);
    const answer = await withClient(invocation, (client) =>
      client.admin("range-show", { rangeId }, { readOnly: true }),
    );
    const fields = ["rangeId", "start", "end", "replicas", "operators", "explain"];
    const range = requireObject(answer, "range-show", fields) as unknown as RangeDetails;
    const { io, format } = invocation;
    await writeObject(io, format, encodedRange(range, encoding), () => describe(range, encoding, io.outColumns));
    return exitDone;
  },
};

function describe(range: RangeDetails, encoding: Encoding, columns: number | undefined): string {
  const { rangeId, epoch, leaderStoreId, term, sizeBytes, keys } = range;
  const parts = [
    formatFields([
      ["range", rangeId],
      ["keys", formatInterval(range, encoding)],
      ["leader", leaderStoreId === null ? null : `store ${leaderStoreId}, term ${term ?? "-"}`],
      ["epoch", epoch === undefined ? null : `bounds ${epoch.bounds}, members ${epoch.members}`],
      ["size", formatBytes(sizeBytes)],
      ["records", formatCount(keys)],
      ["writes", formatRate(range.writesPerSecond)],
      ["reads", formatRate(range.readsPerSecond)],
      ["bytes", formatByteRate(range.bytesPerSecond)],
    ]),
    formatTable(replicaColumns(leaderStoreId), range.replicas),
  ];
  if (range.operators.length > 0) parts.push(formatTable(operatorColumns, range.operators));
  if (range.explain.length > 0) parts.push(explainTable(range.explain, columns));
  return parts.join("\n");
}

function replicaColumns(leaderStoreId: number | null): readonly Column<ReplicaRow>[] {
  return [
    { title: "REPLICA", right: true, cell: ({ replicaId }) => replicaId },
    { title: "NODE", right: true, cell: ({ nodeId }) => nodeId },
    { title: "STORE", cell: ({ storeId }) => `${storeId}${storeId === leaderStoreId ? "*" : ""}` },
    { title: "ROLE", cell: ({ role }) => role },
    { title: "STATE", cell: ({ state }) => state },
  ];
}
