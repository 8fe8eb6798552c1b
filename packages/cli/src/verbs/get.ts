import { Failure } from "@flotilla/base";
import { addClusterOptions, addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { keyArgument } from "../arguments/key-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { encodeTogether, printableBytes } from "../output/bytes-text.ts";
import { writeObject } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("<key>", "the key");
    addClusterOptions(addKeyEncodingOptions(command)).option("--stale", "ask any replica; it may lag behind");
    command.addHelpText("after", "\nWrites the value's bytes, and a newline only to a terminal.");
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const key = keyArgument(invocation, 0);
    const entry = await withClient(invocation, (client) =>
      client.getEntry(key, { consistency: options["stale"] === true ? "stale" : undefined }),
    );
    if (entry === undefined) throw new Failure("NotFound", `there is no key "${printableBytes(key, 100)}"`);
    if (format === "table") {
      await io.out(entry.value);
      if (io.outIsTerminal) await io.out("\n");
      return exitDone;
    }
    const {
      key: keyText,
      value,
      encoding,
    } = encodeTogether({ key: entry.key, value: entry.value }, encodingOf(invocation));
    await writeObject(io, format, { key: keyText, value, version: entry.version, encoding }, () => "");
    return exitDone;
  },
};
