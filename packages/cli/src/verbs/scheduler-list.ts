import { addClusterOptions } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { requireList } from "../output/answer-shape.ts";
import { writeList } from "../output/documents.ts";

interface SchedulerRow {
  readonly name: string;
  readonly paused: boolean;
  readonly pausedBy?: string | null;
  readonly since?: string | null;
}

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command);
  },
  async run(invocation) {
    const answer = await withClient(invocation, (client) => client.admin("scheduler-list", {}, { readOnly: true }));
    const rows = requireList(answer, "scheduler-list", ["name", "paused"]) as unknown as SchedulerRow[];
    await writeList(invocation.io, invocation.format, rows, [
      { title: "SCHEDULER", cell: ({ name }) => name },
      { title: "STATE", cell: ({ paused }) => (paused ? "paused" : "runs") },
      { title: "BY", cell: ({ pausedBy }) => pausedBy ?? null },
      { title: "SINCE", cell: ({ since }) => since ?? null },
    ]);
    return exitDone;
  },
};
