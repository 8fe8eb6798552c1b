import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { nodeDrained } from "../operators/goal.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<node>", "the node's id");
    addChangeOptions(command).option("--undo", "let it lead again");
    command.addHelpText(
      "after",
      "\nMoves every leader away and lets none come back; replicas stay. For maintenance: drain, stop, start, --undo.",
    );
  },
  async run(invocation) {
    const nodeId = requiredId(invocation, 0, "NODE");
    if (invocation.options["undo"] === true) {
      const body = { nodeId, undo: true };
      return runChange(invocation, { request: "node-drain", body, title: `let node ${nodeId} lead again` });
    }
    const goal = nodeDrained(nodeId);
    return runChange(invocation, { request: "node-drain", body: { nodeId }, title: `drain node ${nodeId}`, goal });
  },
};
