import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<node>", "the node's id");
    addChangeOptions(command).addHelpText("after", "\nTakes back a decommission that has not ended.");
  },
  async run(invocation) {
    const nodeId = requiredId(invocation, 0, "NODE");
    return runChange(invocation, {
      request: "node-recommission",
      body: { nodeId },
      title: `recommission node ${nodeId}`,
    });
  },
};
