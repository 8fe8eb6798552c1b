import { open, rename } from "node:fs/promises";
import { resolve } from "node:path";
import { Failure } from "@flotilla/base";
import { addClusterOptions, textOption } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { writeObject } from "../output/documents.ts";
import { recoveryTable, reportDocument, rowsOf } from "../recovery/recovery-report.ts";
import type { RecoveryRow } from "../recovery/recovery-report.ts";
import { lookAndPlan, recover } from "../recovery/run-recovery.ts";

export const verb: Verb = {
  configure(command) {
    command
      .requiredOption("--lost-stores <id,...>", "the stores that never come back")
      .option("--yes", "do it; without it the plan is shown and nothing is changed")
      .option("--report <file>", "where to write what may be missing (default ./unsafe-recover-TIME.json)");
    addClusterOptions(command, "60s").addHelpText(
      "after",
      "\nFor ranges that lost the majority of their replicas for good. Each goes on with the one replica that is left and knows\n" +
        "most; what the lost stores alone had acknowledged is given up, and the report says so, range by range. The lost stores\n" +
        "are refused from then on: destroy their directories. Every other store must be up. Read docs/operations.md first.\n" +
        "Exit code 1: some ranges cannot be recovered, or not now; asking again goes on.",
    );
  },
  async run(invocation) {
    const lost = lostStores(invocation);
    return withClient(invocation, (client) =>
      invocation.options["yes"] === true ? carryOut(invocation, client, lost) : showPlan(invocation, client, lost),
    );
  },
};

function lostStores({ options }: Invocation): Set<number> {
  const text = textOption(options, "lostStores") ?? "";
  const ids = text.split(",").map((part) => (/^\d{1,15}$/.test(part.trim()) ? Number(part) : 0));
  if (ids.some((id) => id < 1) || ids.length > 1000)
    throw new Failure("InvalidArgument", `--lost-stores takes store ids, like 2,3; got "${text}"`, {
      hint: "flotilla store list",
    });
  return new Set(ids);
}

async function showPlan({ io, format }: Invocation, client: ClusterClient, lost: Set<number>): Promise<number> {
  const { plan } = await lookAndPlan(client, lost);
  const rows = rowsOf(plan);
  await writeObject(io, format, reportDocument([...lost], "planned", rows, now()), () => {
    if (rows.length === 0) return nothingToDo;
    return recoveryTable(rows) + "nothing was changed; --yes does it, and writes down what may be missing\n";
  });
  return ended(rows, "planned");
}

const nothingToDo =
  "every range has its majority without these stores: there is nothing to recover\n" +
  "those that are not decommissioned yet are given up one by one: flotilla store replace STORE\n";

async function carryOut(invocation: Invocation, client: ClusterClient, lost: Set<number>): Promise<number> {
  const { io, format, options } = invocation;
  const path = resolve(
    io.directory,
    textOption(options, "report") ?? `unsafe-recover-${now().replaceAll(":", "")}.json`,
  );
  let written: readonly RecoveryRow[] = [];
  const rows = await recover({
    io,
    client,
    lost,
    onProgress: async (progress) => {
      // Nothing is forced before the report with what it will give up is on the disk.
      if (progress.length > 0) await writeReport(path, reportDocument([...lost], "underWay", progress, now()));
      written = progress;
    },
  });
  const document = reportDocument([...lost], "ended", rows, now());
  if (written.length > 0) await writeReport(path, document);
  await writeObject(io, format, document, () =>
    rows.length === 0 ? nothingToDo : recoveryTable(rows) + `what may be missing  ${path}\n` + nextStep(rows),
  );
  return ended(rows, "recovered");
}

/** Health is `ok` from here on and says nothing of it: a range need not have more replicas than there are stores for. */
const nextStep = (rows: readonly RecoveryRow[]): string =>
  rows.some(({ outcome }) => outcome === "recovered")
    ? "next  each recovered range has a single replica until stores can take more: flotilla start --join adds one\n"
    : "";

function ended(rows: readonly RecoveryRow[], good: RecoveryRow["outcome"]): number {
  const open = rows.filter(({ outcome }) => outcome !== good);
  if (open.length === 0) return exitDone;
  throw new Failure("Refused", `not recovered: range ${open.map(({ rangeId }) => rangeId).join(", ")}`, {
    hint: "the reason stands beside each; ask again when it has passed",
    details: { rangeIds: open.map(({ rangeId }) => rangeId) },
  });
}

async function writeReport(path: string, document: object): Promise<void> {
  const file = await open(`${path}.new`, "w");
  try {
    await file.writeFile(JSON.stringify(document, null, 2) + "\n");
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

const now = (): string => new Date().toISOString();
