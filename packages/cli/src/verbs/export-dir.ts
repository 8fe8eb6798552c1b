import { resolve } from "node:path";
import { Failure } from "@flotilla/base";
import { addClusterOptions, textOption } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterEntry } from "../cluster-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { exportRecords } from "../files/export-records.ts";
import { ClashDetector, unsafePath } from "../files/export-path.ts";
import { FileWriter } from "../files/file-writer.ts";
import { TransferReport } from "../files/transfer-report.ts";
import { printableBytes } from "../output/bytes-text.ts";

/** Files being written at a time. */
const writersMax = 16;

export const verb: Verb = {
  configure(command) {
    command.argument("<path>", "the directory");
    addClusterOptions(command).option("--prefix <p>", "only keys that begin with P; the path is what stands behind it");
    command.addHelpText(
      "after",
      "\nKeys that would leave the directory (.., absolute, NUL) or clash (a and a/b) are refused and listed.",
    );
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const prefix = Buffer.from(textOption(options, "prefix") ?? "", "utf8");
    const writer = new FileWriter(Buffer.from(resolve(io.directory, String(invocation.arguments[0])), "utf8"));
    await writer.prepare();
    const report = new TransferReport();
    const clashes = new ClashDetector();
    const refuse = (path: Uint8Array): Failure | undefined => {
      const why = unsafePath(path);
      if (why !== undefined) return new Failure("Refused", why);
      const clash = clashes.add(path);
      return clash === undefined
        ? undefined
        : new Failure(
            "Refused",
            `it needs "${printableBytes(clash)}" as a directory, which is a key and a file itself`,
          );
    };
    const writeOne = async ({ key, value }: ClusterEntry<Uint8Array | undefined>): Promise<void> => {
      const path = Buffer.from(key.subarray(prefix.length));
      try {
        await writer.write(path, value!);
        report.records++;
        report.bytes += key.length + value!.length;
      } catch (error) {
        const failure =
          error instanceof Failure
            ? error
            : new Failure("Refused", error instanceof Error ? error.message : String(error));
        report.failWith(failure, printableBytes(key), null, value!.length);
        if (error instanceof Error && "code" in error && error.code === "ENOSPC")
          throw new Failure("DiskFull", `the disk is full: ${error.message}`, { cause: error });
      }
    };
    const onPage = async (page: readonly ClusterEntry<Uint8Array | undefined>[]): Promise<void> => {
      let writing: Promise<void>[] = [];
      for (const entry of page) {
        const refused = refuse(entry.key.subarray(prefix.length));
        if (refused !== undefined) {
          report.failWith(refused, printableBytes(entry.key), null, entry.value!.length);
          continue;
        }
        writing.push(writeOne(entry));
        if (writing.length < writersMax) continue;
        await Promise.all(writing);
        writing = [];
      }
      await Promise.all(writing);
    };
    try {
      await withClient(invocation, (client) => exportRecords(io, client, prefix, report, onPage));
    } finally {
      await report.write(io, format, "exported");
    }
    return report.failed > 0 ? exitNotDone : exitDone;
  },
};
