import type { Verb } from "../command-io.ts";
import { emptyingVerb } from "../operators/change-verbs.ts";
import { nodeEmpty } from "../operators/goal.ts";

export const verb: Verb = emptyingVerb({
  what: "node",
  argumentText: "the node's id",
  request: "node-decommission",
  word: "decommission",
  help:
    "\nMoves every replica to other nodes; then the node can be stopped for good. `flotilla node recommission` takes it back\n" +
    "as long as that has not ended. With --wait: exit code 0 when the node is empty, 1 when ranges block it, which are listed.",
  goal: nodeEmpty,
});
