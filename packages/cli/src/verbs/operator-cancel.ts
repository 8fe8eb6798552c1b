import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { operatorCancelled } from "../operators/goal.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<operator>", "the operator's id");
    addChangeOptions(command).addHelpText(
      "after",
      "\nNo further step is taken; a replica that was added for it is removed again, so that the range keeps their number.",
    );
  },
  async run(invocation) {
    const operatorId = requiredId(invocation, 0, "OPERATOR");
    const title = `cancel operator ${operatorId}`;
    const goal = operatorCancelled(operatorId);
    return runChange(invocation, { request: "operator-cancel", body: { operatorId }, title, goal });
  },
};
