import { resolve } from "node:path";
import { Failure } from "@flotilla/base";
import { parseQuantity } from "@flotilla/server/settings";
import { addClusterOptions, textOption } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { fileBytesMax } from "../debug/bundle-contents.ts";
import { makeBundle } from "../debug/make-bundle.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { writeObject } from "../output/documents.ts";
import { formatBytes } from "../output/table.ts";

export const verb: Verb = {
  configure(command) {
    addClusterOptions(command)
      .option("--file <path>", "the archive, which must not exist (default ./flotilla-debug-TIME.tar.gz)")
      .option("--data-dir <dir...>", "data directories on this machine, besides those that the cluster itself names")
      .option("--log-bytes <size>", "the end of each directory's log.jsonl, 0 to leave the logs out", "1MiB");
    command.addHelpText(
      "after",
      "\nIn it: lists and state of the cluster; metrics and health of each node that can be reached; of data directories\n" +
        "on this machine the settings, the names, sizes and format numbers of the files, room on the disk and the end of\n" +
        "the log; versions and platform. Nodes may be down: what could not be had is listed, here and in bundle.json.\n" +
        "Not in it: values, the log of Raft, the stores' keys. Bounds of ranges are keys of yours, and log lines may name\n" +
        "others: look before you send it. Where a log goes to the journal, add `journalctl -u flotilla`.",
    );
  },
  async run(invocation) {
    const { io, options, format } = invocation;
    const time = new Date().toISOString().slice(0, 19).replaceAll(":", "");
    const report = await withClient(invocation, (client) =>
      makeBundle(client, {
        path: resolve(io.directory, textOption(options, "file") ?? `flotilla-debug-${time}.tar.gz`),
        currentDirectory: io.directory,
        dataDirs: (options["dataDir"] as string[] | undefined) ?? [],
        logBytesMax: logBytesOf(textOption(options, "logBytes") ?? ""),
        signal: io.interrupted(),
        note: (text) => io.note(text),
      }),
    );
    await writeObject(io, format, report, () => {
      const left = report.failures.map(({ name, message }) => `not in it: ${name}: ${message}\n`);
      const silent = report.unreached.map(
        ({ nodeId, httpAddress }) => `not reached: node ${nodeId ?? "?"}, http ${httpAddress}\n`,
      );
      const archive = `${report.path}  ${formatBytes(report.sizeBytes)}, ${report.files.length} files\n`;
      return archive + silent.join("") + left.join("");
    });
    return report.failures.length === 0 ? exitDone : exitNotDone;
  },
};

function logBytesOf(text: string): number {
  const bytes = parseQuantity("--log-bytes", text, "bytes");
  if (bytes > fileBytesMax)
    throw new Failure("InvalidArgument", `--log-bytes must be at most ${formatBytes(fileBytesMax)}, got ${text}`);
  return bytes;
}
