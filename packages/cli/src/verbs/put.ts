import { readFile } from "node:fs/promises";
import { Failure } from "@flotilla/base";
import { addClusterOptions, addKeyEncodingOptions, encodingOf, textOption } from "../arguments/common-options.ts";
import { addValueLimitOption, valueLimitOf } from "../arguments/value-limit.ts";
import { keyArgument, versionOption } from "../arguments/key-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { encodeTogether } from "../output/bytes-text.ts";
import { writeObject } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<key>", "the key").argument("[value]", "the value, as UTF-8 text");
    addClusterOptions(addKeyEncodingOptions(command))
      .option("--value-file <file>", "take the value's bytes from a file, - from standard input")
      .option("--if-absent", "only if there is no such key")
      .option("--if-version <v>", "only if the key has this version");
    addValueLimitOption(command);
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const key = keyArgument(invocation, 0);
    const ifAbsent = options["ifAbsent"] === true;
    const ifVersion = versionOption(invocation);
    if (ifAbsent && ifVersion !== undefined)
      throw new Failure("InvalidArgument", "--if-absent and --if-version exclude each other");
    const more = valueLimitOf(invocation);
    const value = await valueOf(invocation, more.valueBytesMax);
    const { version } = await withClient(invocation, (client) => client.put(key, value, { ifAbsent, ifVersion }), more);
    const { key: keyText, encoding } = encodeTogether({ key }, encodingOf(invocation));
    await writeObject(
      io,
      format,
      { key: keyText, version, outcome: "applied", encoding },
      () => `version ${version}\n`,
    );
    return exitDone;
  },
};

async function valueOf({ arguments: given, options, io }: Invocation, bytesMax: number): Promise<Uint8Array> {
  const text = given[1];
  const file = textOption(options, "valueFile");
  if ((text === undefined) === (file === undefined)) {
    throw new Failure(
      "InvalidArgument",
      text === undefined ? "the value is missing" : "VALUE and --value-file exclude each other",
      {
        hint: "flotilla put KEY VALUE, or flotilla put KEY --value-file FILE",
      },
    );
  }
  if (typeof text === "string") return Buffer.from(text, "utf8");
  if (file === "-") return readAll(io.input, bytesMax);
  try {
    return await readFile(file!);
  } catch (error) {
    throw new Failure(
      "InvalidArgument",
      `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

async function readAll(input: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new Failure("ValueTooLarge", `the value on standard input has more than ${bytesMax} bytes`, {
        details: { sizeBytes: null, limitBytes: bytesMax },
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
