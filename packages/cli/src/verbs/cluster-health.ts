import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { askClusterStatus } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command);
    command.addHelpText("after", "\nExit code 0: ok. 1: degraded, unavailable, or nobody answers.");
  },
  async run(invocation) {
    const { clusterId, health, reasons } = await withClient(invocation, askClusterStatus);
    await writeObject(invocation.io, invocation.format, { clusterId, health, reasons }, () =>
      [health, ...reasons].map((line) => line + "\n").join(""),
    );
    return health === "ok" ? exitDone : exitNotDone;
  },
};
