import type { Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<name>", "repair, balance-replicas, balance-leaders or split");
    addChangeOptions(command).addHelpText("after", "\nIt begins operators again.");
  },
  async run(invocation) {
    const name = String(invocation.arguments[0]);
    return runChange(invocation, { request: "scheduler-resume", body: { name }, title: `resume ${name}` });
  },
};
