import { Failure } from "@flotilla/base";
import { addKeyEncodingOptions } from "../arguments/common-options.ts";
import { idArgument } from "../arguments/id-arguments.ts";
import { prefixOf } from "../arguments/key-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("[range]", "only this range");
    addChangeOptions(addKeyEncodingOptions(command))
      .option("--prefix <p>", "only ranges with keys that begin with P")
      .addHelpText("after", "\nSpreads replicas and leaders evenly over the stores, at once and not bit by bit.");
  },
  async run(invocation) {
    const rangeId = idArgument(invocation, 0, "RANGE");
    const prefix = prefixOf(invocation);
    if (rangeId !== undefined && prefix !== undefined)
      throw new Failure("InvalidArgument", "RANGE and --prefix exclude each other");
    const body = {
      ...(rangeId === undefined ? {} : { rangeId }),
      ...(prefix === undefined ? {} : { prefix: Buffer.from(prefix).toString("latin1") }),
    };
    const title = rangeId === undefined ? "scatter ranges" : `scatter range ${rangeId}`;
    return runChange(invocation, { request: "range-scatter", body, title });
  },
};
