import { Failure } from "@flotilla/base";
import { addClusterOptions, addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { keyArgument, prefixOf, versionOption } from "../arguments/key-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { encodeTogether } from "../output/bytes-text.ts";
import { writeObject } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    command.argument("[key]", "the key");
    addClusterOptions(addKeyEncodingOptions(command))
      .option("--if-version <v>", "only if the key has this version")
      .option("--prefix <p>", "every key that begins with P, page by page: not at one instant");
  },
  async run(invocation) {
    const prefix = prefixOf(invocation);
    const hasKey = invocation.arguments[0] !== undefined;
    if (hasKey && prefix !== undefined) throw new Failure("InvalidArgument", "KEY and --prefix exclude each other");
    if (!hasKey && prefix === undefined) {
      throw new Failure("InvalidArgument", "the key is missing", {
        hint: "flotilla delete KEY, or flotilla delete --prefix P",
      });
    }
    return prefix === undefined ? deleteOne(invocation) : deletePrefix(invocation, prefix);
  },
};

async function deleteOne(invocation: Invocation): Promise<number> {
  const { io, format } = invocation;
  const key = keyArgument(invocation, 0);
  const ifVersion = versionOption(invocation);
  const { version, deleted } = await withClient(invocation, (client) => client.delete(key, { ifVersion }));
  const { key: keyText, encoding } = encodeTogether({ key }, encodingOf(invocation));
  const content = { key: keyText, version, outcome: "applied", deleted: deleted ? 1 : 0, encoding };
  await writeObject(io, format, content, () => (deleted ? `deleted, version ${version}\n` : "there was no such key\n"));
  return exitDone;
}

async function deletePrefix(invocation: Invocation, prefix: Uint8Array): Promise<number> {
  const { io, format } = invocation;
  if (versionOption(invocation) !== undefined)
    throw new Failure("InvalidArgument", "--if-version is for one key, not for --prefix");
  const { deleted } = await withClient(invocation, (client) =>
    client.deleteRange({ prefix, signal: io.interrupted() }),
  );
  const { prefix: prefixText, encoding } = encodeTogether({ prefix }, encodingOf(invocation));
  const content = { key: null, prefix: prefixText, version: null, outcome: "applied", deleted, encoding };
  await writeObject(io, format, content, () => `deleted ${deleted}\n`);
  return exitDone;
}
