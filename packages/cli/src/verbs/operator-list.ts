import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askOperators } from "../operators/operator-report.ts";
import { operatorColumns } from "../operators/operator-text.ts";
import { writeList } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command).option("--all", "those that have ended, too, as far as they are kept");
  },
  async run(invocation) {
    const all = invocation.options["all"] === true;
    const rows = await withClient(invocation, (client) => askOperators(client, all));
    await writeList(invocation.io, invocation.format, rows, operatorColumns);
    if (rows.length === 0 && !all && invocation.format === "table")
      invocation.io.note("no operator is under way; --all shows those that have ended\n");
    return exitDone;
  },
};
