import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<operator>", "the operator's id");
    addChangeOptions(command).addHelpText(
      "after",
      "\nNo further step is taken; what its steps have done stays. The placement driver puts the range right afterwards.",
    );
  },
  async run(invocation) {
    const operatorId = requiredId(invocation, 0, "OPERATOR");
    const title = `cancel operator ${operatorId}`;
    return runChange(invocation, { request: "operator-cancel", body: { operatorId }, title });
  },
};
