import { addClusterOptions, addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askRanges, encodedRange } from "../output/cluster-report.ts";
import { writeList } from "../output/documents.ts";
import { rangeColumns } from "../output/range-columns.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(addKeyEncodingOptions(command));
  },
  async run(invocation) {
    const encoding = encodingOf(invocation);
    const rows = await withClient(invocation, askRanges);
    await writeList(invocation.io, invocation.format, rows, rangeColumns(encoding), (row) =>
      encodedRange(row, encoding),
    );
    return exitDone;
  },
};
