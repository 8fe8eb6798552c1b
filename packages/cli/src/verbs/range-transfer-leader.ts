import { requiredId, requiredIdOption } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { ledBy } from "../operators/goal.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<range>", "the range's id").requiredOption("--to <store>", "the store whose replica is to lead");
    addChangeOptions(command);
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "RANGE");
    const to = requiredIdOption(invocation, "to");
    return runChange(invocation, {
      request: "range-transfer-leader",
      body: { rangeId, to },
      title: `let store ${to} lead range ${rangeId}`,
      goal: ledBy(rangeId, to),
    });
  },
};
