import { Failure } from "@flotilla/base";
import { requiredId, requiredIdOption } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command
      .argument("<range>", "the range's id")
      .requiredOption("--from <store>", "the store that gives its replica away")
      .requiredOption("--to <store>", "the store that gets one");
    addChangeOptions(command);
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "RANGE");
    const from = requiredIdOption(invocation, "from");
    const to = requiredIdOption(invocation, "to");
    if (from === to) throw new Failure("InvalidArgument", `--from and --to are the same store ${to}`);
    return runChange(invocation, {
      request: "range-move",
      body: { rangeId, from, to },
      title: `move range ${rangeId} from store ${from} to store ${to}`,
    });
  },
};
