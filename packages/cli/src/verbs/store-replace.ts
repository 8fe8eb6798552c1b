import { requiredId } from "../arguments/id-arguments.ts";
import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { storeEmpty } from "../operators/goal.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<store>", "the id of the store that is lost");
    addChangeOptions(command, { dangerous: true }).addHelpText(
      "after",
      "\nGives up a store that is dead: its replicas are made anew on others, and its directory is refused from then on.\n" +
        "Refused while the store is alive. Start a new one in its place with `flotilla start --join` and an empty directory.",
    );
  },
  async run(invocation) {
    const storeId = requiredId(invocation, 0, "STORE");
    return runChange(invocation, {
      request: "store-replace",
      body: { storeId },
      title: `replace store ${storeId}`,
      dangerous: true,
      goal: storeEmpty(storeId),
    });
  },
};
