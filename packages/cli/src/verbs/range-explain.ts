import { addClusterOptions } from "../arguments/common-options.ts";
import { requiredId } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { requireList, requireObject } from "../output/answer-shape.ts";
import { writeObject } from "../output/documents.ts";
import { explainTable } from "../output/explain-table.ts";
import type { ExplainLine } from "../output/explain-table.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<range>", "the range's id");
    addClusterOptions(command);
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "RANGE");
    const answer = await withClient(invocation, (client) =>
      client.admin("range-explain", { rangeId }, { readOnly: true }),
    );
    const explained = requireObject(answer, "range-explain", ["rangeId", "lines"]);
    const lines = requireList(explained["lines"], "range-explain", ["rule", "verdict", "text"]);
    await writeObject(invocation.io, invocation.format, explained, () =>
      explainTable(lines as unknown as ExplainLine[], invocation.io.outColumns),
    );
    return exitDone;
  },
};
