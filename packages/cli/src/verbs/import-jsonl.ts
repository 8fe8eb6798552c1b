import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { Failure, keyBytesMax } from "@flotilla/base";
import { addClusterOptions, textOption } from "../arguments/common-options.ts";
import { addValueLimitOption, valueLimitOf } from "../arguments/value-limit.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { importRecords } from "../files/import-records.ts";
import type { ImportRecord } from "../files/import-records.ts";
import { parseJsonLine } from "../files/json-line.ts";
import { readLines } from "../files/read-lines.ts";
import { TransferReport } from "../files/transfer-report.ts";
import { printableBytes } from "../output/bytes-text.ts";

/** A byte of a value takes at most six characters in JSON. */
const charactersPerByteMax = 6;

export const verb: Verb = {
  configure(command) {
    command.argument("<file>", "the file, - for standard input");
    addValueLimitOption(
      addClusterOptions(command)
        .option("--prefix <p>", "what stands before each key")
        .option("--key-field <name>", "take any objects: the key from this field, the line as value"),
    );
    command.addHelpText(
      "after",
      '\nEach line is {"key": ..., "value": ...}, with "encoding": utf8 (default), base64 or hex for both.',
    );
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const prefix = Buffer.from(textOption(options, "prefix") ?? "", "utf8");
    const keyField = textOption(options, "keyField");
    const limit = valueLimitOf(invocation);
    const source = await openSource(invocation);
    const report = new TransferReport();
    async function* records(): AsyncGenerator<ImportRecord, void, undefined> {
      for await (const line of readLines(
        source.chunks,
        (limit.valueBytesMax + keyBytesMax) * charactersPerByteMax + 4096,
      )) {
        if (line.bytes.length === 0) continue;
        let parsed;
        try {
          parsed = parseJsonLine(line, keyField);
        } catch (error) {
          report.failWith(error, "", line.number, null);
          throw error;
        }
        const key = prefix.length === 0 ? parsed.key : Buffer.concat([prefix, parsed.key]);
        yield { key, value: parsed.value, name: printableBytes(key, 200), line: line.number };
      }
    }
    try {
      await withClient(
        invocation,
        (client) => importRecords(io, client, records(), report, { done: source.done, total: () => source.total }),
        limit,
      );
    } finally {
      await report.write(io, format, "imported");
    }
    return report.failed > 0 ? exitNotDone : exitDone;
  },
};

interface Source {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Bytes; 0 = not known. */
  readonly total: number;
  done(): number;
}

async function openSource({ io, arguments: given }: Invocation): Promise<Source> {
  const file = String(given[0]);
  let bytes = 0;
  async function* counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  if (file === "-") return { chunks: counted(io.input), total: 0, done: () => bytes };
  const path = resolve(io.directory, file);
  try {
    // Opened here: a stream would tell that it cannot be while nobody listens yet.
    const handle = await open(path);
    const status = await handle.stat();
    if (status.isDirectory()) {
      await handle.close();
      throw new Failure("InvalidArgument", "it is a directory", { hint: "`flotilla import dir` takes directories" });
    }
    return {
      chunks: counted(handle.createReadStream({ highWaterMark: 256 * 1024 })),
      total: status.size,
      done: () => bytes,
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("InvalidArgument", `cannot read ${file}: ${why}`, {
      hint: error instanceof Failure ? error.hint : "",
      cause: error,
    });
  }
}
