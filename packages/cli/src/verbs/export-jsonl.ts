import { createWriteStream } from "node:fs";
import { lstat, rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Writable } from "node:stream";
import { Failure } from "@flotilla/base";
import { addClusterOptions, encodingOf, textOption } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { CommandIo, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { exportRecords } from "../files/export-records.ts";
import { formatJsonLine } from "../files/json-line.ts";
import { TransferReport } from "../files/transfer-report.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<file>", "the file, - for standard output");
    addClusterOptions(command)
      .option("--prefix <p>", "only keys that begin with P")
      .option("--hex", "keys and values in hex")
      .option("--base64", "keys and values in base64");
    command.addHelpText(
      "after",
      "\nText that is not UTF-8 is written in base64 by itself. `flotilla import jsonl` reads what this writes.",
    );
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const prefix = Buffer.from(textOption(options, "prefix") ?? "", "utf8");
    const encoding = encodingOf(invocation);
    const report = new TransferReport();
    const sink = await openSink(String(invocation.arguments[0]), io);
    try {
      await withClient(invocation, (client) =>
        exportRecords(io, client, prefix, report, async (page) => {
          let text = "";
          for (const { key, value, version } of page) {
            text += formatJsonLine(key, value!, version, encoding);
            report.bytes += key.length + value!.length;
          }
          await sink.write(text);
          report.records += page.length;
        }),
      );
      await sink.finish();
    } catch (error) {
      await sink.abandon();
      throw error;
    }
    // The records themselves went to standard output: the summary must not stand among them.
    const notes = { note: io.note, out: async (content: string | Uint8Array) => io.note(String(content)) };
    await report.write(sink.isOutput ? notes : io, format, "exported");
    return exitDone;
  },
};

interface Sink {
  readonly isOutput: boolean;
  write(text: string): Promise<void>;
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

/** A regular file appears under its name only when it is complete. */
async function openSink(file: string, io: CommandIo): Promise<Sink> {
  const nothing = async (): Promise<void> => {};
  if (file === "-") return { isOutput: true, write: (text) => io.out(text), finish: nothing, abandon: nothing };
  const target = resolve(io.directory, file);
  const inPlace = await isSpecial(target);
  const path = inPlace ? target : `${target}.${process.pid}.part`;
  const stream = createWriteStream(path, { flags: inPlace ? "w" : "wx" });
  const failed = new Promise<never>((_resolve, reject) => {
    stream.once("error", (error) =>
      reject(new Failure("InvalidArgument", `cannot write ${file}: ${error.message}`, { cause: error })),
    );
  });
  failed.catch(() => {});
  await Promise.race([new Promise<void>((opened) => stream.once("open", () => opened())), failed]);
  return {
    isOutput: false,
    write: (text) => Promise.race([writeTo(stream, text), failed]),
    async finish() {
      await Promise.race([new Promise<void>((ended) => stream.end(() => ended())), failed]);
      if (!inPlace) await rename(path, target);
    },
    async abandon() {
      stream.destroy();
      if (!inPlace) await rm(path, { force: true });
    },
  };
}

function writeTo(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve) => {
    if (stream.write(text)) resolve();
    else stream.once("drain", resolve);
  });
}

/** A pipe or a device is written to as it is. */
async function isSpecial(path: string): Promise<boolean> {
  try {
    const status = await lstat(path);
    if (status.isDirectory())
      throw new Failure("InvalidArgument", `${path} is a directory`, {
        hint: "`flotilla export dir` writes directories",
      });
    return !status.isFile();
  } catch (error) {
    if (error instanceof Failure) throw error;
    return false;
  }
}
