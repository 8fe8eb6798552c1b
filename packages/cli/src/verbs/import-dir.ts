import { resolve } from "node:path";
import { Failure, keyBytesMax } from "@flotilla/base";
import { addClusterOptions, textOption } from "../arguments/common-options.ts";
import { addValueLimitOption, valueLimitOf } from "../arguments/value-limit.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { importRecords } from "../files/import-records.ts";
import type { ImportRecord } from "../files/import-records.ts";
import { readFiles } from "../files/read-files.ts";
import { TransferReport } from "../files/transfer-report.ts";
import { walkDirectory } from "../files/walk-directory.ts";
import { printableBytes } from "../output/bytes-text.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<path>", "the directory");
    addValueLimitOption(addClusterOptions(command).option("--prefix <p>", "what stands before each path in the key"));
    command.addHelpText(
      "after",
      "\nEach regular file becomes a record: key = prefix + path with /, value = content. Links, devices and empty directories are skipped.",
    );
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const root = Buffer.from(resolve(io.directory, String(invocation.arguments[0])), "utf8");
    const prefix = Buffer.from(textOption(options, "prefix") ?? "", "utf8");
    const limit = valueLimitOf(invocation);
    const report = new TransferReport();
    const counter = countFiles(root, io.noteIsTerminal);
    let read = 0;
    async function* records(): AsyncGenerator<ImportRecord, void, undefined> {
      const files = walkDirectory(root, {
        skip: (kind) => report.skip(kind),
        unreadable: (path, error) =>
          report.failWith(new Failure("InvalidArgument", error.message), printableBytes(path), null, null),
      });
      for await (const { path, content, error } of readFiles(root, files, limit.valueBytesMax)) {
        read++;
        const name = printableBytes(path);
        const key = Buffer.concat([prefix, path]);
        if (error !== undefined) report.failWith(error, name, null, null);
        else if (key.length > keyBytesMax) report.failWith(keyTooLarge(key.length), name, null, null);
        else yield { key, value: content!, name, line: null };
      }
    }
    try {
      await withClient(
        invocation,
        (client) => importRecords(io, client, records(), report, { done: () => read, total: () => counter.files }),
        limit,
      );
    } finally {
      counter.stop();
      await report.write(io, format, "imported");
    }
    return report.failed > 0 ? exitNotDone : exitDone;
  },
};

function keyTooLarge(sizeBytes: number): Failure {
  return new Failure("KeyTooLarge", `its key has ${sizeBytes} bytes, a key at most ${keyBytesMax}`, {
    details: { sizeBytes, limitBytes: keyBytesMax },
  });
}

/** Only for the length of the bar: how many files there will be. */
function countFiles(root: Buffer, isTerminal: boolean): { readonly files: number; stop(): void } {
  const counter = { files: 0, stopped: false, stop: () => void (counter.stopped = true) };
  const count = async (): Promise<void> => {
    for await (const _file of walkDirectory(root, { skip: () => {}, unreadable: () => {} })) {
      if (counter.stopped) return;
      counter.files++;
    }
  };
  // What cannot be read is reported by the walk that imports.
  if (isTerminal) count().catch(() => {});
  return counter;
}
