import { idArgument, requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command
      .argument("<left>", "the id of the range that stays")
      .argument("[right]", "the id of the range that becomes a part of it; without it, the one that follows");
    addChangeOptions(command).addHelpText(
      "after",
      "\nReplicas of the right range are moved to the left one's stores first. Its clients wait while the two become one.",
    );
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "LEFT");
    const rightRangeId = idArgument(invocation, 1, "RIGHT");
    return runChange(invocation, {
      request: "range-merge",
      body: rightRangeId === undefined ? { rangeId } : { rangeId, rightRangeId },
      title:
        rightRangeId === undefined
          ? `merge range ${rangeId} and the one that follows`
          : `merge ranges ${rangeId} and ${rightRangeId}`,
    });
  },
};
