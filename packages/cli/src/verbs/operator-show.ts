import { addClusterOptions } from "../arguments/common-options.ts";
import { requiredId } from "../arguments/id-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { askOperator } from "../operators/operator-report.ts";
import type { OperatorRow, OperatorStepRow } from "../operators/operator-report.ts";
import { writeObject } from "../output/documents.ts";
import { formatFields, formatTable } from "../output/table.ts";
import type { Column } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<operator>", "the operator's id");
    addClusterOptions(command);
  },
  async run(invocation) {
    const operatorId = requiredId(invocation, 0, "OPERATOR");
    const operator = await withClient(invocation, (client) => askOperator(client, operatorId));
    await writeObject(invocation.io, invocation.format, operator, () => describe(operator));
    return exitDone;
  },
};

const columns: readonly Column<OperatorStepRow>[] = [
  { title: "STEP", cell: ({ action }) => action },
  { title: "STORE", right: true, cell: ({ storeId }) => storeId },
  { title: "STATE", cell: ({ state }) => state },
];

function describe(operator: OperatorRow): string {
  const { operatorId, kind, rangeId, state, reason, startedAt, finishedAt, error, steps } = operator;
  const fields = formatFields([
    ["operator", operatorId],
    ["kind", kind],
    ["range", rangeId],
    ["state", state],
    ["why", reason],
    ["started", startedAt],
    ["finished", finishedAt],
    ["error", error],
  ]);
  return steps.length === 0 ? fields : `${fields}\n${formatTable(columns, steps)}`;
}
