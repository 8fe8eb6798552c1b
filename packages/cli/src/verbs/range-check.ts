import { Failure } from "@flotilla/base";
import { addClusterOptions } from "../arguments/common-options.ts";
import { idArgument } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { requireList, requireObject } from "../output/answer-shape.ts";
import { writeObject } from "../output/documents.ts";
import { formatBytes, formatCount, formatTable } from "../output/table.ts";
import type { Column } from "../output/table.ts";

interface CheckedReplica {
  readonly storeId: number;
  /** `null`: it did not answer, or not at the same applied index. */
  readonly checksum: string | number | null;
  readonly keys: number | null;
  readonly bytes: number | null;
}

interface CheckedRange {
  readonly rangeId: number;
  readonly appliedIndex: number | null;
  readonly replicas: readonly CheckedReplica[];
  /** `null`: not all could be compared. */
  readonly equal: boolean | null;
}

type Row = CheckedReplica & { readonly range: CheckedRange };

export const verb: Verb = {
  configure(command) {
    command.argument("[range]", "only this range");
    addClusterOptions(command, "60s").addHelpText(
      "after",
      "\nReads every replica's records and compares their checksums at the same applied index.\n" +
        "Exit code 1: replicas differ, or not all of them could be compared.",
    );
  },
  async run(invocation) {
    const rangeId = idArgument(invocation, 0, "RANGE");
    const body = rangeId === undefined ? {} : { rangeId };
    const answer = await withClient(invocation, (client) => client.admin("range-check", body, { readOnly: true }));
    const checked = requireObject(answer, "range-check", ["ranges"]);
    const fields = ["rangeId", "replicas", "equal"];
    const ranges = requireList(checked["ranges"], "range-check", fields) as unknown as CheckedRange[];
    const rows = ranges.flatMap((range) => range.replicas.map((replica) => ({ ...replica, range })));
    await writeObject(invocation.io, invocation.format, checked, () => formatTable(columns, rows));
    const bad = ranges.filter(({ equal }) => equal !== true).map((range) => range.rangeId);
    if (bad.length === 0) return exitDone;
    const differ = ranges.filter(({ equal }) => equal === false).map((range) => range.rangeId);
    throw new Failure(
      // Not `Corruption`, which is about a file that the user named.
      "Refused",
      differ.length > 0
        ? `replicas differ: range ${differ.join(", ")}`
        : `not all replicas could be compared: range ${bad.join(", ")}`,
      { details: { rangeIds: bad, differ } },
    );
  },
};

const columns: readonly Column<Row>[] = [
  { title: "RANGE", right: true, cell: ({ range }) => range.rangeId },
  { title: "INDEX", right: true, cell: ({ range }) => range.appliedIndex },
  { title: "STORE", right: true, cell: ({ storeId }) => storeId },
  { title: "RECORDS", right: true, cell: ({ keys }) => formatCount(keys) },
  { title: "SIZE", right: true, cell: ({ bytes }) => formatBytes(bytes) },
  { title: "CHECKSUM", cell: ({ checksum }) => checksum },
  { title: "EQUAL", cell: ({ range: { equal } }) => (equal === null ? null : equal ? "yes" : "NO") },
];
