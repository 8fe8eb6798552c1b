import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { nodeEmpty } from "../operators/goal.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<node>", "the node's id");
    addChangeOptions(command, { dangerous: true }).addHelpText(
      "after",
      "\nMoves every replica to other nodes; then the node can be stopped for good. `flotilla node recommission` takes it back\n" +
        "as long as that has not ended. With --wait: exit code 0 when the node is empty, 1 when ranges block it, which are listed.",
    );
  },
  async run(invocation) {
    const nodeId = requiredId(invocation, 0, "NODE");
    return runChange(invocation, {
      request: "node-decommission",
      body: { nodeId },
      title: `decommission node ${nodeId}`,
      dangerous: true,
      goal: nodeEmpty(nodeId),
    });
  },
};
