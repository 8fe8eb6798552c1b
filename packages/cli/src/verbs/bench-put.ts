import type { Verb } from "../command-io.ts";
import { addBenchOptions, runBench } from "../bench/run-bench.ts";

export const verb: Verb = {
  configure: addBenchOptions,
  run: (invocation) => runBench(invocation, "put"),
};
