import type { Verb } from "../command-io.ts";
import { runWorkload } from "../bench/run-workload.ts";
import { addWorkloadOptions } from "../bench/workload-plan.ts";

export const verb: Verb = {
  configure: (command) => addWorkloadOptions(command, "put"),
  run: (invocation) => runWorkload(invocation, "put"),
};
